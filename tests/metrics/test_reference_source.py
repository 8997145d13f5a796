"""References by name and by file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.reference_source import ReferenceSource, reference_source


def test_a_packaged_reference_is_found_by_name(cache: DigestCache) -> None:
    found = reference_source()
    assert found == reference_source("scenes-heldout")
    assert found.path.name == "scenes-heldout.safetensors"
    assert found.digest(cache) == hashlib.sha256(found.path.read_bytes()).hexdigest()


def test_a_file_is_named_by_its_stem(tmp_path: Path, cache: DigestCache) -> None:
    path = tmp_path / "of-mine.safetensors"
    found = reference_source(str(path))
    assert found == ReferenceSource("of-mine", path)
    with pytest.raises(
        MissingFilesError, match=f"reference=of-mine: {path} does not exist; build it with: turbo"
    ):
        found.digest(cache)
    path.write_bytes(b"x")
    assert found.digest(cache) == hashlib.sha256(b"x").hexdigest()


def test_an_unknown_name_lists_the_packaged_ones() -> None:
    with pytest.raises(InputError, match="reference=mine: unknown. Valid: FILE.safetensors, scen"):
        reference_source("mine")
