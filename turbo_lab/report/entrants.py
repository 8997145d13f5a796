"""The table of a comparison's entrants, for the terminal, for Markdown and for HTML.

Owns its columns and how their values print. A column that no entrant has is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turbo_lab import __version__
from turbo_lab.documents.compare import CompareReport, EntrantResult, Interval
from turbo_lab.report.markdown import number
from turbo_lab.report.sentences import per_call

Show = Callable[[EntrantResult], str]
_NONE = "-"
# Keys of the environment that a reader of the table needs, with the words for them.
_ENVIRONMENT = {
    "device_class": "",
    "device_model": "",
    "torch": "torch ",
    "diffusers": "diffusers ",
    "transformers": "transformers ",
    "cuda": "CUDA ",
    "num_threads": "CPU threads ",
}


@dataclass(frozen=True)
class EntrantTable:
    """One row per entrant, as text."""

    heads: tuple[str, ...]
    """Headings of the columns of numbers."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Label and values of each entrant that ran; the reference is the first."""
    failures: tuple[tuple[str, str], ...]
    """Label and reason of each entrant that failed."""


def entrant_table(report: CompareReport) -> EntrantTable:
    """Return the table of a comparison; without rows for a document of an earlier version."""
    ran = [one for one in report.entrants if one.error is None]
    shown = {head: [show(one) for one in ran] for head, show in _COLUMNS.items()}
    columns = {head: values for head, values in shown.items() if set(values) - {_NONE}}
    return EntrantTable(
        heads=tuple(columns),
        rows=tuple(
            (_short(one.label, report), tuple(values[index] for values in columns.values()))
            for index, one in enumerate(ran)
        ),
        failures=tuple(
            (_short(one.label, report), one.error)
            for one in report.entrants
            if one.error is not None
        ),
    )


def _short(label: str, report: CompareReport) -> str:
    """Return a label without the words that it shares with the whole label of the reference."""
    return label.removeprefix(f"{report.reference} ")


def failure_lines(table: EntrantTable) -> list[str]:
    """Return one line per entrant that failed, with its reason."""
    return [
        f"failed: {reason if reason.startswith(label) else f'{label}: {reason}'}"
        for label, reason in table.failures
    ]


def table_notes(report: CompareReport) -> list[str]:
    """Return what the columns of the table mean."""
    heads = entrant_table(report).heads
    notes = [f"Compared with {report.reference}; ratio: its median time per call is 1."]
    if "PSNR dB" in heads:
        notes.append("LPIPS, PSNR and worst tile (SSIM): images of equal prompts and seeds.")
    notes.append("CLIP and FD: difference from it, with the 95% interval.")
    return notes


def environment_line(report: CompareReport) -> str:
    """Return the environment of the reference in one line."""
    found = report.environment
    is_cpu = str(found.get("device_class", "")).startswith("cpu")
    shown = {key: word for key, word in _ENVIRONMENT.items() if key in found}
    if is_cpu:  # torch was built with a CUDA that does nothing here
        shown.pop("cuda", None)
    sizes = [one.latency_s.images_per_call for one in report.contenders]
    call = per_call(size for size in sizes if size is not None)
    parts = [f"{word}{found[key]}" for key, word in shown.items()]
    return ", ".join([f"turbo-lab {__version__}", *parts, f"timed {call}"])


def _figure(value: float | None) -> str:
    return number(value) or _NONE


def _difference(value: float | None, ci95: Interval | None) -> str:
    if value is None:
        return _NONE
    interval = "" if ci95 is None else f" ({ci95[0]:+.2g} to {ci95[1]:+.2g})"
    return f"{value:+.2g}" + interval


def _mebibytes(value: int | None) -> str:
    return _NONE if value is None else f"{value / 2**20:,.1f}"


_COLUMNS: dict[str, Show] = {
    "LPIPS": lambda one: _figure(one.lpips),
    "PSNR dB": lambda one: _figure(one.psnr_db),
    "worst tile": lambda one: _figure(one.worst_tile_ssim),
    "CLIP": lambda one: _difference(one.clip_score_difference, one.clip_score_ci95),
    "FD": lambda one: _difference(one.frechet_difference, one.frechet_ci95),
    "p50 ms": lambda one: _figure(None if one.latency_p50_s is None else one.latency_p50_s * 1e3),
    "ratio": lambda one: _NONE if one.latency_ratio is None else f"{one.latency_ratio:.2f}",
    "peak MiB": lambda one: _mebibytes(one.peak_memory_bytes),
    "J/image": lambda one: _figure(one.joules_per_image),
    "weights MiB": lambda one: _mebibytes(one.weights_bytes),
}
