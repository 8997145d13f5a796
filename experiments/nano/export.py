"""From checkpoints to the folders that ship, in the libraries' own formats.

    python -m experiments.nano.export            everything that has a checkpoint

fp16 safetensors under plain names; parts that models share are written once.
Cards keep the figures that ``evaluate`` and ``styles`` put there, of weights that are the same.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from experiments.nano.artifacts import Work
from experiments.nano.lora import save_lora
from experiments.nano.models import JUDGE_CONFIG, make_schedulers
from experiments.nano.world import REFERENCE_RENDERS, REFERENCE_SEED
from turbo_lab.identity import DigestCache, hash_file
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import extractor_source
from turbo_lab.metrics.reference import build_reference, save_reference

PACKAGE = Path(__file__).parents[2] / "turbo_lab"
WEIGHTS = PACKAGE / "data" / "weights"
LICENSE_SOURCE = "LICENSE and NOTICE of turbo-lab, whose authors trained these weights"
# conf/stage/lora.yaml, transfer.yaml and lcm.yaml train this rank.
LORA_RANK = 16
_LIBRARIES = {
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}
_TEXT_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")


def write_folder(target: Path, write: Callable[[Path], None]) -> bool:
    """Let ``write`` fill a folder aside, then move its files into place one by one.

    Returns whether any weights are others than before: figures of the old ones are void.
    """
    is_new = False
    with tempfile.TemporaryDirectory(dir=WEIGHTS.parent) as aside:
        write(Path(aside))
        for path in sorted(Path(aside).rglob("*")):
            if path.is_file():
                path.chmod(0o644)
                final = target / path.relative_to(aside)
                final.parent.mkdir(parents=True, exist_ok=True)
                is_same = final.exists() and hash_file(path) == hash_file(final)
                is_new |= path.suffix == ".safetensors" and not is_same
                os.replace(path, final)
    return is_new


def write_card(name: str, is_new: bool, **values: Any) -> None:
    """``card.json``; figures that are there are kept, unless the weights are new."""
    path = WEIGHTS / name / "card.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    card = {
        "name": name,
        **values,
        "license": "Apache-2.0",
        "license_source": LICENSE_SOURCE,
        "figures": {} if is_new else old.get("figures", {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # By a rename: an assembled folder may hold hard links to the old file.
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    partial.replace(path)


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def export_vae(work: Work) -> None:
    """``nano-vae``."""
    vae = work.vae()
    is_new = write_folder(WEIGHTS / "nano-vae", lambda folder: vae.half().save_pretrained(folder))
    write_card(
        "nano-vae",
        is_new,
        kind="vae",
        trained_on="random scenes of all pairs in the styles noto, flat and ink",
        parameters=_count(vae),
    )


def export_text(work: Work) -> None:
    """``nano-text``: tokenizers and encoders."""
    tokenizer, encoders = work.tokenizer(), work.text_encoders()

    def write(folder: Path) -> None:
        for name, encoder in zip(_TEXT_PARTS[:2], encoders, strict=True):
            encoder.half().save_pretrained(folder / name)
            _load_as_float32(folder / name / "config.json")
        for name in _TEXT_PARTS[2:]:
            tokenizer.save_pretrained(folder / name)

    write_card(
        "nano-text",
        write_folder(WEIGHTS / "nano-text", write),
        kind="text",
        trained_on="captions and scenes of the 512 training pairs in the styles noto, flat and "
        "ink, contrastively",
        parameters=sum(_count(encoder) for encoder in encoders),
    )


def _load_as_float32(config: Path) -> None:
    """Stored in half, loaded as the UNet and the VAE are where nobody names a dtype.

    transformers writes the stored one down and goes by it; diffusers does neither, and a
    pipeline of both kinds cannot draw.
    """
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"dtype": "float32"}, indent=2) + "\n")


def export_judge(work: Work) -> None:
    """``nano-clip`` and the reference statistics of its features."""
    judge, tokenizer = work.judge(), work.tokenizer()

    def write(folder: Path) -> None:
        tokenizer.save_pretrained(folder)
        (folder / "open_clip_config.json").write_text(json.dumps(JUDGE_CONFIG, indent=2) + "\n")
        state = {k: v.half().contiguous() for k, v in judge.state_dict().items()}
        save_file(state, str(folder / "open_clip_model.safetensors"), metadata={"format": "pt"})

    write_card(
        "nano-clip",
        write_folder(WEIGHTS / "nano-clip", write),
        kind="judge",
        trained_on="scenes of all 640 pairs in the styles noto, flat and ink",
        parameters=_count(judge),
    )


def export_references(work: Work) -> None:
    """Statistics of the judge's features of seeded renders of the held-out pairs, a style each."""
    source = extractor_source("nano-clip")
    cache = DigestCache()
    extractor = ClipExtractor(source, cache, "cpu")
    world = work.world()
    for style in world.styles:
        scenes = world.renders("heldout", style, REFERENCE_RENDERS, REFERENCE_SEED)
        features = [extractor.image_features(images) for images in scenes]
        name = "scenes-heldout" + ("" if style == "noto" else f"-{style}")
        reference = build_reference(
            np.concatenate(features), name, source.digest(cache), source.name, style == "noto"
        )
        path = PACKAGE / "data" / "reference" / f"{name}.safetensors"
        save_reference(path, reference, {"seed": str(REFERENCE_SEED), "style": style})


def export_pipeline(work: Work, name: str, stage: str, **card: Any) -> None:
    """``nano-sdxl`` or ``nano-turbo``: the UNet, a scheduler and the index."""
    unet, scheduler = work.unet(stage), make_schedulers()[name]

    def write(folder: Path) -> None:
        unet.half().save_pretrained(folder / "unet")
        scheduler.save_pretrained(folder / "scheduler")
        _write_index(folder, scheduler)

    is_new = write_folder(WEIGHTS / name, write)
    write_card(name, is_new, kind="pipeline", parameters=_count(unet), parts=_parts(name), **card)


def _write_index(folder: Path, scheduler: Any) -> None:
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        **_LIBRARIES,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "force_zeros_for_empty_prompt": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _parts(name: str, unet: str | None = None) -> dict[str, str]:
    return {
        "vae": "nano-vae",
        **{part: f"nano-text/{part}" for part in _TEXT_PARTS},
        "unet": f"{unet or name}/unet",
        "scheduler": f"{name}/scheduler",
    }


def export_adapter(work: Work, name: str, stage: str, **card: Any) -> None:
    """``flat`` or ``ink``: a LoRA file and its card."""
    unet = work.lora(stage, LORA_RANK)

    def write(folder: Path) -> None:
        save_lora(unet, folder)

    is_new = write_folder(WEIGHTS / name, write)
    count = sum(value.numel() for key, value in unet.state_dict().items() if "lora_" in key)
    write_card(name, is_new, parameters=count, base="nano-sdxl", **card)


def export_lcm(work: Work) -> None:
    """``nano-lcm``: the adapter, its scheduler and an index with the teacher's UNet."""
    scheduler = make_schedulers()["nano-lcm"]
    export_adapter(
        work,
        "nano-lcm",
        "lcm",
        kind="pipeline",
        parts=_parts("nano-lcm", unet="nano-sdxl"),
        trained_on="the guided flow of nano-sdxl on scenes of the 512 training pairs (noto)",
        recommended={"num_inference_steps": 4, "guidance_scale": 0.0, "resolution": "64"},
    )

    def write(folder: Path) -> None:
        scheduler.save_pretrained(folder / "scheduler")
        _write_index(folder, scheduler)

    write_folder(WEIGHTS / "nano-lcm", write)


def main() -> None:
    """Export every stage that has a checkpoint; what it builds on may be what ships already."""
    work = Work(Path(__file__).parent / "work", shipped=True)
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    every = ["vae", "text", "clip", "teacher", "turbo", "lcm", "transfer-flat", "transfer-ink"]
    wanted = sys.argv[1:] or [
        s for s in every if (work.folder / s / "checkpoint.safetensors").exists()
    ]
    if "vae" in wanted:
        export_vae(work)
    if "text" in wanted:
        export_text(work)
    if "clip" in wanted:
        export_judge(work)
        export_references(work)
    if "teacher" in wanted:
        export_pipeline(
            work,
            "nano-sdxl",
            "teacher",
            trained_on="scenes of the 512 training pairs (noto); held-out pairs never shown",
            recommended={"num_inference_steps": 25, "guidance_scale": 2.5, "resolution": "64"},
        )
    if "turbo" in wanted:
        export_pipeline(
            work,
            "nano-turbo",
            "turbo",
            trained_on="flows of nano-sdxl and scenes of the 512 training pairs (noto)",
            recommended={"num_inference_steps": 1, "guidance_scale": 0.0, "resolution": "64"},
            base="nano-sdxl",
        )
    if "lcm" in wanted:
        export_lcm(work)
    for style in ("flat", "ink"):
        if f"transfer-{style}" in wanted:
            export_adapter(
                work,
                style,
                f"transfer-{style}",
                kind="adapter",
                trained_on=f"scenes of the 512 training pairs in the style {style}, with nano-sdxl,"
                " and its flows in that style, with nano-turbo",
            )


if __name__ == "__main__":
    main()
