"""The comparison: every model of the family at its step counts, on unseen pairs.

    python -m experiments.nano.evaluate --seeds 8 --cards

Loads what is packaged through the stock pipeline, draws ``scenes-heldout``
(each image from a generator of its own, so a batch's size does not matter) and
measures with turbo-lab's metrics and the reference of rendered scenes. Prints
a Markdown table, and writes ``evaluate.json`` and a contact sheet to the work
folder; ``--cards`` puts every row's figures on its model's card. Latencies of
rows that were drawn at different times do not compare: ``--latency`` takes all
of them anew, one after the other.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from PIL import Image, ImageDraw, ImageFont

from experiments.nano.sample import border_colour
from experiments.nano.vae import psnr
from experiments.nano.world import COLOURS, World, caption, pairs, to_uint8
from turbo_lab.analysis.stats import bootstrap_mean_ci, median_ci, proportion_ci
from turbo_lab.cards.packaged import WEIGHTS, assemble
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor_source import extractor_source
from turbo_lab.metrics.reference_source import reference_source
from turbo_lab.metrics.table import SETS
from turbo_lab.store.record import Measurement

BATCH_SIZE = 32
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    model: str
    """A packaged pipeline."""
    num_inference_steps: int
    """Denoising steps."""
    guidance_scale: float
    """1 and below: no guidance."""

    @property
    def label(self) -> str:
        """For files and rows."""
        return f"{self.model} {self.num_inference_steps}"


def cells(guidance_scale: float) -> list[Cell]:
    """The rows of the table; ``guidance_scale`` is the teacher's."""
    teacher = [Cell("nano-sdxl", steps, guidance_scale) for steps in (1, 2, 4, 8, 25, 50)]
    turbo = [Cell("nano-turbo", steps, 0.0) for steps in (1, 2, 3, 4)]
    lcm = [Cell("nano-lcm", steps, 0.0) for steps in (1, 2, 4, 8)]
    return teacher + turbo + lcm


def load(model: str) -> StableDiffusionXLPipeline:
    """A packaged pipeline by diffusers' own loaders; LCM is the teacher with its LoRA on."""
    folder = assemble(model)
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folder, use_safetensors=True, add_watermarker=False, dtype=torch.float32
    )
    if (folder / "pytorch_lora_weights.safetensors").exists():
        pipeline.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(
    pipeline: StableDiffusionXLPipeline, cell: Cell, prompts: Sequence[str], seeds: Sequence[int]
) -> Images:
    """(N, 64, 64, 3) uint8 RGB, one image per prompt and seed."""
    rows = []
    for start in range(0, len(prompts), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
        images = pipeline(
            prompt=list(prompts[part]),
            num_inference_steps=cell.num_inference_steps,
            guidance_scale=cell.guidance_scale,
            height=64,
            width=64,
            generator=generators,
            output_type="np",
        ).images
        rows.append((images * 255).round().astype(np.uint8))
    return np.concatenate(rows)


def colour_accuracy(images: Images, colours: Sequence[int], prompts: Sequence[str]) -> dict:
    """Share whose median border colour is nearest to the colour named in the prompt."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    palette = torch.tensor(list(COLOURS.values())) / 255
    nearest = (border_colour(pixels)[:, None] - palette).square().sum(-1).argmin(1)
    right = (nearest == torch.tensor(colours)).numpy().astype(float)
    interval = proportion_ci(right, prompts)
    return {
        "value": float(right.mean()),
        "unit": "fraction",
        "n": len(right),
        "ci95": list(interval) if interval else None,
    }


def latency(pipeline: StableDiffusionXLPipeline, cell: Cell, calls: int = 9) -> dict:
    """Median seconds of one image by itself, after two warm-up calls."""
    samples = []
    for index in range(calls + 2):
        began = time.perf_counter()
        draw(pipeline, cell, ["a cat face on a blue background"], [index])
        samples.append(time.perf_counter() - began)
    interval = median_ci(samples[2:])
    return {
        "value": float(np.median(samples[2:])),
        "unit": "s",
        "n": calls,
        "ci95": list(interval) if interval else None,
    }


def figures(
    images: Images,
    where: Sequence[tuple[int, int]],
    seeds: Sequence[int],
    reference: str = "scenes-heldout",
) -> dict[str, dict]:
    """Name to value, unit, n and 95% interval; intervals resample prompts."""
    prompts = [caption(*pair) for pair in where]
    context = MetricContext(
        extractor_source("nano-clip"),
        reference_source(reference),
        tuple(caption(*pair) for pair in pairs("all")),
    )
    result = {
        item.name: _figure(item) for item in measure(images, prompts, seeds, SETS["full"], context)
    }
    result["colour_accuracy"] = colour_accuracy(images, [c for _, c in where], prompts)
    return result


def evaluate_cell(cell: Cell, num_seeds: int) -> tuple[dict[str, dict], Images]:
    """Figures of the 128 held-out prompts times ``num_seeds``, and the images."""
    where = pairs("heldout") * num_seeds
    # A seed of its own for every image: 128 prompts on one noise are not 128 draws of noise.
    seeds = list(range(len(where)))
    pipeline = load(cell.model)
    images = draw(pipeline, cell, [caption(*pair) for pair in where], seeds)
    return {**figures(images, where, seeds), "latency": latency(pipeline, cell)}, images


def evaluate_vae(world: World) -> dict[str, dict]:
    """PSNR of reconstructions of the held-out pairs, 8 scenes each, by style."""
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "nano-vae", dtype=torch.float32)
    where = torch.tensor(pairs("heldout") * 8)
    result = {}
    for style in world.styles:
        generator = torch.Generator().manual_seed(99)
        images = world.scenes(where[:, 0], where[:, 1], generator, style) * 2 - 1
        decibels = [_reconstruction_psnr(vae, part) for part in images.split(BATCH_SIZE)]
        result[f"psnr_{style}"] = _mean(torch.cat(decibels).numpy(), where.tolist(), "dB")
    return result


@torch.no_grad()
def _reconstruction_psnr(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    return psnr(vae.decode(vae.encode(images).latent_dist.mode()).sample.clamp(-1, 1), images)


def evaluate_judge(world: World) -> dict[str, dict]:
    """Recall@1 and matched cosine of unseen renders of all 640 captions, by style."""
    where = torch.tensor(pairs("all"))
    prompts = [caption(*pair) for pair in pairs("all")]
    context = MetricContext(extractor_source("nano-clip"), None, tuple(prompts))
    result = {}
    for style in world.styles:
        generator = torch.Generator().manual_seed(9)
        images = to_uint8(world.scenes(where[:, 0], where[:, 1], generator, style)).numpy()
        names = ("r_precision", "clip_score")
        for item in measure(images, prompts, [0] * len(prompts), names, context):
            result[f"{item.name}_{style}"] = _figure(item)
    return result


def _mean(values: npt.NDArray[Any], clusters: list, unit: str) -> dict:
    interval = bootstrap_mean_ci(values, [tuple(cluster) for cluster in clusters])
    return {
        "value": float(values.mean()),
        "unit": unit,
        "n": len(values),
        "ci95": list(interval) if interval else None,
    }


def _figure(item: Measurement) -> dict:
    return {
        "value": item.value,
        "unit": item.unit,
        "n": item.n,
        "ci95": list(item.ci95) if item.ci95 else None,
        **({"note": item.note} if item.note else {}),
    }


def contact_sheet(images: Images, columns: int = 16) -> Image.Image:
    """The first 64 images: every thing once."""
    rows = images[:64].reshape(-1, columns, *images.shape[1:]).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(rows.reshape(-1, columns * images.shape[2], 3))


def labelled(sheets: Sequence[Image.Image], labels: Sequence[str]) -> Image.Image:
    """The first 16 images of each contact sheet under one another, with their names."""
    edge, left = 64, 180
    page = Image.new("RGB", (left + 16 * edge, len(sheets) * (edge + 4)), "white")
    pen = ImageDraw.Draw(page)
    for index, (label, sheet) in enumerate(zip(labels, sheets, strict=True)):
        top = index * (edge + 4)
        pen.text((8, top + 22), label, fill="black", font=ImageFont.load_default(16))
        page.paste(sheet.crop((0, 0, 16 * edge, edge)), (left, top))
    return page


def markdown(table: dict[str, dict[str, dict]]) -> str:
    """One row a cell; 95% intervals in brackets."""
    names = list(next(iter(table.values())))
    lines = ["| cell | N | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for label, row in table.items():
        columns = [_number(row[name]) for name in names]
        lines.append(f"| {label} | {row['clip_score']['n']} | " + " | ".join(columns) + " |")
    return "\n".join(lines)


def _number(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "unscored"
    interval = figure["ci95"]
    return f"{figure['value']:.3g}" + (
        f" ({interval[0]:.3g} to {interval[1]:.3g})" if interval else ""
    )


def write_on_card(cell: Cell, row: dict[str, dict]) -> None:
    """Figures named for the step count, such as ``r_precision@1``; others stay."""
    steps = cell.num_inference_steps
    add_figures(cell.model, {f"{name}@{steps}": figure for name, figure in row.items()})


def add_figures(name: str, values: dict[str, dict]) -> None:
    """Put figures on a card; those of other names stay."""
    path = WEIGHTS / name / "card.json"
    card = json.loads(path.read_text())
    card["figures"] |= values
    # By a rename: an assembled folder may hold hard links to the old file.
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    partial.replace(path)


def _read_table(path: Path) -> dict[str, dict[str, dict]]:
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> None:
    """Evaluate the cells whose weights are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8, help="images a prompt")
    parser.add_argument("--guidance-scale", type=float, default=2.5, help="of nano-sdxl")
    parser.add_argument("--only", nargs="*", help="labels such as 'nano-turbo 1'; all by default")
    parser.add_argument("--cards", action="store_true", help="write the figures on the cards")
    parser.add_argument("--parts", action="store_true", help="only the VAE and the judge")
    parser.add_argument("--latency", action="store_true", help="only time the rows that are there")
    parser.add_argument("--num-threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    folder = Path(__file__).parent / "work"
    if args.parts:
        world = World.load(folder / "icons")
        for name, evaluate in (("nano-vae", evaluate_vae), ("nano-clip", evaluate_judge)):
            row = evaluate(world)
            print(name, *(f"{key} {_number(value)}" for key, value in row.items()), sep="  ")
            if args.cards:
                add_figures(name, row)
        return
    path = folder / "evaluate.json"
    for cell in cells(args.guidance_scale):
        wanted = not args.only or cell.label in args.only
        if not wanted or not (WEIGHTS / cell.model / "card.json").exists():
            continue
        if args.latency:
            row = {**_read_table(path)[cell.label], "latency": latency(load(cell.model), cell)}
        else:
            row, images = evaluate_cell(cell, args.seeds)
            contact_sheet(images).save(folder / f"sheet {cell.label}.png".replace(" ", "-"))
        # Read again: another process may have added rows meanwhile.
        table = {**_read_table(path), cell.label: row}
        path.write_text(json.dumps(table, indent=2) + "\n")
        if args.cards:
            write_on_card(cell, row)
        print(markdown({cell.label: row}), flush=True)
    table = _read_table(path)
    shown = [cell.label for cell in cells(args.guidance_scale) if cell.label in table]
    sheets = [Image.open(folder / f"sheet {label}.png".replace(" ", "-")) for label in shown]
    labelled(sheets, shown).save(folder / "family.png")
    print(markdown(table))


if __name__ == "__main__":
    main()
