"""Sweep documents with what a store knows beside them, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.report.documents import cell, sweep_document
from turbo_lab.environment import Fingerprint
from turbo_lab.images import encode_png
from turbo_lab.report.columns import CellDetails
from turbo_lab.report.html.pictures import Picture, read_pictures

NASTY = '</script><img src=x onerror="errors.push(\'prompt ran\')"> & "quotes"'


def details_of(document: dict[str, Any]) -> dict[str, CellDetails]:
    """Four scores an image and six calls a cell."""
    return {
        row["record_id"]: CellDetails(
            per_image={"clip_score": (0.5, 0.6, 0.7, 0.1 * index)},
            samples_s=tuple(0.1 * (index + 1) + 0.001 * call for call in range(6)),
            fingerprint=Fingerprint({"torch": "2.15.0", "isa": NASTY}, {"os": "Linux"}),
        )
        for index, row in enumerate(document["cells"])
        if row["status"] != "failed"
    }


def sweep_with_details(
    folder: Path,
) -> tuple[dict[str, Any], dict[str, CellDetails], dict[str, Picture]]:
    """Four cells, one of them failed; an interval of latency; a prompt with markup in it."""
    document = sweep_document(folder)
    for index, row in enumerate(document["cells"]):
        if row["latency_s"]:
            middle = row["latency_s"]["p50"]
            row["latency_s"]["ci95"] = (middle - 0.01, middle + 0.01)
            row["metrics"]["clip_score"]["ci95"] = (0.45 + 0.1 * index, 0.55 + 0.1 * index)
        for entry in row["images"][:1]:
            entry["prompt"] = NASTY
    paths = [Path(entry["path"]) for row in document["cells"] for entry in row["images"]]
    return document, details_of(document), read_pictures(paths)


def large_sweep(
    folder: Path, num_cells: int
) -> tuple[dict[str, Any], dict[str, CellDetails], dict[str, Picture]]:
    """A grid of steps by guidance with four images a cell, each of them noise."""
    draws = np.random.default_rng(0)
    document = sweep_document(None)
    cells = []
    for index in range(num_cells):
        steps, guidance = 1 + index % 10, index // 10 / 4
        row = cell(index, {"num_inference_steps": steps, "guidance_scale": guidance}, None)
        for image in range(4):
            path = folder / f"{index}-{image}.png"
            pixels = draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            path.write_bytes(encode_png(pixels, {"parameters": "long text " * 40}))
            row["images"].append(
                {"path": str(path), "pixel_sha256": "0" * 64, "seed": image, "prompt": f"p{image}"}
            )
        cells.append(row)
    document |= {"cells": cells}
    document["counts"] = {"requested": num_cells, "distinct": num_cells, "reused": 0,
                          "done": num_cells, "failed": 0}  # fmt: skip
    paths = [Path(entry["path"]) for row in cells for entry in row["images"]]
    return document, details_of(document), read_pictures(paths)
