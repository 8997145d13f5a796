"""A CLIP network with random weights in nano-clip's folder layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from turbo_lab.metrics.extractor_source import CONFIG_FILE, WEIGHTS_FILE

PROMPTS = tuple(f"a {color} circle" for color in ("red", "green", "blue", "pink")) + tuple(
    f"two {color} squares" for color in ("red", "green", "blue", "pink", "grey", "black")
)


def save_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Write an open_clip ``local-dir:`` folder: 32 px, patch 8, 12 features."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    vocab_size = _save_tokenizer(folder)
    config = {
        "embed_dim": 12,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 40,
            "vocab_size": vocab_size,
            "hf_tokenizer_name": "local",
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    preprocess = {"mean": [0.5, 0.4, 0.6], "std": [0.25, 0.3, 0.2], "interpolation": "bicubic"}
    (folder / CONFIG_FILE).write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text = {k: v for k, v in config["text_cfg"].items() if k != "hf_tokenizer_name"}
        model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], text)
    save_file(model.state_dict(), folder / WEIGHTS_FILE)
    return folder


def _save_tokenizer(folder: Path) -> int:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=40
    )
    tokenizer.save_pretrained(folder)
    return len(words)
