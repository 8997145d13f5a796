"""Architectures of the family: SDXL's layout at about a five-hundredth of its size.

Owns every width and depth. The folders that hold these models are diffusers',
transformers' and open_clip's own, so that stock loaders read them.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UNet2DConditionModel,
)
from open_clip.tokenizer import bytes_to_unicode
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

TOKENS = 32
VOCABULARY = 4096
# Widths of the two text encoders; the UNet attends to both side by side.
TEXT_WIDTHS = (64, 96)
JUDGE_DIM = 64
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte-pair encoding cut to its first merges, written to ``folder`` and loaded.

    The merges ship with open_clip. Any text can be spelt: the byte alphabet is whole.
    """
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")[1:]
    alphabet = list(bytes_to_unicode().values())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    merges = merges[: VOCABULARY - len(words) - 2]
    words += ["".join(merge.split()) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS
    )


def _text_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3,
        num_attention_heads=width // 32,
        max_position_embeddings=TOKENS,
        projection_dim=width,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1,
        hidden_act="quick_gelu",
    )


def make_text_encoders() -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """The pair whose penultimate states SDXL concatenates; 0.41 M and 0.74 M parameters."""
    first, second = TEXT_WIDTHS
    return CLIPTextModel(_text_config(first)), CLIPTextModelWithProjection(_text_config(second))


def make_vae() -> AutoencoderKL:
    """f4 with 4 channels: 64x64 pixels to 16x16x4."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 48, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        force_upcast=False,
    )


def make_unet() -> UNet2DConditionModel:
    """SDXL's conditioning (text, pooled text, six time ids) on 5.8 M parameters."""
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=(2, 3, 4),
        use_linear_projection=True,
        cross_attention_dim=sum(TEXT_WIDTHS),
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=TEXT_WIDTHS[1] + 6 * 32,
        norm_num_groups=16,
    )


JUDGE_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": JUDGE_DIM,
        "vision_cfg": {
            "image_size": 64,
            "layers": 4,
            "width": 128,
            "head_width": 32,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": TOKENS,
            "vocab_size": VOCABULARY,
            "width": 64,
            "heads": 2,
            "layers": 2,
            # A name makes open_clip read the tokenizer beside the weights.
            "hf_tokenizer_name": "nano-clip",
        },
    },
    "preprocess_cfg": {
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
        "interpolation": "bicubic",
    },
}


def make_judge() -> open_clip.CLIP:
    """The judge's architecture, as open_clip builds it from its config; 1.2 M parameters."""
    config = JUDGE_CONFIG["model_cfg"]
    return open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])


def normalise_for_judge(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, 64, 64) in [0, 1] to what the judge sees."""
    constants = JUDGE_CONFIG["preprocess_cfg"]
    mean, std = (torch.tensor(constants[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    return (images - mean.to(images)) / std.to(images)


def make_schedulers() -> dict[str, Any]:
    """By model name; all start at t = 999 ("trailing")."""
    with torch.device("cpu"):  # numpy reads their tensors
        return {
            "nano-sdxl": EulerDiscreteScheduler(**_BETAS, timestep_spacing="trailing"),
            "nano-turbo": EulerAncestralDiscreteScheduler(**_BETAS, timestep_spacing="trailing"),
            "nano-lcm": LCMScheduler(**_BETAS),
        }


def alphas_cumprod() -> torch.Tensor:
    """(1000,) float32: the share of signal at each training timestep."""
    start, end = _BETAS["beta_start"] ** 0.5, _BETAS["beta_end"] ** 0.5
    betas = torch.linspace(start, end, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()
