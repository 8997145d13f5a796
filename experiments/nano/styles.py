"""What the style LoRAs do, through the stock pipeline and peft.

    python -m experiments.nano.styles --seeds 2

Draws ``scenes-heldout`` with no adapter, each adapter at several weights and
both together, and measures the Fréchet distance to rendered scenes of each
style, recall and colour (the thing and the background must stay). Fails where
unloading does not give the base weights back to the bit. ``--cards`` puts the
figures of an adapter alone on its card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from experiments.nano.evaluate import (
    Cell,
    Images,
    add_figures,
    contact_sheet,
    draw,
    figures,
    labelled,
    load,
    markdown,
)
from experiments.nano.world import caption, pairs
from turbo_lab.cards.packaged import WEIGHTS

REFERENCES = {
    "noto": "scenes-heldout",
    "flat": "scenes-heldout-flat",
    "ink": "scenes-heldout-ink",
}
STACKS: tuple[dict[str, float], ...] = (
    {},
    {"flat": 0.5},
    {"flat": 1.0},
    {"ink": 0.5},
    {"ink": 1.0},
    {"flat": 0.5, "ink": 0.5},
)


def label(stack: dict[str, float]) -> str:
    """As ``lora=`` takes it."""
    return "+".join(f"{name}@{weight:g}" for name, weight in stack.items()) or "none"


def base_digest(pipeline: Any) -> str:
    """sha256 of every weight of the UNet that is no adapter's."""
    state = hashlib.sha256()
    for name, value in sorted(pipeline.unet.state_dict().items()):
        if ".lora_" not in name:
            state.update(name.replace(".base_layer", "").encode())
            state.update(value.detach().contiguous().numpy().tobytes())
    return state.hexdigest()


def style_figures(images: Images, where: list[tuple[int, int]], seeds: list[int]) -> dict:
    """Distance to each style, recall and colour."""
    row = {}
    for style, reference in REFERENCES.items():
        found = figures(images, where, seeds, reference)
        row[f"fd to {style}"] = found["fd/nano-clip"]
    return {**row, **{k: found[k] for k in ("clip_score", "r_precision", "colour_accuracy")}}


def write_on_card(stack: dict[str, float], cell: Cell, row: dict[str, dict]) -> None:
    """Figures named for the weight, the model and its steps; others stay."""
    ((name, weight),) = stack.items()
    where = f"@{weight:g} on {cell.label}"
    add_figures(name, {f"{figure}{where}": value for figure, value in row.items()})


def main() -> None:
    """One row a stack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="images a prompt")
    parser.add_argument("--model", default="nano-turbo")
    parser.add_argument("--num-inference-steps", type=int, default=2)
    parser.add_argument("--guidance-scale", type=float, default=0.0)
    parser.add_argument("--cards", action="store_true", help="write the figures on the cards")
    parser.add_argument("--num-threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    cell = Cell(args.model, args.num_inference_steps, args.guidance_scale)
    where = pairs("heldout") * args.seeds
    seeds, prompts = list(range(len(where))), [caption(*pair) for pair in where]
    pipeline = load(args.model)
    before = base_digest(pipeline)
    for name in ("flat", "ink"):
        pipeline.load_lora_weights(
            WEIGHTS / name, weight_name="pytorch_lora_weights.safetensors", adapter_name=name
        )
    table, sheets = {}, []
    for stack in STACKS:
        if stack:
            pipeline.enable_lora()
            pipeline.set_adapters(list(stack), list(stack.values()))
        else:
            pipeline.disable_lora()
        images = draw(pipeline, cell, prompts, seeds)
        table[label(stack)] = style_figures(images, where, seeds)
        sheets.append(contact_sheet(images))
        if args.cards and len(stack) == 1:
            write_on_card(stack, cell, table[label(stack)])
        print(markdown({label(stack): table[label(stack)]}), flush=True)
    pipeline.unload_lora_weights()
    after = base_digest(pipeline)
    folder = Path(__file__).parent / "work"
    (folder / "styles.json").write_text(json.dumps(table, indent=2) + "\n")
    labelled(sheets, list(table)).save(folder / "styles.png")
    print(markdown(table))
    if after != before:
        raise SystemExit(f"base weights: {before[:12]} before, {after[:12]} after unloading")
    print(f"base weights {before[:12]} before the adapters, and after")


if __name__ == "__main__":
    main()
