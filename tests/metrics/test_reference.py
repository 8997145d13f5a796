"""Reference files: what they keep, that equal content is equal bytes, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.metrics.reference import (
    Reference,
    build_reference,
    check_extractor,
    load_reference,
    save_reference,
)


def reference_of(mean: object, covariance: object) -> Reference:
    return Reference(np.asarray(mean, float), np.asarray(covariance, float), 1000, "e", "r", "d")


def test_a_reference_survives_its_file(tmp_path: Path) -> None:
    built = build_reference(np.random.default_rng(1).normal(size=(50, 6)), "mine", "e1", "judge")
    save_reference(tmp_path / "r.safetensors", built, {"seed": "0", "prompts": "abc"})
    back = load_reference(tmp_path / "r.safetensors", "mine")
    np.testing.assert_array_equal(back.mean, built.mean)
    np.testing.assert_array_equal(back.covariance, built.covariance)
    assert (back.n, back.extractor, back.extractor_name, back.name) == (50, "e1", "judge", "mine")
    assert len(back.digest) == 64


def test_another_judges_reference_is_refused_with_both_named() -> None:
    reference = Reference(np.zeros(2), np.eye(2), 9, "a" * 64, "old", "d", "nano-clip")
    with pytest.raises(InputError, match=r"nano-clip \(a{12}\).*features come from ViT \(b{12}\)"):
        check_extractor(reference, "ViT", "b" * 64)


def test_bad_references_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match="does not exist"):
        load_reference(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not a header")
    with pytest.raises(InputError, match="is not a reference file"):
        load_reference(tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match="at least 2"):
        build_reference(np.zeros((1, 3)), "r", "e")
    with pytest.raises(InputError, match="not finite"):
        reference_of([math.nan], [[1.0]])
    with pytest.raises(InputError, match="must be"):
        reference_of(np.zeros(2), np.eye(3))


def test_kept_features_survive_the_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).standard_normal((20, 3)).astype(np.float32)
    save_reference(tmp_path / "r.safetensors", build_reference(rows, "r", "e", "j", True))
    loaded = load_reference(tmp_path / "r.safetensors")
    assert loaded.features is not None and loaded.features.dtype == np.float16
    np.testing.assert_allclose(loaded.features, rows, atol=2e-3)
    save_reference(tmp_path / "m.safetensors", build_reference(rows, "r", "e", "j"))
    assert load_reference(tmp_path / "m.safetensors").features is None


def test_the_root_is_kept_and_squares_to_the_covariance(tmp_path: Path) -> None:
    built = build_reference(np.random.default_rng(3).normal(size=(9, 12)), "r", "e")
    save_reference(tmp_path / "r.safetensors", built)
    loaded = load_reference(tmp_path / "r.safetensors")
    assert loaded.root is loaded.kept_root  # not computed again
    np.testing.assert_allclose(loaded.root @ loaded.root, loaded.covariance, atol=1e-12)
    assert loaded.trace == built.trace


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    """safetensors alone writes metadata in the order of a hash map, another one each time."""
    rows = np.random.default_rng(4).normal(size=(20, 3))
    for index in range(8):
        built = build_reference(rows, "r", "e", "judge", True)
        save_reference(tmp_path / f"{index}.safetensors", built, {"seed": "1", "style": "noto"})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_parts_of_two_references_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    rows = np.random.default_rng(5).normal(size=(20, 3))
    built, other = build_reference(rows, "r", "e"), build_reference(2 * rows, "r", "e")
    path = tmp_path / "r.safetensors"
    save_reference(path, replace(built, kept_root=other.root))
    with pytest.raises(InputError, match="its root and trace are not its covariance's"):
        load_reference(path)
    save_reference(path, built, {"trace": repr(other.trace)})
    with pytest.raises(InputError, match="its root and trace are not its covariance's"):
        load_reference(path)


def test_files_of_before_without_a_root_are_read() -> None:
    from turbo_lab.metrics.reference_source import REFERENCES

    for path in REFERENCES.glob("*.safetensors"):
        reference = load_reference(path)
        assert reference.kept_root is None
        np.testing.assert_allclose(
            reference.root @ reference.root, reference.covariance, atol=1e-9, rtol=1e-6
        )


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_types_that_numpy_lacks_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"mean": torch.zeros(1).to(kind), "covariance": torch.ones(1, 1).to(kind)}
    save_file(tensors, path, {"n": "5", "extractor": "x"})
    with pytest.raises(InputError, match="is not a reference file"):
        load_reference(path)
