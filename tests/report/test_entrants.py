"""The table of entrants as text: its columns, its notes and the environment."""

from __future__ import annotations

from dataclasses import replace

from tests.report.comparisons import compare_report, several_entrants
from turbo_lab import __version__
from turbo_lab.report.entrants import (
    entrant_table,
    environment_line,
    failure_lines,
    table_notes,
)


def test_columns_that_no_entrant_has_are_left_out() -> None:
    table = entrant_table(several_entrants())
    assert table.heads == (
        "PSNR dB",
        "worst tile",
        "CLIP",
        "p50 ms",
        "ratio",
        "peak MiB",
        "weights MiB",
    )
    assert table.rows == (
        ("base 1 step", ("-", "-", "-", "200", "1.00", "300.0", "200.0")),
        (
            "dtype=x",
            ("41.25", "0.93", "-0.01 (-0.02 to +0.005)", "100", "0.50", "250.0", "100.0"),
        ),
    )
    assert table.failures == (("quantization=float8dq", "needs | a GPU"),)


def test_a_document_of_an_earlier_version_has_no_table() -> None:
    table = entrant_table(compare_report())
    assert (table.heads, table.rows, table.failures) == ((), (), ())


def test_notes_speak_of_the_columns_that_are_there() -> None:
    report = several_entrants()
    assert any("LPIPS, PSNR" in note for note in table_notes(report))
    entrants = tuple(replace(one, psnr_db=None) for one in report.entrants)
    assert not any("LPIPS" in note for note in table_notes(replace(report, entrants=entrants)))


def test_the_environment_is_one_line_without_what_has_no_effect() -> None:
    report = several_entrants()
    line = environment_line(report)
    assert line == f"turbo-lab {__version__}, cpu x86-64, torch 2.15.0, timed per call"
    gpu = replace(report, environment={**report.environment, "device_class": "cuda sm_90"})
    assert "cuda sm_90, torch 2.15.0, CUDA 13.2" in environment_line(gpu)


def test_a_reason_that_names_its_key_is_not_named_twice() -> None:
    report = several_entrants()
    assert failure_lines(entrant_table(report)) == ["failed: quantization=float8dq: needs | a GPU"]
    failed = replace(report.entrants[-1], error="quantization=float8dq: needs a GPU")
    report = replace(report, entrants=(*report.entrants[:-1], failed))
    assert failure_lines(entrant_table(report)) == ["failed: quantization=float8dq: needs a GPU"]
