"""Seeded faults of a running pipeline: what a golden is there to see.

Each is a mistake that was made somewhere, put into the pipeline for the length
of a ``with`` and taken out again to the bit. None of them touches how a golden
is read or judged.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from turbo_lab.request.recipe import Batch, Recipe

Pipeline = Any
Scope = Callable[[Pipeline], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """One mistake."""

    name: str
    """Of the table."""
    running: Scope = lambda pipeline: nullcontext()
    """Entered with the case's weights resident, left after its run."""
    loading: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Entered while adapters are put on."""
    alter: Callable[[Batch], Batch] = lambda batch: batch
    """The work that is done in place of what was asked for."""
    drops_negative: bool = False
    """The negative prompt does not arrive."""
    applies: Callable[[Batch, str | None], bool] = lambda batch, negative: True
    """Whether a case (its batch and negative prompt) can show it at all."""


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute, for a while."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def decoded(change: Callable[[Any], Any]) -> Scope:
    """The VAE's output, (N, 3, H, W) in [-1, 1], changed in place of a copy."""

    def scope(pipeline: Pipeline) -> AbstractContextManager[None]:
        decode = pipeline.vae.decode

        def wrong(latents: Any, return_dict: bool = True, **options: Any) -> Any:
            return (change(decode(latents, return_dict=False, **options)[0].clone()),)

        return patched(pipeline.vae, "decode", wrong)

    return scope


def _invert_block(images: Any) -> Any:
    middle = images.shape[-1] // 2
    images[..., middle - 8 : middle + 8, middle - 8 : middle + 8] *= -1
    return images


def _encoded(change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Scope:
    """What ``encode_prompt`` returns: (positive, negative, pooled, negative pooled)."""

    def scope(pipeline: Pipeline) -> AbstractContextManager[None]:
        encode = pipeline.encode_prompt

        def wrong(**options: Any) -> Any:
            return change(encode(**options))

        return patched(pipeline, "encode_prompt", wrong)

    return scope


def _prompts(change: Callable[[list[str]], list[str]]) -> Scope:
    """The prompts on their way to the text encoders."""

    def scope(pipeline: Pipeline) -> AbstractContextManager[None]:
        encode = pipeline.encode_prompt

        def wrong(prompt: list[str], **options: Any) -> Any:
            return encode(prompt=change(prompt), **options)

        return patched(pipeline, "encode_prompt", wrong)

    return scope


def _last_hidden_state(pipeline: Pipeline) -> AbstractContextManager[None]:
    """SDXL conditions on the last but one layer of its text encoders."""
    encode = pipeline.encode_prompt

    def wrong(**options: Any) -> Any:
        return encode(**options, clip_skip=1)

    return patched(pipeline, "encode_prompt", wrong)


def _scheduler_config(changes: Mapping[str, Any]) -> Scope:
    def scope(pipeline: Pipeline) -> AbstractContextManager[None]:
        from turbo_lab.runtime import sampler
        from turbo_lab.runtime.pipeline import make_scheduler as make

        def wrong(scheduler: str) -> Any:
            return make(json.dumps(json.loads(scheduler) | changes))

        return patched(sampler, "make_scheduler", wrong)

    return scope


def _sigmas_off_by_one(pipeline: Pipeline) -> AbstractContextManager[None]:
    """Each step takes the sigma of a schedule that is one step longer."""
    from turbo_lab.runtime import sampler
    from turbo_lab.runtime.pipeline import make_scheduler as make

    def wrong(scheduler: str) -> Any:
        made = make(scheduler)
        set_timesteps = made.set_timesteps

        def shifted(num_inference_steps: int, **options: Any) -> None:
            set_timesteps(num_inference_steps + 1, **options)
            sigmas = made.sigmas[1:].clone()
            set_timesteps(num_inference_steps, **options)
            made.sigmas = sigmas

        made.set_timesteps = shifted
        return made

    return patched(sampler, "make_scheduler", wrong)


def _generators(change: Callable[[list[Any]], list[Any]]) -> Scope:
    def scope(pipeline: Pipeline) -> AbstractContextManager[None]:
        from turbo_lab.runtime import noise

        make = noise.image_generators
        return patched(noise, "image_generators", lambda seeds: change(make(seeds)))

    return scope


def _used_before(generators: list[Any]) -> list[Any]:
    import torch

    for generator in generators:
        torch.randn(1, generator=generator)
    return generators


def _no_step_noise(pipeline: Pipeline) -> AbstractContextManager[None]:
    """Ancestral steps that add no noise."""
    from diffusers.schedulers import scheduling_euler_ancestral_discrete as module

    draw = module.randn_tensor
    return patched(module, "randn_tensor", lambda *a, **k: draw(*a, **k) * 0)


@contextmanager
def _vae_in_bfloat16(pipeline: Pipeline) -> Iterator[None]:
    import torch

    vae = pipeline.vae
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    decode = vae.decode
    torch.nn.Module.to(vae, torch.bfloat16)  # diffusers' own would warn

    def wrong(latents: Any, return_dict: bool = True, **options: Any) -> Any:
        return (decode(latents.to(torch.bfloat16), return_dict=False, **options)[0].float(),)

    with patched(vae, "decode", wrong):
        try:
            yield
        finally:
            torch.nn.Module.to(vae, torch.float32)
            vae.load_state_dict(before)


def _weight(change: Callable[[Any], None]) -> Scope:
    """One convolution of the UNet's middle, restored from a copy."""

    @contextmanager
    def scope(pipeline: Pipeline) -> Iterator[None]:
        weight = pipeline.unet.mid_block.resnets[0].conv1.weight.data
        before = weight.clone()
        change(weight)
        try:
            yield
        finally:
            weight.copy_(before)

    return scope


def _scaled(weight: Any) -> None:
    weight.mul_(1.01)


def _nudged(weight: Any) -> None:
    weight.view(-1)[weight.numel() // 2] += 1e-3


def lora_call(change: Callable[[list[Any]], list[Any]]) -> Callable[[], Any]:
    """The (name, file, weight) of the adapters on their way onto the pipeline."""

    def scope() -> AbstractContextManager[None]:
        from turbo_lab.runtime import lora

        put_on = lora.put_on
        return patched(lora, "put_on", lambda pipeline, named: put_on(pipeline, change(named)))

    return scope


def _first_png_for_all(pipeline: Pipeline) -> AbstractContextManager[None]:
    from turbo_lab import images

    encode, kept = images.encode_png, []

    def wrong(pixels: Any, text: Mapping[str, str]) -> bytes:
        kept.append(pixels)
        return encode(kept[0], text)

    return patched(images, "encode_png", wrong)


def _with(**changes: Any) -> Callable[[Batch], Batch]:
    return lambda batch: dataclasses.replace(
        batch, recipe=dataclasses.replace(batch.recipe, **changes)
    )


def _one_step_less(batch: Batch) -> Batch:
    return _with(num_inference_steps=batch.recipe.num_inference_steps - 1)(batch)


def _of_scheduler(text: str) -> Callable[[Batch, str | None], bool]:
    return lambda batch, negative: text in batch.recipe.scheduler


def _recipe(test: Callable[[Recipe], bool]) -> Callable[[Batch, str | None], bool]:
    return lambda batch, negative: test(batch.recipe)


def several(batch: Batch, negative: str | None) -> bool:
    """Whether a case has more than one image."""
    return len(batch.layout.seeds) > 1


has_lora = _recipe(lambda recipe: len(recipe.lora) > 0)

FAULTS: tuple[Fault, ...] = (
    Fault("channels swapped", decoded(lambda images: images.flip(1))),
    Fault("brightness halved", decoded(lambda images: (images + 1) / 2 - 1)),
    Fault("a 16x16 block inverted", decoded(_invert_block)),
    Fault("contrast at 87%", decoded(lambda images: images * 0.87)),
    Fault("vae in bfloat16", _vae_in_bfloat16),
    Fault(
        "timestep spacing lost",
        _scheduler_config({"timestep_spacing": "leading"}),
        applies=_of_scheduler("Euler"),
    ),
    Fault("sigmas off by one", _sigmas_off_by_one, applies=_of_scheduler("Euler")),
    Fault("step noise lost", _no_step_noise, applies=lambda b, n: "Ancestral" in b.recipe.scheduler
          and b.recipe.num_inference_steps > 1),
    Fault("one step less", alter=_one_step_less,
          applies=_recipe(lambda recipe: recipe.num_inference_steps > 1)),
    Fault("generator used before", _generators(_used_before)),
    Fault("one generator for the batch", _generators(lambda g: [g[0]] * len(g)), applies=several),
    Fault("prompts swapped in the batch", _prompts(lambda p: p[::-1]), applies=several),
    Fault("a stale encoding", _prompts(lambda p: ["a key on a white background"] * len(p))),
    Fault("last layer of the text encoders", _last_hidden_state),
    Fault("pooled embedding dropped", _encoded(lambda e: (e[0], e[1], e[2] * 0, e[3]))),
    Fault("guidance switched on", alter=_with(guidance_scale=2.0),
          applies=_recipe(lambda recipe: recipe.guidance_scale <= 1)),
    Fault("guidance switched off", alter=_with(guidance_scale=0.0),
          applies=_recipe(lambda recipe: recipe.guidance_scale > 1)),
    Fault("negative prompt ignored", drops_negative=True,
          applies=lambda batch, negative: negative is not None),
    Fault("lora dropped", loading=lora_call(lambda named: []), applies=has_lora),
    Fault("lora at half its weight", loading=lora_call(
        lambda named: [(name, path, weight / 2) for name, path, weight in named]),
        applies=has_lora),
    Fault("one weight tensor scaled by 1.01", _weight(_scaled)),
    Fault("one weight off by 0.001", _weight(_nudged)),
    Fault("png of another image", _first_png_for_all, applies=several),
)  # fmt: skip
