"""A sweep as a model card: Markdown with a YAML header, as the Hugging Face hub reads it.

Owns how a recorded licence becomes the hub's, and which of a sweep's values are its results.
https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import yaml

from turbo_lab import __version__
from turbo_lab.cards import model_card as card_of
from turbo_lab.cards import model_names
from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.report.columns import label, varying_axes
from turbo_lab.report.markdown import markdown_cell, sweep_table
from turbo_lab.store.provenance import WeightsOrigin

# Licences that the hub has a name for: the name in our cards, in lower case.
_LICENSES = {
    *("apache-2.0", "mit", "openrail", "openrail++", "creativeml-openrail-m", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "bsd-3-clause", "gpl-3.0", "unknown"),
}


def model_card(sweep: SweepResult, environment: Mapping[str, object], sheet: str | None) -> str:
    """Return a model card for the models of a sweep.

    ``environment``: fingerprint keys of its cells. ``sheet``: contact sheet, relative to the card;
    ``None``: there is none.
    """
    cells = sweep.cells
    weights = {name: one for cell in cells for name, one in cell.provenance.weights.items()}
    names = list(dict.fromkeys(cell.model for cell in cells))
    images = sum(len(cell.images) for cell in cells)
    prompts = {name: digest for c in cells for name, digest in c.provenance.prompt_sets.items()}
    parts = [
        f"---\n{_header(names, weights, cells)}---",
        f"# {', '.join(map(markdown_cell, names))}",
        f"Measured by turbo-lab {__version__} in sweep `{sweep.sweep_id}`: {len(cells)} cells, "
        f"{images} images.",
        f"## Licences\n\n{_licences(weights)}",
        f"## Results\n\n{sweep_table(cells).strip()}\n\nIntervals are at 95%.",
        f"## Settings\n\n{_table(('setting', 'value'), list(fixed_settings(cells).items()))}",
        f"## Prompts\n\n{_table(('set', 'sha256'), list(prompts.items()))}",
    ]
    if sheet is not None:
        parts.append(f"## Samples\n\n![images of every cell](<{sheet}>)")
    if environment:
        rows = list(environment.items())
        parts.append(f"## Environment\n\n{_table(('key', 'value'), rows)}")
    if failed := [f"- {markdown_cell(cell.error)}" for cell in cells if cell.error]:
        parts.append("## Failures\n\n" + "\n".join(failed))
    return "\n\n".join(parts) + "\n"


def _header(
    names: Sequence[str], weights: Mapping[str, WeightsOrigin], cells: Sequence[CellResult]
) -> str:
    """Return the YAML header."""
    known = [name for name in names if name in model_names()]
    bases = [repository for name in known if (repository := card_of(name).repository)]
    header: dict[str, object] = {
        **_license(sorted({origin.license for origin in weights.values()})),
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "stable-diffusion-xl", "turbo-lab"],
    }
    if bases:
        header["base_model"] = bases
    if index := _index(cells):
        header["model-index"] = index
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=100)


def _license(recorded: Sequence[str]) -> dict[str, str]:
    """Return the licence by the hub's name; ``other`` with its own name for any other."""
    if len(recorded) == 1 and recorded[0].lower() in _LICENSES:
        return {"license": recorded[0].lower()}
    return {"license": "other", "license_name": _line("; ".join(recorded))}


def _index(cells: Sequence[CellResult]) -> list[dict[str, object]]:
    """Return the metrics of every cell, one entry per model."""
    axes = varying_axes(cells)
    found: dict[str, list[dict[str, object]]] = {}
    for cell in cells:
        settings = label(cell, axes)
        metrics = [
            {"type": name, "name": _line(f"{name} ({settings})"), "value": metric.value}
            for name, metric in cell.metrics.items()
            if metric.value is not None and math.isfinite(metric.value)
        ]
        prompts = _line(cell.parameters.prompts)
        if metrics:
            found.setdefault(cell.model, []).append(
                {
                    "task": {"type": "text-to-image"},
                    "dataset": {"type": prompts, "name": prompts},
                    "metrics": metrics,
                }
            )
    return [{"name": _line(name), "results": results} for name, results in found.items()]


def _line(text: str) -> str:
    """Return a text in one line, so that none of it can end the header."""
    return " ".join(text.split())


def _licences(weights: Mapping[str, WeightsOrigin]) -> str:
    rows = [
        (name, one.license, one.license_source, one.revision or "-", one.digest[:12])
        for name, one in weights.items()
    ]
    return _table(("weights", "licence", "read in", "revision", "sha256"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(map(markdown_cell, row))} |" for row in rows]
    return "\n".join(lines)
