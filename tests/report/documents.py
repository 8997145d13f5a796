"""A sweep document with the fields that reports read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.images import encode_png, pixel_sha256


def figure(value: float | None, direction: str, ci95: Any = None, note: Any = None) -> dict:
    return {
        "value": value,
        "unit": "1",
        "n": 8,
        "direction": direction,
        "fingerprint": "f" * 64,
        "ci95": ci95,
        "note": note,
    }


def cell(index: int, axes: dict[str, Any], folder: Path | None, error: str | None = None) -> dict:
    images = []
    if folder is not None and error is None:
        for row in range(4):
            path = folder / f"{index}-{row}.png"
            shade = np.full((64, 64, 3), 40 * index + 10 * row, np.uint8)
            path.write_bytes(encode_png(shade, {}))
            image = {"path": str(path), "pixel_sha256": pixel_sha256(shade)}
            images.append(image | {"seed": row, "prompt": f"p <{row}>"})
    latency = {"mean": 0.1, "p50": 0.1 * (index + 1), "p90": 0.2, "p95": 0.2, "p99": None}
    done = error is None
    return {
        "cell_id": f"c{index}",
        "record_id": f"r{index}",
        "status": "done" if done else "failed",
        "error": error,
        "axes": axes,
        "aliases": [],
        "parameters": {"model": "nano-turbo", "prompts": "demo", "lora": "none", "seed": 0,
                       "resolution": "64x64", **axes},
        "provenance": {
            "models": {"nano-turbo": {"digest": "d" * 64, "license": "Apache-2.0"}},
            "adapters": {},
            "prompt_sets": {"demo": "e" * 64},
        },
        "record": str(folder / "record.json") if folder else "",
        "mlflow_run_id": None,
        "metrics": {
            "clip_score": figure(
                0.5 + 0.1 * index, "higher", (0.4 + 0.1 * index, 0.6 + 0.1 * index)
            ),
            "fd/nano-clip": figure(9.0 - index, "lower", None, "too few"),
        }
        if done
        else {},
        "latency_s": latency | {"n": 6, "ci95": None} if done else None,
        "throughput_images_per_s": 10.0 / (index + 1) if done else None,
        "timing": {"batch_size": 4, "warnings": [], "first_call_s": 1.0, "peak_memory_bytes": 1,
                   "stages_s": None, "throughput_images_per_s": 1.0}
        if done
        else None,
        "images": images,
    }  # fmt: skip


def sweep_document(folder: Path | None) -> dict[str, Any]:
    if folder is not None:
        (folder / "record.json").write_text("{}")
    cells = [
        cell(0, {"num_inference_steps": 1, "guidance_scale": 0}, folder),
        cell(1, {"num_inference_steps": 1, "guidance_scale": 2}, folder),
        cell(2, {"num_inference_steps": 2, "guidance_scale": 0}, folder, "out of memory"),
        cell(3, {"num_inference_steps": 2, "guidance_scale": 2}, folder),
    ]
    return {
        "sweep_id": "abc",
        "store": "/store",
        "load_s": 1.0,
        "wall_s": 2.0,
        "counts": {"requested": 5, "distinct": 4, "reused": 0, "done": 3, "failed": 1},
        "work": {"unet_rows": {"alone": 10, "done": 6}},
        "cells": cells,
    }
