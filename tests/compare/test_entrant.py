"""Entrants: their labels, and what is said of their sizes before anything is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_sweeps import small_sweep
from turbo_lab.compare.entrant import (
    Entrant,
    FailedEntrant,
    check_pairs,
    drawn_entrant,
    entrant_label,
    size_warnings,
)
from turbo_lab.errors import InputError


def test_a_label_has_model_steps_and_what_differs(tiny_sdxl_dir: Path) -> None:
    entrant = Entrant(small_sweep(tiny_sdxl_dir), ("dtype=bfloat16",))
    assert entrant.label == "tiny-sdxl 1 step dtype=bfloat16"
    assert entrant.at(4).label == "tiny-sdxl 4 steps dtype=bfloat16"
    assert entrant_label("a", 1, ()) == "a 1 step"


def test_each_pair_of_two_sizes_is_named(tiny_sdxl_dir: Path) -> None:
    small = Entrant(small_sweep(tiny_sdxl_dir))
    large = Entrant(small_sweep(tiny_sdxl_dir, "resolution=128"), ("resolution=128",))
    failed = FailedEntrant("x", InputError("x"))
    assert size_warnings([small, failed], [small, failed]) == []
    (warning,) = size_warnings([small, large], [small])
    assert warning.startswith("tiny-sdxl 1 step is drawn at 64x64 and tiny-sdxl 1 step resolution=")


@pytest.mark.parametrize("word", ["seed=1", "num_images=3", "prompt=a", "seed_mode=same"])
def test_images_that_are_no_pairs_are_refused(word: str, tiny_sdxl_dir: Path) -> None:
    base = Entrant(small_sweep(tiny_sdxl_dir))
    other = Entrant(small_sweep(tiny_sdxl_dir, word), (word,))
    failed = FailedEntrant("x", InputError("x"))
    message = f"{word} draws other prompts or seeds than tiny-sdxl 1 step, so that no two images"
    with pytest.raises(InputError, match=message):
        check_pairs([base, failed, other], [base])
    check_pairs([failed, Entrant(small_sweep(tiny_sdxl_dir, "batch_size=1"))], [base, failed])


def test_an_entrant_that_cannot_run_raises_its_reason() -> None:
    with pytest.raises(InputError, match="needs a GPU"):
        drawn_entrant(FailedEntrant("x", InputError("needs a GPU")))
