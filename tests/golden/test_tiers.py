"""Every fingerprint key in turn leads to the tier that the design names."""

from __future__ import annotations

import pytest

from tests.golden.observations import KEYS
from turbo_lab import environment
from turbo_lab.golden.tiers import choose_tier

EXPECTED = {
    "device_class": "T2",
    "dtype": None,
    "compile": None,
    **dict.fromkeys(
        (
            "device_model",
            "isa",
            "torch",
            "diffusers",
            "transformers",
            "tokenizers",
            "peft",
            "cuda",
            "cudnn",
            "num_threads",
            "sdpa_backend",
            "memory_format",
            "ATEN_CPU_CAPABILITY",
            "ONEDNN_MAX_CPU_ISA",
            "MKL_CBWR",
        ),
        "T1",
    ),
}


def test_the_list_covers_every_key_of_this_machine() -> None:
    keys = environment.fingerprint(device="cpu", num_threads=2).keys
    assert set(keys) == set(EXPECTED) == set(KEYS)


def test_equal_keys_are_exact() -> None:
    assert choose_tier(KEYS, dict(KEYS)).tier == "T0"


@pytest.mark.parametrize("key", sorted(EXPECTED))
def test_one_key_changed(key: str) -> None:
    choice = choose_tier(KEYS, KEYS | {key: "other"})
    assert choice.tier == EXPECTED[key]
    assert choice.differs == ((key, KEYS[key], "other"),)
    assert (choice.reason is None) == (choice.tier is not None)


@pytest.mark.parametrize("key", sorted(EXPECTED))
def test_a_key_that_cannot_be_read_is_never_covered(key: str) -> None:
    choice = choose_tier(KEYS, KEYS | {key: "unknown"})
    assert choice.tier is None
    assert key in (choice.reason or "")
    assert choose_tier(KEYS, KEYS | {key: "cuda unknown"}).tier is None


def test_a_key_of_a_newer_schema_is_never_covered() -> None:
    assert choose_tier(KEYS, KEYS | {"new": 1}).tier is None
    assert choose_tier(KEYS | {"new": 1}, KEYS).tier is None


def test_the_widest_difference_decides() -> None:
    assert choose_tier(KEYS, KEYS | {"torch": "3", "device_class": "cuda sm_90"}).tier == "T2"
    cuda = KEYS | {"device_class": "cuda sm_90", "cublas_workspace": ":4096:8"}
    assert choose_tier(KEYS, cuda).tier == "T2"
    assert choose_tier(cuda, cuda | {"cublas_workspace": ":16:8"}).tier == "T1"
