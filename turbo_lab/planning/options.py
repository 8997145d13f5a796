"""The options of a sweep that are the same for all of its cells, typed and validated.

Owns the rule and the message of every config key that is not part of a cell: where
results go, how they are made, what is measured and where it is tracked. The keys that
make a cell are in :mod:`turbo_lab.request.request`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from turbo_lab import environment
from turbo_lab.errors import InputError
from turbo_lab.metrics.table import metric_names

Share = Literal["exact", "batched", "none"]
TimingRuleName = Literal["short", "full"]
TrackingKind = Literal["none", "local", "server"]
TrackedImages = Literal["all", "sheet", "none"]
DEFAULT_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class MetricOptions:
    """Metrics to measure, and the extractors and references that they use."""

    names: tuple[str, ...]
    """Metrics to measure; empty: none."""
    extractor: str
    """Name or folder of the extractor of every metric but ``fid``."""
    pretrained: str | None
    """Weights of the extractor: an open_clip tag or a file; ``None``: those of its name."""
    reference: str | None
    """Reference set of Fréchet distances, a name or a file; ``None``: there is none."""
    inception: str | None
    """File of torch-fidelity's Inception, for ``fid``; ``None``: its usual place."""
    fid_reference: str | None
    """Reference set of ``fid``, a name or a file; ``None``: there is none."""

    @classmethod
    def from_config(cls, metrics: Mapping[str, Any], reference: Any) -> MetricOptions:
        """Validate a ``metrics`` node and ``reference``. Raises :class:`InputError`."""
        return cls(
            names=tuple(metric_names(str(metrics["names"]))),
            extractor=str(metrics["extractor"]),
            pretrained=_optional_text(metrics["pretrained"]),
            reference=_optional_text(reference),
            inception=_optional_text(metrics.get("inception")),
            fid_reference=_optional_text(metrics.get("fid_reference")),
        )


@dataclass(frozen=True)
class TrackingOptions:
    """Where a sweep is tracked, and how much of it."""

    kind: TrackingKind
    """``local``: MLflow in the working directory; ``server``: an MLflow server."""
    uri: str | None = field(repr=False)
    """Address of the server, maybe with a password; ``None`` unless ``kind`` is ``server``."""
    images: TrackedImages
    """Images to upload: ``all``, the contact ``sheet`` only, or ``none``."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """How long a sweep waits for its projection, in seconds."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> TrackingOptions:
        """Validate a ``tracking`` node. Raises :class:`InputError`."""
        images, kind = values["images"], values["kind"]
        if images not in get_args(TrackedImages):
            raise InputError(f"tracking.images={images}: must be all, sheet or none")
        if kind not in get_args(TrackingKind):
            raise InputError(f"tracking.kind={kind}: must be local, server or none")
        timeout_s = _timeout_s(values["timeout_s"])
        return cls(kind, _address(values["uri"]) if kind == "server" else None, images, timeout_s)


NOT_TRACKED = TrackingOptions("none", None, "none")


@dataclass(frozen=True)
class RunOptions:
    """How a sweep runs: everything that is read once for all of its cells."""

    store: Path
    """Folder of results."""
    output: Path
    """Folder for the PNG files of ``generate``."""
    device: str
    """``cpu`` or ``cuda``."""
    num_threads: int
    """CPU threads, at least 1."""
    share: Share
    """Work that the batches of a group may have in common."""
    may_split: bool
    """Draw a batch that does not fit into memory in halves; otherwise it fails."""
    timing: TimingRuleName | None
    """How long each cell is timed; ``None``: not at all."""
    metrics: MetricOptions
    """What is measured."""
    tracking: TrackingOptions
    """Where it is tracked."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> RunOptions:
        """Validate plain config values. Raises :class:`InputError`."""
        share, on_out_of_memory = values["share"], values["on_out_of_memory"]
        if share not in get_args(Share):
            raise InputError(f"share={share}: must be exact, batched or none")
        if on_out_of_memory not in ("fail", "split"):
            raise InputError(f"on_out_of_memory={on_out_of_memory}: must be fail or split")
        num_threads = values["num_threads"]
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise InputError(f"num_threads={num_threads}: must be a whole number, at least 1")
        return cls(
            store=Path(str(values["store"])),
            output=Path(str(values["output"])),
            device=environment.resolve_device(str(values["device"])),
            num_threads=num_threads,
            share=share,
            may_split=on_out_of_memory == "split",
            timing=_timing(values["timing"]),
            metrics=MetricOptions.from_config(values["metrics"], values["reference"]),
            tracking=TrackingOptions.from_config(values["tracking"]),
        )

    def timed(self) -> TimingRuleName:
        """Return the timing rule of a command that only times. Raises :class:`InputError`."""
        if self.timing is None:
            raise InputError("timing=off: must be short or full")
        return self.timing


def _timing(value: Any) -> TimingRuleName | None:
    if value in (False, "off", None):  # YAML reads a bare off as false
        return None
    if value not in get_args(TimingRuleName):
        raise InputError(f"timing={value}: must be off, short or full")
    return cast(TimingRuleName, value)


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _address(value: Any) -> str:
    """Check ``tracking.uri``. No message quotes it: it may hold a password."""
    uri = str(value or "")
    if not re.match(r"[A-Za-z][\w+.-]*(:|$)", uri):
        raise InputError(
            "tracking.uri: not an address; write one such as http://localhost:5000 or "
            "sqlite:////folder/mlflow.db"
        )
    try:
        parts = urlsplit(uri)
        is_split = "@" in parts.path + parts.query + parts.fragment or parts.port == 0
    except ValueError:
        is_split = True
    if uri.startswith("http") and (is_split or not parts.hostname):
        raise InputError(
            "tracking.uri: not an address of a server; in its user name and password write "
            "/ as %2F, ? as %3F, # as %23, @ as %40"
        )
    return uri


def _timeout_s(value: Any) -> float:
    """Check ``tracking.timeout_s``."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise InputError(f"tracking.timeout_s={value}: must be a number of seconds above 0")
    return float(value)
