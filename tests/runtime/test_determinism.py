"""The image lane's settings, and what the fingerprint says of them."""

from __future__ import annotations

import torch

from turbo_lab import environment
from turbo_lab.runtime.determinism import SDPA_BACKENDS, image_lane


def test_the_fingerprint_names_the_backends_that_are_set() -> None:
    names = {"FLASH_ATTENTION": "flash", "MATH": "math"}
    said = environment.fingerprint("cpu", 1).keys["sdpa_backend"]
    assert said == ",".join(names[backend.name] for backend in SDPA_BACKENDS)


def test_everything_is_as_before_afterwards() -> None:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with image_lane(threads + 1):
        assert torch.get_num_threads() == threads + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == strict
