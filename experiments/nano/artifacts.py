"""What finished stages leave for later ones, read from their checkpoints.

Derived data (latents, flows) is cached beside them and made again where absent.
A later stage may also build on the weights that ship, with nothing trained here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from experiments.nano.device import load_tensors, module_digest, seeded
from experiments.nano.lora import add_lora
from experiments.nano.models import (
    make_judge,
    make_text_encoders,
    make_tokenizer,
    make_unet,
    make_vae,
)
from experiments.nano.teacher import Conditioning
from experiments.nano.text import tokenize
from experiments.nano.world import World, caption, pairs

# Scenes drawn of each training pair for the cached latents.
SCENES_A_PAIR = 24
SHIPPED = Path(__file__).parents[2] / "turbo_lab" / "data" / "weights"
# What ships of each stage's modules.
_SHIPPED_FILES = {
    ("vae", "average"): "nano-vae/diffusion_pytorch_model.safetensors",
    ("clip", "average"): "nano-clip/open_clip_model.safetensors",
    ("text", "text_encoder"): "nano-text/text_encoder/model.safetensors",
    ("text", "text_encoder_2"): "nano-text/text_encoder_2/model.safetensors",
    ("teacher", "average"): "nano-sdxl/unet/diffusion_pytorch_model.safetensors",
    ("turbo", "average"): "nano-turbo/unet/diffusion_pytorch_model.safetensors",
}


class Work:
    """The folder of checkpoints; ``shipped``: the package's weights stand in for absent ones."""

    def __init__(self, folder: Path, shipped: bool = False) -> None:
        self.folder, self.shipped = folder, shipped

    def world(self) -> World:
        """The rendered icons."""
        return World.load(self.folder / "icons")

    def tokenizer(self) -> Any:
        """Made anew: it is a cut of a file that ships with open_clip."""
        return make_tokenizer(self.folder / "tokenizer")

    def load(self, stage: str, name: str, module: nn.Module) -> nn.Module:
        """Weights of one module of a stage's checkpoint, frozen."""
        path = self.folder / stage / "checkpoint.safetensors"
        if not path.exists() and self.shipped and (stage, name) in _SHIPPED_FILES:
            state = load_tensors(SHIPPED / _SHIPPED_FILES[stage, name])
            module.load_state_dict({key: value.float() for key, value in state.items()})
            return module.requires_grad_(False).eval()
        if not path.exists():
            raise FileNotFoundError(f"{path}: run stage={stage} first, or build on shipped=true")
        prefix = f"module/{name}/"
        with safe_open(str(path), "pt") as file:
            names = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            state = {key[len(prefix) :]: file.get_tensor(key) for key in names}
        module.load_state_dict(state)
        return module.requires_grad_(False).eval()

    def vae(self) -> Any:
        """The average of stage ``vae``, with its scaling factor in the config."""
        vae = self.load("vae", "average", make_vae())
        vae.register_to_config(scaling_factor=self.scaling_factor())
        return vae

    def judge(self) -> Any:
        """The average of stage ``clip``."""
        return self.load("clip", "average", make_judge())

    def text_encoders(self) -> tuple[Any, Any]:
        """Both encoders of stage ``text``."""
        first, second = make_text_encoders()
        self.load("text", "text_encoder", first)
        self.load("text", "text_encoder_2", second)
        return first, second

    def unet(self, stage: str) -> Any:
        """The average of stage ``teacher`` or ``turbo``."""
        return self.load(stage, "average", make_unet())

    def lora(self, stage: str, rank: int) -> Any:
        """The teacher with the adapter of a finished stage on it."""
        unet = self.unet("teacher")
        self.load(stage, "lora", add_lora(unet, rank))
        return unet

    @torch.no_grad()
    def conditioning(self) -> Conditioning:
        """Frozen features of all captions, as the pipeline would compute them."""
        first, second = self.text_encoders()
        ids = tokenize(self.tokenizer(), [caption(*p) for p in pairs("all")])
        states = [encoder(ids, output_hidden_states=True) for encoder in (first, second)]
        embeds = torch.cat([state.hidden_states[-2] for state in states], dim=-1)
        return Conditioning(embeds, states[1].text_embeds)

    def scaling_factor(self) -> float:
        """One over the standard deviation of the latents of training scenes."""
        with safe_open(str(self._latents_file()), "pt") as file:
            return float(file.get_tensor("scaling_factor"))

    def latents(self, style: str = "noto") -> tuple[Tensor, Tensor]:
        """Scaled latents of training scenes, (N, 4, 16, 16) fp16, and their captions."""
        tensors = load_tensors(self._latents_file(style))
        return tensors["latents"], tensors["captions"].long()

    def _latents_file(self, style: str = "noto") -> Path:
        vae = self.load("vae", "average", make_vae())
        # Latents of another VAE must not be taken for these.
        made_by = module_digest(vae, SCENES_A_PAIR)
        path = self.folder / "latents" / f"{style}-{made_by}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # By one rename, and apart from another process that encodes the same.
            partial = path.with_suffix(f".{os.getpid()}.partial")
            save_file(self._encode(vae, style), str(partial))
            os.replace(partial, path)
        return path

    @torch.no_grad()
    def _encode(self, vae: Any, style: str) -> dict[str, Tensor]:
        world = self.world()
        where = torch.tensor(pairs("train"))
        generator = seeded(21)
        rows = []
        for _ in range(SCENES_A_PAIR):
            scenes = world.scenes(where[:, 0], where[:, 1], generator, style) * 2 - 1
            rows += [vae.encode(part).latent_dist.mode() for part in scenes.split(64)]
        latents = torch.cat(rows)
        # One factor for the family: that of the base style.
        if style != "noto":
            scale = torch.tensor(self.scaling_factor())
        elif self.shipped and not (self.folder / "vae" / "checkpoint.safetensors").exists():
            config = json.loads((SHIPPED / "nano-vae" / "config.json").read_text())
            scale = torch.tensor(config["scaling_factor"])
        else:
            scale = 1 / latents.std()
        captions = (where[:, 0] * 10 + where[:, 1]).repeat(SCENES_A_PAIR)
        return {
            "latents": (latents * scale).half().contiguous(),
            "captions": captions.to(torch.int32),
            "scaling_factor": scale.reshape(1),
        }
