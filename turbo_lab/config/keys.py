"""The config's keys: which there are, and which of them make a grid."""

from __future__ import annotations

import re
from collections.abc import Sequence

from turbo_lab.cards import conf_dir

# Keys that make a grid. If a command line names none of them, the default sweep runs.
AXES = (
    "model",
    "num_inference_steps",
    "guidance_scale",
    "resolution",
    "batch_size",
    "lora",
    "lora_weight",
    "seed",
    "negative_prompt",
    "scheduler",
    "dtype",
    "vae",
    "pipeline",
    "loop",
    "graphs",
    "compile",
    "compile_scope",
    "memory_format",
    "attention",
    "tf32",
    "fuse_qkv",
    "quantization",
    "offload",
    "vae_slicing",
    "vae_tiling",
    "image",
    "strength",
)
# More keys that may be swept. Every other key has one value for the whole sweep.
MORE_AXES = ("prompts", "prompt", "prompt_sr", "num_images", "seed_mode")
# Keys that say where a sweep runs and where its results go, and nothing about what it draws.
_PLACES = ("store", "tracking", "device", "output")


def known_keys() -> set[str]:
    """Return the top-level keys: those of ``config.yaml``, and the config groups."""
    folder = conf_dir()
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    plain = set(re.findall(r"^([a-z_]\w*):", text, flags=re.MULTILINE)) - {"defaults"}
    groups = {path.name for path in folder.iterdir() if path.is_dir()}
    return plain | groups - {"adapters", "vaes"}  # lora= names the cards of adapters


def is_key(word: str) -> bool:
    """Return whether a word is ``key=...`` with a key of the config."""
    root = re.match(r"([A-Za-z_]\w*)[\w.]*=", word)
    return root is not None and (root.group(1) in known_keys() or root.group(1) == "hydra")


def is_default_sweep(arguments: Sequence[str]) -> bool:
    """Return whether the arguments leave open what is swept, and only say where."""
    roots = [a.split("=", 1)[0].split(".")[0] for a in arguments if not a.startswith("-")]
    return all(root in _PLACES for root in roots)


def with_default_sweep(words: Sequence[str]) -> list[str]:
    """Return the words of a sweep, with the default one where they only say where to run it."""
    asks_hydra = "--hydra-help" in words
    return [*words, "sweep=default"] if is_default_sweep(words) and not asks_hydra else [*words]
