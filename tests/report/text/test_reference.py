"""A reference that was built, on a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from turbo_lab.documents.inspection import ReferenceBuilt
from turbo_lab.report.text.reference import print_reference

BUILT = ReferenceBuilt(
    path=Path("/photos.safetensors"),
    name="photos",
    n=20,
    distinct=20,
    num_features=12,
    features=True,
    extractor_name="nano-clip",
    extractor="a" * 64,
    digest="b" * 64,
    warnings=("few images",),
)


def test_what_was_built_and_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_reference(BUILT)
    shown = capsys.readouterr()
    assert shown.err == "warning: few images\n"
    assert "images      20, with their 12 features each" in shown.out
    assert shown.out.endswith("use it      turbo-lab sweep reference=/photos.safetensors\n")
    print_reference(replace(BUILT, features=False))
    assert capsys.readouterr().out.endswith("for kid and cmmd, build it with --features\n")
