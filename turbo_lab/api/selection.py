"""Points of a grid, or the cells that a person chose on a sweep's page: ``cells=FILE``.

Owns the way from a selection back to grid points: the recipes come from the store, and every key
of the command line applies to each cell. Refuses a selection of another store, one without
favourites, and a cell that would not be the same cell here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from turbo_lab import config
from turbo_lab.config import GridPoint
from turbo_lab.documents.cut_off import BegunSweep
from turbo_lab.documents.recorded_keys import hydra_text, recorded_keys
from turbo_lab.documents.selection import Selection
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.errors import InputError
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.prompts import DATA
from turbo_lab.request.resolve import Library, resolve
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.store import Store

# Keys of config groups: a point is composed with them. All others are put into a composed point.
_GROUPS = ("model", "prompts", "pipeline")
# Keys that name files: with another one, a cell may rightly be another cell.
_CONTENT = ("model", "prompts", "prompt", "prompt_sr", "lora", "vae", "image")


def compose_points(command: str, words: Sequence[str]) -> list[GridPoint]:
    """Return the points of a grid; with ``cells=FILE``, one per chosen cell and point.

    Raises :class:`InputError` and :class:`StoreError`.
    """
    points = config.compose(command, words)
    if not points or points[0].values["cells"] is None:
        return points
    if any(key == "cells" for key, _ in points[0].axes):
        raise InputError("cells: takes one file; export one selection, or run one sweep per file")
    name = str(points[0].values["cells"])
    chosen = _chosen(name, Path(str(points[0].values["store"])))
    given = points[0].given - {"cells"}
    found = list(_points_of(command, words, name, chosen, given))
    _check_ids(name, chosen, found, given)
    return [point for of_cell in found for point in of_cell]


def _chosen(name: str, root: Path) -> list[CellResult]:
    """Return the cells with a favourite image, in the order of the selection."""
    selection = Selection.read(Path(name))
    if not selection.favourites:
        raise InputError(
            f"cells={name}: has no favourites; mark images with f on the report page, and export "
            "them again"
        )
    known = {cell.cell_id: cell for cell in _cells_of(name, selection, root)}
    wanted = [one.cell_id for one in selection.favourites]
    missing = [cell_id for cell_id in wanted if cell_id not in known]
    if missing:
        raise InputError(
            f"cells={name}: cell {missing[0][:12]!a} is not in sweep {selection.sweep_id}; export "
            "the selection again"
        )
    return [known[cell_id] for cell_id in dict.fromkeys(wanted)]


def _cells_of(name: str, selection: Selection, root: Path) -> Sequence[CellResult]:
    """Return the cells of the sweep that a selection is from, finished or not."""
    if StoreLayout(root).exists:
        store = Store.existing(root)
        files = store.sweep_files(selection.sweep_id)
        if files.document.exists():
            return SweepResult.read(store, files.document).cells
        if files.begun.exists():
            return BegunSweep.read(store, files.begun).cut_off(store).cells
    raise InputError(
        f"cells={name}: is a selection of sweep {selection.sweep_id}, which the store {root} does "
        f"not have; set store={selection.store}"
    )


def _points_of(
    command: str,
    words: Sequence[str],
    name: str,
    cells: Sequence[CellResult],
    given: frozenset[str],
) -> Iterator[list[GridPoint]]:
    """Yield the points of each cell: its recorded keys under those of the command line."""
    composed: dict[tuple[str, ...], list[GridPoint]] = {}
    for cell in cells:
        keys = _ungiven(recorded_keys(cell), given)
        _check_prompts(name, cell, keys)
        grouped = {key: value for key, value in keys.items() if key.split(".")[0] in _GROUPS}
        own = tuple(f"{key}={hydra_text(value)}" for key, value in grouped.items())
        if own not in composed:
            composed[own] = config.compose(command, [*words, *own])
        plain = {key: value for key, value in keys.items() if key not in grouped}
        axes = _ungiven(cell.axes, given)
        yield [_put(point, plain, axes) for point in composed[own]]


def _ungiven(keys: Mapping[str, object], given: frozenset[str]) -> dict[str, object]:
    """Return the keys that the command line leaves open; a preset sets all pipeline keys."""
    roots = {key.split(".")[0] for key in given}
    if "prompt" in roots or "prompts" in roots:
        roots |= {"prompt", "prompts"}
    if "pipeline" in roots:
        roots |= {key.name for key in fields(PipelineKeys)}
    return {key: value for key, value in keys.items() if key.split(".")[0] not in roots}


def _put(point: GridPoint, keys: Mapping[str, object], axes: Mapping[str, object]) -> GridPoint:
    """Return a composed point with recorded values and the axes of its cell."""
    return replace(
        point,
        values={**point.values, **keys, "cells": None},
        axes=tuple({**axes, **dict(point.axes)}.items()),
        given=point.given | set(keys),
    )


def _check_prompts(name: str, cell: CellResult, keys: Mapping[str, object]) -> None:
    prompts = keys.get("prompts")
    if prompts is not None and prompts not in {path.stem for path in DATA.glob("*.txt")}:
        raise InputError(
            f"cells={name}: cell {cell.cell_id[:12]} has prompts of your own ({prompts}), whose "
            "file is not recorded; add prompts=file prompts.path=FILE"
        )


def _check_ids(
    name: str,
    cells: Sequence[CellResult],
    found: Sequence[Sequence[GridPoint]],
    given: frozenset[str],
) -> None:
    """Refuse a cell whose recorded keys mean another cell here, unless its files are given."""
    if any(key.split(".")[0] in _CONTENT for key in given):
        return
    library = Library(is_for_plan=True)
    for cell, points in zip(cells, found, strict=True):
        keys = recorded_keys(cell)
        plain = {key: value for key, value in keys.items() if key.split(".")[0] not in _GROUPS}
        point = points[0]
        resolved = resolve({**point.values, **plain}, point.axes, library, point.given | set(keys))
        if resolved.cell_id != cell.cell_id and not library.absent:
            raise InputError(
                f"cells={name}: cell {cell.cell_id[:12]} would be another cell here: its model, "
                "LoRA, VAE or prompts are not those of the sweep; name the files that it was "
                "drawn with, such as model.path=FILE or prompts.path=FILE"
            )
