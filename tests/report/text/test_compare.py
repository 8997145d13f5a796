"""A comparison on the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.comparisons import compare_report, several_entrants, with_energy
from turbo_lab.compare.published import PROTOCOLS, published_tables
from turbo_lab.documents.compare import SourceImages
from turbo_lab.report.text.compare import print_compare


def test_differences_have_words_and_the_front_is_starred(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_compare(compare_report())
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "fast 1 steps 0.900 ±0.010 100.0 *" in lines
    assert "slow 4 steps 0.800 ±0.010 500.0" in lines
    assert any("own settings) at least as good +0.1 (+0.05 to +0.15) 0.02" in one for one in lines)


def test_the_source_images_of_all_contenders_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    names = {f"{index}" * 64: f"{index}.png" for index in range(8)}
    sources = SourceImages(image="[b]photos", strength=0.5, names=names)
    print_compare(replace(compare_report(), sources=sources))
    text = " ".join(capsys.readouterr().out.split())
    first = ", ".join(list(names.values())[:6])
    assert f"all begin from [b]photos at strength 0.5: {first} and 2 more" in text
    print_compare(compare_report())
    assert "begin from" not in capsys.readouterr().out


def test_energy_is_a_column_if_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    print_compare(compare_report())
    assert "J/image" not in capsys.readouterr().out
    print_compare(with_energy(compare_report()))
    assert "12.34 (12 to 13) by power" in capsys.readouterr().out


def test_each_protocol_has_a_table_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_compare(replace(compare_report(), published=published_tables()))
    printed = capsys.readouterr().out
    assert all(f"{protocol}: " in printed for protocol in PROTOCOLS)
    assert "none with a value measured here" in " ".join(printed.split())
    print_compare(compare_report())
    assert "dmd2" not in capsys.readouterr().out


def test_entrants_have_one_table_and_failures_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_compare(several_entrants())
    text = " ".join(capsys.readouterr().out.split())
    assert "failed: quantization=float8dq: needs | a GPU" in text
    assert "against base 1 step result" in text
    assert "against base 1 step, base 1 step dtype=x gains most on" in text.replace("\n", " ")
    print_compare(compare_report())
    assert "entrant" not in capsys.readouterr().out
