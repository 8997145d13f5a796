"""Sides that begin from different source images, or at different strengths, are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.compare.test_baseline import made
from tests.recipes import PARAMETERS
from tests.small_sweeps import small_sweep
from turbo_lab.compare.beginnings import Beginning, check_same_beginning
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep

FROM_SHAPES = ("image=shapes", "strength=0.5", "num_inference_steps=2")


@pytest.fixture
def pictured(tiny_sdxl_dir: Path) -> ResolvedSweep:
    return small_sweep(tiny_sdxl_dir, *FROM_SHAPES)


def refusal(candidate: Beginning, baseline: Beginning) -> str:
    with pytest.raises(InputError) as caught:
        check_same_beginning("gate", candidate, baseline)
    (line,) = str(caught.value).splitlines()
    return line


def test_equal_beginnings_compare(tiny_sdxl_dir: Path, pictured: ResolvedSweep) -> None:
    own = Beginning.of("the candidate", pictured)
    text = Beginning.of("the candidate", small_sweep(tiny_sdxl_dir))
    check_same_beginning("gate", own, own)
    check_same_beginning("gate", text, text)
    check_same_beginning("gate", text, Beginning.stored("baseline release", made()))
    more = small_sweep(tiny_sdxl_dir, *FROM_SHAPES, "num_images=4")
    check_same_beginning("gate", own, Beginning.of("the baseline", more))


def test_noise_and_a_source_image_do_not_compare(
    tiny_sdxl_dir: Path, pictured: ResolvedSweep
) -> None:
    own = Beginning.of("the candidate", pictured)
    assert refusal(own, Beginning.stored("baseline release", made())) == (
        "gate: the candidate begins from image=shapes at strength=0.5, baseline release from "
        "noise: such images do not compare; give image and strength once, for both"
    )
    text = Beginning.of("the baseline", small_sweep(tiny_sdxl_dir))
    assert "the baseline from noise" in refusal(own, text)


def test_another_strength_is_named(tiny_sdxl_dir: Path, pictured: ResolvedSweep) -> None:
    stronger = small_sweep(tiny_sdxl_dir, *FROM_SHAPES[::2], "strength=1")
    line = refusal(Beginning.of("a", pictured), Beginning.of("b", stronger))
    assert line == (
        "gate: a begins from image=shapes at strength=0.5, b from image=shapes at strength=1: such "
        "images do not compare; give strength once, for both; turbo-lab sweep shows what strength "
        "does"
    )


def test_other_source_images_are_named_by_their_digests(
    tiny_sdxl_dir: Path, tmp_path: Path, pictured: ResolvedSweep
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    image = f"image={tmp_path / 'red.png'}"
    other = small_sweep(tiny_sdxl_dir, image, *FROM_SHAPES[1:])
    line = refusal(Beginning.of("a", pictured), Beginning.of("b", other))
    pattern = (
        r"gate: a begins from image=shapes \(source [0-9a-f]{12} and 1 more\) at strength=0.5, b "
        rf"from {re.escape(image)} \(source [0-9a-f]{{12}}\) at strength=0.5: such images do not "
        "compare; give image and strength once, for both"
    )
    assert re.fullmatch(pattern, line)


def test_a_stored_baseline_keeps_its_sources(pictured: ResolvedSweep) -> None:
    cell = pictured.cells[0]
    layout = cell.batches[0].layout
    stored = replace(
        made(),
        parameters=replace(PARAMETERS, image="shapes", strength=0.5),
        keys=tuple(zip(layout.prompts, layout.seeds, strict=True)),
        sources=layout.sources,
    )
    own = Beginning.of("the candidate", pictured)
    check_same_beginning("gate", own, Beginning.stored("baseline mine", stored))
    # The file has other pixels now: the path is the same, the digests are not.
    changed = replace(stored, sources=layout.sources[::-1])
    assert "do not compare" in refusal(own, Beginning.stored("baseline mine", changed))
    # An earlier version kept no sources: the strength is all that is known.
    check_same_beginning("gate", own, Beginning.stored("", replace(stored, sources=None)))


def test_another_size_is_not_taken_for_another_source(
    tiny_sdxl_dir: Path, pictured: ResolvedSweep
) -> None:
    wide = small_sweep(tiny_sdxl_dir, *FROM_SHAPES, "resolution=128x64")
    check_same_beginning("gate", Beginning.of("a", pictured), Beginning.of("b", wide))
