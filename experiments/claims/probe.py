"""What the diffusers pipeline itself does: swaps, fusing, memory modes, a VAE of 16 bits.

    python -m experiments.claims.probe --family nano
    python -m experiments.claims.probe --family nano --memory slicing

Prints what was counted as one JSON document and judges nothing. A check that changes
a pipeline works on one of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

from experiments.claims.lab import FAMILIES, Family, with_loras
from turbo_lab.cards import ConfigNode, ModelSource, conf_dir, locate, locate_adapter, model_card
from turbo_lab.errors import InputError
from turbo_lab.request.prompts import prompts_from_config
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.runtime.lora import put_on, take_off
from turbo_lab.runtime.pipeline import load_pipeline

Facts = dict[str, Any]
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
NUM_IMAGES = 8


class Bench:
    """A family's pipelines, and how images are drawn from them."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.device = torch.device(family.device)
        self.size = int(family.sizes[0])
        values = yaml.safe_load((conf_dir() / "prompts/scenes-heldout.yaml").read_text())
        self.prompts = list(prompts_from_config(ConfigNode(values)).prompts[:NUM_IMAGES])

    def load(self, name: str | None = None, dtype: str | None = None) -> StableDiffusionXLPipeline:
        """A pipeline of its own; the student where no name is given."""
        card = model_card(name or self.family.turbo)
        files = locate(card)
        scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
        return load_pipeline(files.source, scheduler, dtype or self.family.dtype, self.device)

    def draw(self, pipeline: Any, **words: Any) -> np.ndarray:
        """(N, H, W, 3) uint8 in [0, 255]: one step, no guidance, seeds 0 to N - 1."""
        asked = {
            "prompt": self.prompts,
            "num_inference_steps": 1,
            "guidance_scale": 0.0,
            "output_type": "np",
            **words,
        }
        if "image" not in asked:
            asked = {"height": self.size, "width": self.size, **asked}
        seeds = range(len(asked["prompt"]))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.no_grad():
            images = pipeline(generator=generators, **asked).images
        return np.asarray((images * 255).round()).astype(np.uint8)


def num_equal(images: np.ndarray, others: np.ndarray) -> int:
    """Images that are equal to the bit; (N, H, W, 3) uint8 each."""
    return int(sum(np.array_equal(a, b) for a, b in zip(images, others, strict=True)))


def largest(images: np.ndarray, others: np.ndarray) -> int:
    """Largest difference of a pixel, in levels of 255."""
    return int(np.abs(images.astype(int) - others.astype(int)).max())


def safety_checker(bench: Bench) -> Facts:
    """Whether the pipeline has the component."""
    parts = sorted(bench.load().components)
    return {"components": parts, "present": "safety_checker" in parts}


def swaps(bench: Bench) -> Facts:
    """A changed copy of each part draws other images, its own part the same ones again."""
    pipeline = bench.load()
    plain = bench.draw(pipeline)
    took, restored = [], []
    for name in PARTS:
        own = getattr(pipeline, name)
        other = StableDiffusionXLPipeline(**pipeline.components | {name: _scaled(own)})
        other.set_progress_bar_config(disable=True)
        took += [name] if num_equal(bench.draw(other), plain) < NUM_IMAGES else []
        back = StableDiffusionXLPipeline(**other.components | {name: own})
        back.set_progress_bar_config(disable=True)
        restored += [name] if num_equal(bench.draw(back), plain) == NUM_IMAGES else []
    return {"parts": list(PARTS), "took_effect": took, "restored": restored}


def _scaled(part: torch.nn.Module) -> torch.nn.Module:
    changed = copy.deepcopy(part)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.mul_(1.05)
    return changed


def guidance_off(bench: Bench) -> Facts:
    """Images at 0, 0.5 and 1, by the stock call."""
    pipeline = bench.load()
    plain = bench.draw(pipeline)
    same = [num_equal(bench.draw(pipeline, guidance_scale=g), plain) for g in (0.5, 1.0)]
    return {"scales": [0.5, 1.0], "num_equal": same, "num_images": NUM_IMAGES}


def multiples(bench: Bench) -> Facts:
    """Which sizes the stock pipeline takes: 4 and 8 pixels over the native one."""
    pipeline = bench.load()
    taken = {}
    for more in (4, 8):
        try:
            bench.draw(pipeline, width=bench.size + more)
            taken[str(more)] = True
        except ValueError as error:  # diffusers' own check
            assert "divisible by 8" in str(error), error
            taken[str(more)] = False
    return {"taken": taken, "native": bench.size}


def fusing(bench: Bench) -> Facts:
    """UNet weights that differ after an adapter was worn and taken off, and after it was fused."""
    adapter = locate_adapter(bench.family.loras[0])
    found: Facts = {"adapter": adapter.name}
    for dtype in ("float32", "float16"):
        pipeline = bench.load(dtype=dtype)
        before = _weights(pipeline.unet)
        put_on(pipeline, [(adapter.name, adapter.path, 1.0)])
        take_off(pipeline)
        worn = _num_changed(before, _weights(pipeline.unet))
        put_on(pipeline, [(adapter.name, adapter.path, 1.0)])
        pipeline.fuse_lora()
        pipeline.unfuse_lora()
        take_off(pipeline)
        fused = _num_changed(before, _weights(pipeline.unet))
        found[dtype] = {
            "worn": worn,
            "fused": fused,
            "weights": sum(w.numel() for w in before.values()),
        }
    return found


def _weights(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in part.named_parameters()}


def _num_changed(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> int:
    return sum(int((before[name] != after[name]).sum()) for name in before)


def memory_modes(bench: Bench) -> Facts:
    """Images in each of diffusers' memory-saving modes that need no accelerator."""
    modes: dict[str, Callable[[Any], None]] = {
        "vae slicing": lambda p: p.vae.enable_slicing(),
        "vae tiling": lambda p: p.vae.enable_tiling(),
        "attention slicing": lambda p: p.enable_attention_slicing(),
    }
    size = 2 * bench.size  # tiles are as large as the native size
    plain = bench.draw(bench.load(), width=size, height=size)
    found = {}
    for name, switch_on in modes.items():
        pipeline = bench.load()
        switch_on(pipeline)
        images = bench.draw(pipeline, width=size, height=size)
        found[name] = {"num_equal": num_equal(images, plain), "max_abs": largest(images, plain)}
    return {"modes": found, "num_images": NUM_IMAGES, "resolution": f"{size}x{size}"}


def vae_in_16_bits(bench: Bench) -> Facts:
    """Pixels that the VAE decodes in fp16, against its own dtype's."""
    pipeline = bench.load(dtype="float32")
    with torch.no_grad():
        latents = pipeline(
            prompt=bench.prompts,
            height=bench.size,
            width=bench.size,
            num_inference_steps=1,
            guidance_scale=0.0,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
        ).images
        latents = latents / pipeline.vae.config.scaling_factor
        whole = pipeline.vae.decode(latents).sample
        half = pipeline.vae.to(torch.float16).decode(latents.half()).sample.float()
    finite = torch.isfinite(half)
    levels = ((half - whole).abs()[finite].max() * 127.5).item() if finite.any() else None
    return {"values": half.numel(), "finite": int(finite.sum()), "max_levels": levels}


def pickles(bench: Bench) -> Facts:
    """A checkpoint whose VAE is a pickle in place of safetensors."""
    card = model_card(bench.family.turbo)
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    vae = bench.load().vae
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for source in files.path.rglob("*"):
            if source.is_file() and not (source.parent.name == "vae" and "model" in source.name):
                target = root / source.relative_to(files.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.resolve())
        torch.save(vae.state_dict(), root / "vae" / "diffusion_pytorch_model.bin")
        try:
            load_pipeline(ModelSource(root), scheduler, bench.family.dtype, bench.device)
        except InputError as error:
            return {"refused": 1, "message": str(error).replace(folder, "FOLDER")}
    return {"refused": 0, "message": None}


def image_to_image(bench: Bench) -> Facts:
    """Distance to the source at strength 0.5, and that of an image drawn without it.

    The source shows another prompt, so that the text alone leads away from it.
    """
    pipeline = bench.load()
    texts = bench.prompts
    sources = bench.draw(pipeline, prompt=texts[1:] + texts[:1])
    second = StableDiffusionXLImg2ImgPipeline(**pipeline.components)
    second.set_progress_bar_config(disable=True)
    kept = bench.draw(
        second,
        image=torch.from_numpy(sources).permute(0, 3, 1, 2) / 255.0,
        strength=0.5,
        num_inference_steps=2,
    )
    free = bench.draw(pipeline, num_inference_steps=2)
    return {"with_source": _distances(kept, sources), "without": _distances(free, sources)}


def _distances(images: np.ndarray, sources: np.ndarray) -> list[float]:
    """Mean absolute difference of each image, in levels of 255."""
    apart = np.abs(images.astype(float) - sources.astype(float))
    return [float(value) for value in apart.mean(axis=(1, 2, 3))]


def peak_memory(bench: Bench, mode: str) -> Facts:
    """Bytes that drawing 64 images in one call takes at most, weights and libraries included."""
    pipeline = bench.load()
    if mode == "slicing":
        pipeline.vae.enable_slicing()
    elif mode == "offload":
        pipeline.to("cpu")
        pipeline.enable_model_cpu_offload()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    bench.draw(pipeline, prompt=bench.prompts * (64 // NUM_IMAGES))
    if bench.device.type == "cuda":
        return {"peak_memory_bytes": torch.cuda.max_memory_allocated()}
    return {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


CHECKS: Sequence[Callable[[Bench], Facts]] = (
    safety_checker,
    swaps,
    guidance_off,
    multiples,
    fusing,
    memory_modes,
    vae_in_16_bits,
    pickles,
    image_to_image,
)


def main() -> None:
    """Every check, or the peak of memory in one mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, default="nano")
    parser.add_argument("--loras", default="")
    parser.add_argument("--memory", choices=("plain", "slicing", "offload"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(with_loras(FAMILIES[args.family], args.loras))
    if args.memory:
        found = peak_memory(bench, args.memory)
    else:
        checks = [c for c in CHECKS if c is not fusing or bench.family.loras]
        found = {check.__name__: check(bench) for check in checks}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
