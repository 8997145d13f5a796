"""Cards, LoRA files and tensor names for the tests of cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from turbo_lab.cards import ModelCard, conf_dir, model_card_from_config

# One tensor for each part of a checkpoint in the names of SDXL's original code.
SINGLE_FILE = {
    "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": (8, 16),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (8,),
    "conditioner.embedders.1.model.ln_final.weight": (8,),
}
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
PAIR = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}


def local(where: Path, **changes: Any) -> ModelCard:
    """Return a card for a folder or file of the user's."""
    values = yaml.safe_load((conf_dir() / "model" / "local.yaml").read_text())
    return model_card_from_config(values | {"path": str(where)} | changes)


def pair(down: str, width: int = 8) -> dict[str, tuple[int, ...]]:
    """Return the shapes of one layer; the name of its second matrix follows from the first's."""
    up = down.replace("lora_A", "lora_B").replace("down.weight", "up.weight")
    return {down: (4, width), up: (width, 4)}


def lora(
    path: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None
) -> Path:
    """Write a LoRA file of zeros, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    zeros = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    save_file(zeros, path, metadata=metadata)
    return path
