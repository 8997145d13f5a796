"""The folder of goldens: what is read back, and what is refused with its reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.golden.observations import observation, recorded
from turbo_lab import config
from turbo_lab.errors import InputError, StoreError
from turbo_lab.golden.document import Golden
from turbo_lab.golden.library import (
    GoldenLibrary,
    from_strip,
    open_library,
    packaged_root,
    to_strip,
)
from turbo_lab.images import encode_png


@pytest.fixture
def library(tmp_path: Path) -> GoldenLibrary:
    return GoldenLibrary(tmp_path / "goldens", tmp_path / "content")


def test_what_was_written_is_read_back(library: GoldenLibrary) -> None:
    seen = observation()
    golden = recorded(library, seen)
    assert library.read("case") == golden
    tensors = library.stored_tensors(golden).tensors
    by_stage = {value.stage: value.values for value in seen.stages}
    for stage, values in tensors.items():
        np.testing.assert_array_equal(values, by_stage[stage])
    assert {"noise", "latents.0", "pixels"} <= set(tensors)


def test_recording_does_not_write_over(library: GoldenLibrary) -> None:
    recorded(library, observation())
    before = (library.root / "case" / "golden.json").read_bytes()
    with pytest.raises(InputError, match="golden accept case"):
        recorded(library, observation(1))
    assert (library.root / "case" / "golden.json").read_bytes() == before


def test_a_sidecar_edited_by_hand_is_refused(library: GoldenLibrary) -> None:
    recorded(library, observation())
    path = library.root / "case" / "golden.json"
    values = json.loads(path.read_text())
    values["processes"] = 99
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="edited by hand"):
        library.read("case")


def test_a_truncated_sidecar_is_refused(library: GoldenLibrary) -> None:
    recorded(library, observation())
    path = library.root / "case" / "golden.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(StoreError, match="is damaged"):
        library.read("case")


def test_a_newer_schema_is_refused(library: GoldenLibrary) -> None:
    recorded(library, observation())
    path = library.root / "case" / "golden.json"
    values = json.loads(path.read_text())
    values["schema"] = 99
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="newer than this turbo-lab"):
        library.read("case")


def test_two_goldens_of_one_case_are_refused(library: GoldenLibrary) -> None:
    recorded(library, observation(), "first")
    recorded(library, observation(), "second")
    with pytest.raises(StoreError, match="first and second are of the same case"):
        library.read_all()
    assert library.duplicates() == {"first": "second", "second": "first"}
    path = library.root / "second" / "golden.json"
    path.write_text(path.read_text()[:200])
    assert library.duplicates() == {}


@pytest.mark.parametrize("file", ["tensors.safetensors", "image.png"])
def test_missing_and_changed_files_are_refused(library: GoldenLibrary, file: str) -> None:
    golden = recorded(library, observation())
    path = library.root / "case" / file
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="its digest is not the one in golden.json"):
        library.stored_tensors(golden)
    path.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        library.stored_tensors(golden)


def test_large_files_lie_in_the_content_store(library: GoldenLibrary) -> None:
    import dataclasses

    seen = observation()
    large = np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3), dtype=np.uint8)
    pixels = dataclasses.replace(seen.stages[-1], values=large)
    golden = recorded(library, dataclasses.replace(seen, stages=(*seen.stages[:-1], pixels)))
    assert not (library.root / "case" / "image.png").exists()
    assert (library.content / golden.image).exists()
    np.testing.assert_array_equal(library.stored_tensors(golden).tensors["pixels"], large)


def test_orphans_are_named(library: GoldenLibrary) -> None:
    recorded(library, observation(), "kept")
    recorded(library, observation(1), "gone")
    library.write_cases({"kept": ("seed=1",)})
    (library.root / "gone" / "golden.json").unlink()  # what is left of it is still one
    assert library.orphans() == ["gone"]


def test_what_is_not_a_golden_of_ours_is_no_orphan_and_stays(library: GoldenLibrary) -> None:
    recorded(library, observation(), "gone")
    library.write_cases({})
    recorded(GoldenLibrary(library.root / "test_it", library.content), observation(), "test_one")
    (library.root / "notes").mkdir()
    (library.root / "gone" / "why.txt").write_text("mine")
    assert library.orphans() == ["gone"]
    library.remove("gone")
    assert [path.name for path in (library.root / "gone").iterdir()] == ["why.txt"]
    assert library.orphans() == []


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ({"one": "seed=1"}, "one must be a list of overrides"),
        ({"one": [1]}, "one must be a list of overrides"),
        ([["one"]], "cases must be an object"),
        ({"../one": ["seed=1"]}, "must consist of letters"),
        ({"one/two": ["seed=1"]}, "must consist of letters"),
        ({"one": ["prompt=${oc.env:TOKEN}"]}, "reads a value from elsewhere, such as an env"),
    ],
)
def test_cases_that_make_no_sense_are_refused(
    library: GoldenLibrary, cases: object, message: str
) -> None:
    library.write_cases({})
    path = library.root / "cases.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cases": cases}))
    with pytest.raises((InputError, StoreError), match=message):
        library.cases()


def test_the_packaged_goldens_serve_where_there_are_none_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_library().root == packaged_root()
    own = GoldenLibrary(tmp_path / "goldens", tmp_path / "content")
    recorded(GoldenLibrary(own.root / "test_it", own.content), observation(), "test_one")
    assert open_library().root == packaged_root()  # the pytest plugin's
    recorded(own, observation())
    assert open_library().root == own.root
    (own.root / "cases.json").unlink()
    assert open_library().root == own.root  # lost, and no reason to check others
    with pytest.raises(StoreError, match=r"cases.json: does not exist"):
        own.cases()


def test_a_strip_is_the_images_side_by_side() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    assert to_strip(pixels).shape == (4, 15, 3)
    np.testing.assert_array_equal(from_strip(to_strip(pixels), 3), pixels)


def test_packaged_goldens_stay_small() -> None:
    folders = [path for path in packaged_root().glob("*") if path.is_dir()]
    for folder in folders:
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert size <= 60 << 10 or not folder.name.startswith("nano-turbo"), folder


def test_a_text_with_an_escaped_interpolation_is_a_text(library: GoldenLibrary) -> None:
    library.write_cases({"one": (config.quoted("a ${sign}"),)})
    assert library.cases() == {"one": (r"'a \${sign}'",)}


def rewritten(library: GoldenLibrary, file: str, content: bytes) -> Golden:
    """The golden with another file, and with the digest of that file."""
    folder = library.root / "case"
    (folder / file).write_bytes(content)
    field = {"image.png": "image", "tensors.safetensors": "tensors"}[file]
    sha256 = hashlib.sha256(content).hexdigest()
    return replace(library.read("case"), **{field: sha256})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("image.png", b"no image"),
        ("image.png", encode_png(np.zeros((3, 7, 3), np.uint8), {})),
        ("tensors.safetensors", b"no tensors"),
        ("tensors.safetensors", save({"noise": np.zeros(3, np.float32)})),
    ],
)
def test_files_that_fit_their_digests_and_nothing_else_are_refused(
    library: GoldenLibrary, file: str, content: bytes
) -> None:
    recorded(library, observation())
    with pytest.raises(StoreError, match=f"{file}: cannot be read|the stored .* does not match"):
        library.stored_tensors(rewritten(library, file, content))


def test_a_golden_without_images_is_refused(library: GoldenLibrary) -> None:
    recorded(library, observation())
    golden = library.read("case")
    without = tuple(m for m in golden.stages if m.stage != "pixels")
    with pytest.raises(StoreError, match=r"image\.png: cannot be read"):
        library.stored_tensors(replace(golden, stages=without))
