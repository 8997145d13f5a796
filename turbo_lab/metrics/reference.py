"""Reference statistics: what distances compare with, and their files.

Owns the safetensors file: mean, covariance and its root (float64), features if
kept, and as text the number of images, the extractor and the trace. Equal content
gives equal bytes, so that a reference built twice has one digest. Refuses
files whose parts do not belong together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turbo_lab.errors import MALFORMED, InputError, MissingFilesError
from turbo_lab.identity import hash_file, sha256_text
from turbo_lab.metrics.inputs import Floats
from turbo_lab.untrusted.paths import replace_file

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Mean and covariance of a reference set's features, with the extractor they are from."""

    mean: Array
    """Mean, (d,) float64."""
    covariance: Array
    """Covariance, (d, d) float64, symmetric, of n - 1 degrees of freedom."""
    n: int
    """Number of images."""
    extractor: str
    """Digest of the extractor; another extractor's features are refused."""
    name: str
    """Name for display."""
    digest: str
    """sha256 of the file, or of the arrays if it was made in memory."""
    extractor_name: str = "unnamed"
    """Name of the extractor, for messages."""
    features: npt.NDArray[np.floating[Any]] | None = None
    """Features, (n, d), for kernel distances. ``None``: only the moments were kept."""
    kept_root: Array | None = None
    """:attr:`root` as the file has it; ``None``: it is computed at the first use."""

    def __post_init__(self) -> None:
        d = self.mean.size
        if self.mean.shape != (d,) or self.covariance.shape != (d, d) or not d or self.n < 2:
            raise InputError(
                f"reference={self.name}: mean {self.mean.shape}, covariance "
                f"{self.covariance.shape}, n {self.n}: must be (d,), (d, d) and at least 2"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise InputError(f"reference={self.name}: holds values that are not finite")

    @cached_property
    def root(self) -> Array:
        """Symmetric square root of the covariance, (d, d)."""
        if self.kept_root is not None:
            return self.kept_root
        values, vectors = np.linalg.eigh(self.covariance)
        root: Array = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return root

    @cached_property
    def trace(self) -> float:
        """Trace of the covariance."""
        return float(np.trace(self.covariance))


def check_extractor(reference: Reference, name: str, digest: str) -> None:
    """Raise :class:`InputError` that names both extractors if they are not the same."""
    if reference.extractor != digest:
        raise InputError(
            f"reference={reference.name}: made with extractor {reference.extractor_name} "
            f"({reference.extractor[:12]}), but the images' features come from {name} "
            f"({digest[:12]}); "
            "build the reference again with: turbo-lab reference build"
        )


def build_reference(
    features: Floats,
    name: str,
    extractor: str,
    extractor_name: str = "unnamed",
    keep_features: bool = False,
) -> Reference:
    """Compute statistics of (N, d) features, N >= 2, in float64.

    ``extractor``: digest of the extractor. ``keep_features``: keep the features as well, as
    float16, for kernel distances.
    """
    data = finite_rows(features)
    if len(data) < 2:
        raise InputError(f"reference={name}: {len(data)} images; at least 2 are needed")
    mean, covariance = data.mean(axis=0), np.atleast_2d(np.cov(data, rowvar=False))
    content = sha256_text(f"{len(data)}\n{extractor}\n{mean.tobytes()!r}{covariance.tobytes()!r}")
    kept = features.astype(np.float16) if keep_features else None
    return Reference(
        mean,
        covariance,
        n=len(data),
        extractor=extractor,
        name=name,
        digest=content,
        extractor_name=extractor_name,
        features=kept,
    )


def save_reference(
    path: Path, reference: Reference, extra: Mapping[str, str] | None = None
) -> None:
    """Write everything that distances to it need, atomically.

    ``extra``: more facts, such as the seed and the digest of the images.
    """
    from safetensors.numpy import save

    metadata = {
        "n": str(reference.n),
        "extractor": reference.extractor,
        "extractor_name": reference.extractor_name,
        "name": reference.name,
        "trace": repr(reference.trace),
        **(extra or {}),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "mean": reference.mean,
        "covariance": reference.covariance,
        "root": reference.root,
    }
    if reference.features is not None:
        arrays["features"] = reference.features
    content = _in_order(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


def load_reference(path: Path, name: str | None = None) -> Reference:
    """Read :func:`save_reference`'s file; raises :class:`MissingFilesError` or ``InputError``."""
    from safetensors import SafetensorError, safe_open

    label = name or path.stem
    if not path.is_file():
        raise MissingFilesError(f"reference={label}: {path} does not exist")
    try:
        with safe_open(path, framework="np") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        n, extractor = int(metadata["n"]), metadata["extractor"]
        mean, covariance = arrays["mean"], arrays["covariance"]
        trace = float(metadata.get("trace", np.trace(covariance)))
    except (SafetensorError, *MALFORMED) as error:
        raise InputError(f"reference={label}: {path} is not a reference file ({error})") from error
    reference = Reference(
        mean=mean.astype(np.float64),
        covariance=covariance.astype(np.float64),
        n=n,
        extractor=extractor,
        name=label,
        digest=hash_file(path),
        extractor_name=metadata.get("extractor_name", "unnamed"),
        features=arrays.get("features"),
        kept_root=arrays.get("root"),
    )
    _check_parts(reference, trace, path)
    return reference


def finite_rows(features: Floats) -> Array:
    """Return (N, d) as float64; raises ``ValueError`` for another shape or non-finite values."""
    if features.ndim != 2:  # atleast_2d would turn flattened features into a distance near 0
        raise ValueError(f"features: shape {features.shape}: must be (N, d)")
    if not np.isfinite(features).all():
        raise ValueError("features: values are not finite")
    return features.astype(np.float64)


def _check_parts(reference: Reference, trace: float, path: Path) -> None:
    """Check that the root's squares sum to the trace, which fails for another covariance."""
    root = reference.kept_root
    sums = [trace] if root is None else [trace, float(np.square(root).sum())]
    shapes_fit = root is None or root.shape == reference.covariance.shape
    close = all(math.isclose(value, reference.trace, rel_tol=1e-6) for value in sums)
    if not (shapes_fit and close):
        raise InputError(
            f"reference={reference.name}: {path}: its root and trace are not its covariance's; "
            "build it again with: turbo-lab reference build"
        )


def _in_order(content: bytes) -> bytes:
    """Return a safetensors file with a sorted header: the library writes metadata in any order."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    padded = header.encode() + b" " * (-len(header.encode()) % 8)
    return len(padded).to_bytes(8, "little") + padded + content[8 + size :]
