"""The options of a sweep that are equal for all of its cells, typed and validated.

Owns the rule and the message of every config key that is not part of a cell: where results
go, how they are drawn, what is measured and where it is tracked. The keys of a cell are in
:mod:`turbo_lab.request.request`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from turbo_lab import environment
from turbo_lab.cards import ConfigNode
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.metrics.table import metric_names
from turbo_lab.store.record import FLAGGED
from turbo_lab.untrusted.paths import name_problem, output_path, user_path

Share = Literal["exact", "batched", "none"]
SHARES: tuple[Share, ...] = ("exact", "batched", "none")
ON_OUT_OF_MEMORY = ("fail", "split")
TimingRuleName = Literal["short", "full"]
TIMINGS: tuple[Literal["off"] | TimingRuleName, ...] = ("off", "short", "full")
TrackingKind = Literal["none", "local", "server"]
# "auto" becomes one of the others.
_TRACKING_KINDS: tuple[TrackingKind | Literal["auto"], ...] = ("auto", "local", "server", "none")
DEFAULT_EXPERIMENT = "turbo-lab"
# MLflow's own variables; a key takes precedence over them.
_URI_VARIABLE, _EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
_MAX_EXPERIMENT = 256
TrackedImages = Literal["all", "sheet", "none"]
_TRACKED_IMAGES: tuple[TrackedImages, ...] = ("all", "sheet", "none")
DEFAULT_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class MetricOptions:
    """Metrics to measure, with the extractors and references that they use."""

    names: tuple[str, ...]
    """Names of the metrics; empty: none."""
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
    safety_checker: str | None = None
    """Folder of a safety checker, which adds the metric ``flagged``; ``None``: none is run."""

    @classmethod
    def from_config(cls, config: ConfigNode) -> MetricOptions:
        """Validate ``metrics``, ``reference`` and ``safety_checker``.

        Raises :class:`InputError`.
        """
        metrics = config.node("metrics")
        checker = config.optional_text("safety_checker")
        names = metric_names(metrics.text("names"))
        return cls(
            names=tuple(dict.fromkeys((*names, *(() if checker is None else (FLAGGED,))))),
            extractor=metrics.text("extractor"),
            pretrained=metrics.optional_text("pretrained"),
            reference=config.optional_text("reference"),
            inception=metrics.optional_text("inception"),
            fid_reference=metrics.optional_text("fid_reference"),
            safety_checker=checker,
        )


@dataclass(frozen=True)
class TrackingOptions:
    """Tracking of a sweep in MLflow: where, and how much."""

    kind: TrackingKind
    """``local``: MLflow in the working directory; ``server``: an MLflow server."""
    uri: str | None = field(repr=False)
    """Address of the server; may contain a password. ``None`` unless ``kind`` is ``server``."""
    images: TrackedImages
    """Images to upload: ``all``, the contact ``sheet`` only, or ``none``."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Longest wait of a sweep for its projection, in seconds."""
    artifacts: str | None = None
    """Folder or address that MLflow may name for artifacts, next to the default; ``None``: none."""
    experiment: str = DEFAULT_EXPERIMENT
    """Name of MLflow's experiment."""

    @classmethod
    def from_config(cls, tracking: ConfigNode) -> TrackingOptions:
        """Validate a ``tracking`` node; MLflow's variables give what it leaves open.

        Raises :class:`InputError`.
        """
        kind = tracking.choice("kind", _TRACKING_KINDS)
        uri = tracking_address(tracking.get("uri")) if kind in ("auto", "server") else None
        if kind == "auto":
            kind = "local" if uri is None else "server"
        if kind == "server" and uri is None:
            raise InputError(
                "tracking.uri: has no value; write tracking.uri=VALUE, or set "
                f"{_URI_VARIABLE}, to use tracking=server"
            )
        return cls(
            kind=kind,
            uri=uri,
            images=tracking.choice("images", _TRACKED_IMAGES),
            timeout_s=_seconds(tracking, "timeout_s"),
            artifacts=_place(tracking),
            experiment=_experiment(tracking.get("experiment")),
        )


MAX_THREADS = 1024
"""Most CPU threads. A process cannot start any number of them."""
IMAGE_AXES = ("prompt", "seed")
"""Axes of a contact sheet that need not be swept: every image has a prompt and a seed."""
NOT_TRACKED = TrackingOptions("none", None, "none")


@dataclass(frozen=True)
class SheetOptions:
    """Axes of a sweep's contact sheet."""

    across: str | None = None
    """Axis of the columns: a swept key, ``prompt`` or ``seed``; ``None``: chosen by the sheet."""
    down: str | None = None
    """Axis of the rows, as above."""

    @classmethod
    def from_config(cls, sheet: ConfigNode) -> SheetOptions:
        """Validate a ``sheet`` node. Raises :class:`InputError`."""
        across, down = sheet.optional_text("x"), sheet.optional_text("y")
        if across is not None and across == down:
            raise sheet.error("y", "is the axis of sheet.x already; name another one")
        return cls(across, down)

    def check(self, swept: Sequence[str]) -> None:
        """Raise :class:`InputError` for an axis that is neither swept nor of an image."""
        for key, name in (("x", self.across), ("y", self.down)):
            if name is not None and name not in (*swept, *IMAGE_AXES):
                raise unknown_name(f"sheet.{key}", name, (*swept, *IMAGE_AXES))


@dataclass(frozen=True)
class RunOptions:
    """Options of a run: every key that is read once for all cells."""

    store: Path
    """Folder of results."""
    output: Path
    """Folder for the PNG files of ``generate``."""
    device: str
    """``cpu`` or ``cuda``."""
    num_threads: int
    """CPU threads, at least 1."""
    share: Share
    """Work that the batches of a group may share."""
    may_split: bool
    """``True``: a batch that does not fit in memory is drawn in halves; ``False``: it fails."""
    fail_fast: bool
    """``True``: no cell is drawn after one has failed; ``False``: the others go on."""
    compile_limit_s: float
    """Longest compilation of one call, in seconds."""
    timing: TimingRuleName | None
    """Length of the timing of each cell; ``None``: cells are not timed."""
    metrics: MetricOptions
    """Metrics and their inputs."""
    tracking: TrackingOptions
    """Tracking in MLflow."""
    sheet: SheetOptions = SheetOptions()
    """Axes of the contact sheet."""

    @classmethod
    def from_config(cls, values: Mapping[str, object]) -> RunOptions:
        """Validate the values of one grid point. Raises :class:`InputError`."""
        config = ConfigNode(values)
        return cls(
            store=output_path(config.text("store"), "store"),
            output=output_path(config.text("output"), "output"),
            device=environment.resolve_device(config.text("device")),
            num_threads=config.integer("num_threads", 1, MAX_THREADS),
            share=config.choice("share", SHARES),
            may_split=config.choice("on_out_of_memory", ON_OUT_OF_MEMORY) == "split",
            fail_fast=config.boolean("fail_fast"),
            compile_limit_s=_seconds(config, "compile_limit_s"),
            timing=_timing(config),
            metrics=MetricOptions.from_config(config),
            tracking=TrackingOptions.from_config(config.node("tracking")),
            sheet=SheetOptions.from_config(config.node("sheet")),
        )

    def timed(self) -> TimingRuleName:
        """Return the timing rule of a command that only times. Raises :class:`InputError`."""
        if self.timing is None:
            raise InputError(
                "timing=off: this command times cells; set timing=short or timing=full"
            )
        return self.timing


def _timing(config: ConfigNode) -> TimingRuleName | None:
    if config.get("timing") in (False, None):  # YAML reads a bare off as false
        return None
    name = config.choice("timing", TIMINGS)
    return None if name == "off" else name


def tracking_address(value: object) -> str | None:
    """Return the address of MLflow: ``value``, or else that of MLflow's own variable.

    ``None``: there is neither. Raises :class:`InputError` if it is not an address.
    """
    if value not in (None, ""):
        return _address("tracking.uri", str(value))
    variable = os.environ.get(_URI_VARIABLE, "").strip()
    return _address(_URI_VARIABLE, variable) if variable else None


def _experiment(value: object) -> str:
    """Return the name of the experiment: the key's, the variable's, or the default."""
    source, name = "tracking.experiment", str(value or "").strip()
    if not name:
        source, name = _EXPERIMENT_VARIABLE, os.environ.get(_EXPERIMENT_VARIABLE, "").strip()
    if len(name) > _MAX_EXPERIMENT or not name.isprintable():
        raise InputError(
            f"{source}: must be a name in one line, of at most {_MAX_EXPERIMENT} characters"
        )
    return name or DEFAULT_EXPERIMENT


def _address(source: str, uri: str) -> str:
    """Check the address in a key or variable, which may contain a password: it is never quoted."""
    if not re.match(r"[A-Za-z][\w+.-]*(:|$)", uri):
        raise InputError(
            f"{source}: not an address; write one such as http://localhost:5000 or "
            "sqlite:////folder/mlflow.db"
        )
    try:
        parts = urlsplit(uri)
        is_split = "@" in parts.path + parts.query + parts.fragment or parts.port == 0
    except ValueError:
        is_split = True
    if uri.startswith("http") and (is_split or not parts.hostname):
        raise InputError(
            f"{source}: not an address of a server; in its user name and password write "
            "/ as %2F, ? as %3F, # as %23, @ as %40"
        )
    is_file = parts.scheme in ("sqlite", "file")
    if is_file and (problem := name_problem(Path(parts.path))) is not None:
        raise InputError(f"tracking.uri: {problem}")
    return uri


def _place(tracking: ConfigNode) -> str | None:
    place = tracking.optional_text("artifacts")
    if place is None or "://" in place or place.startswith("file:"):
        return place
    return str(user_path(place).absolute())


def _seconds(config: ConfigNode, key: str) -> float:
    seconds = config.number(key)
    if seconds <= 0:
        raise config.error(key, "must be above 0, in seconds")
    return seconds
