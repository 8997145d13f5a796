"""Faults of a drawing pipeline: the mistakes that goldens exist to catch.

Each is a mistake that was made in some project. It enters through the seams of the sampler,
as altered work, or as changed weights that are restored to the bit. No fault touches how a
golden is read or judged.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any

from turbo_lab import images
from turbo_lab.request.recipe import Batch, Recipe
from turbo_lab.runtime import seams
from turbo_lab.runtime.seams import Adapters, Encoded, Seams
from turbo_lab.trials import source_faults

Pipeline = Any
MakeSeams = Callable[[], Seams]
Scope = Callable[[Pipeline], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """One mistake, and how it is put into a pipeline."""

    name: str
    """Name in the table."""
    seams: MakeSeams = Seams
    """Factory of the seams of a run. Each run gets its own: some count what they draw."""
    weights: Scope = lambda pipeline: nullcontext()
    """Context that changes the resident weights for the length of a run."""
    alter: Callable[[Batch], Batch] = lambda batch: batch
    """Function from the requested batch to the one that is drawn in its place."""
    drops_negative: bool = False
    """True if the negative prompt is lost."""
    applies: Callable[[Batch, str | None], bool] = lambda batch, negative: True
    """Test of whether a case, given its batch and negative prompt, can show the fault."""
    needs_png: bool = False
    """True if the fault shows only in encoded PNG files, not in the drawn pixels."""


def decoded(change: Callable[[Any], Any]) -> MakeSeams:
    """Change a copy of the VAE's output, (N, 3, H, W) in [-1, 1]."""

    def wrong(run: Callable[[Any], Any], latents: Any) -> Any:
        return change(run(latents).clone())

    return lambda: Seams(decode=wrong)


def _invert_block(images: Any) -> Any:
    middle = images.shape[-1] // 2
    images[..., middle - 8 : middle + 8, middle - 8 : middle + 8] *= -1
    return images


def _encoded(change: Callable[[Encoded], Encoded]) -> MakeSeams:
    """Change what ``encode_prompt`` returns: (positive, negative, pooled, negative pooled)."""

    def wrong(encode: Callable[..., Encoded], **options: Any) -> Encoded:
        return change(encode(**options))

    return lambda: Seams(encode_prompt=wrong)


def _prompts(change: Callable[[list[str]], list[str]]) -> MakeSeams:
    """Change the prompts on their way to the text encoders."""

    def wrong(encode: Callable[..., Encoded], prompt: list[str], **options: Any) -> Encoded:
        return encode(prompt=change(prompt), **options)

    return lambda: Seams(encode_prompt=wrong)


def _last_hidden_state() -> Seams:
    """Take the last layer of the text encoders; SDXL conditions on the last but one."""

    def wrong(encode: Callable[..., Encoded], **options: Any) -> Encoded:
        return encode(**{**options, "clip_skip": 1})

    return Seams(encode_prompt=wrong)


def _scheduler_config(changes: Mapping[str, object]) -> MakeSeams:
    def wrong(scheduler: str) -> Any:
        return seams.make_scheduler(json.dumps(json.loads(scheduler) | changes))

    return lambda: Seams(make_scheduler=wrong)


def _sigmas_off_by_one() -> Seams:
    """Let each step take the sigma of a schedule that is one step longer."""

    def wrong(scheduler: str) -> Any:
        made = seams.make_scheduler(scheduler)
        set_timesteps = made.set_timesteps

        def shifted(num_inference_steps: int, **options: Any) -> None:
            set_timesteps(num_inference_steps + 1, **options)
            sigmas = made.sigmas[1:].clone()
            set_timesteps(num_inference_steps, **options)
            made.sigmas = sigmas

        made.set_timesteps = shifted
        return made

    return Seams(make_scheduler=wrong)


def _generators(change: Callable[[list[Any]], list[Any]]) -> MakeSeams:
    def wrong(seeds: Sequence[int]) -> list[Any]:
        return change(seams.image_generators(seeds))

    return lambda: Seams(make_generators=wrong)


def _used_before(generators: list[Any]) -> list[Any]:
    import torch

    for generator in generators:
        torch.randn(1, generator=generator)
    return generators


def _no_step_noise() -> Seams:
    """Let ancestral steps add no noise: what a step draws is multiplied by zero."""

    def wrong(scheduler: str) -> Any:
        from torch import randn
        from torch.overrides import TorchFunctionMode

        class Silence(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                result = func(*args, **(kwargs or {}))
                return result * 0 if func is randn else result

        made = seams.make_scheduler(scheduler)
        step = made.step

        @wraps(step)  # the sampler reads the signature
        def silent(*arguments: Any, **options: Any) -> Any:
            with Silence():
                return step(*arguments, **options)

        made.step = silent
        return made

    return Seams(make_scheduler=wrong)


def _decode_in_bfloat16() -> Seams:
    def wrong(run: Callable[[Any], Any], latents: Any) -> Any:
        import torch

        return run(latents.to(torch.bfloat16)).float()

    return Seams(decode=wrong)


@contextmanager
def _vae_in_bfloat16(pipeline: Pipeline) -> Iterator[None]:
    import torch

    vae = pipeline.vae
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    torch.nn.Module.to(vae, torch.bfloat16)  # diffusers' own would warn
    try:
        yield
    finally:
        torch.nn.Module.to(vae, torch.float32)
        vae.load_state_dict(before)


def _weight(change: Callable[[Any], None]) -> Scope:
    """Change one convolution of the UNet's middle; restore it from a copy."""

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


def adapters(change: Callable[[Adapters], Adapters]) -> MakeSeams:
    """Change the (name, file, weight) of the adapters on their way onto the pipeline."""

    def wrong(pipeline: Pipeline, named: Adapters) -> None:
        seams.put_on_lora(pipeline, change(named))

    return lambda: Seams(put_on_lora=wrong)


def _first_png_for_all() -> Seams:
    first: list[Any] = []

    def wrong(pixels: Any, text: Mapping[str, str]) -> bytes:
        first.append(pixels)
        return images.encode_png(first[0], text)

    return Seams(encode_png=wrong)


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
    """Return whether a case has more than one image."""
    return len(batch.layout.seeds) > 1


_from_source = _recipe(lambda recipe: recipe.strength is not None)
has_lora = _recipe(lambda recipe: len(recipe.lora) > 0)

FAULTS: tuple[Fault, ...] = (
    Fault("channels swapped", decoded(lambda images: images.flip(1))),
    Fault("brightness halved", decoded(lambda images: (images + 1) / 2 - 1)),
    Fault("a 16x16 block inverted", decoded(_invert_block)),
    Fault("contrast at 87%", decoded(lambda images: images * 0.87)),
    Fault(
        "vae in bfloat16",
        _decode_in_bfloat16,
        weights=_vae_in_bfloat16,
        # The seam casts what is decoded only, and a VAE encodes source images as well.
        applies=_recipe(lambda recipe: recipe.strength is None),
    ),
    Fault(
        "timestep spacing lost",
        _scheduler_config({"timestep_spacing": "leading"}),
        applies=_of_scheduler("Euler"),
    ),
    Fault("sigmas off by one", _sigmas_off_by_one, applies=_of_scheduler("Euler")),
    Fault(
        "step noise lost",
        _no_step_noise,
        applies=_recipe(lambda r: "Ancestral" in r.scheduler and r.steps_run > 1),
    ),
    Fault(
        "one step less",
        alter=_one_step_less,
        applies=_recipe(lambda recipe: recipe.steps_run > 1),
    ),
    Fault("generator used before", _generators(_used_before)),
    Fault("one generator for the batch", _generators(lambda g: [g[0]] * len(g)), applies=several),
    Fault("prompts swapped in the batch", _prompts(lambda p: p[::-1]), applies=several),
    Fault("a stale encoding", _prompts(lambda p: ["a key on a white background"] * len(p))),
    Fault("last layer of the text encoders", _last_hidden_state),
    Fault("pooled embedding dropped", _encoded(lambda e: (e[0], e[1], e[2] * 0, e[3]))),
    Fault(
        "guidance switched on",
        alter=_with(guidance_scale=2.0),
        applies=_recipe(lambda recipe: recipe.guidance_scale <= 1),
    ),
    Fault(
        "guidance switched off",
        alter=_with(guidance_scale=0.0),
        applies=_recipe(lambda recipe: recipe.guidance_scale > 1),
    ),
    Fault(
        "negative prompt ignored",
        drops_negative=True,
        applies=lambda batch, negative: negative is not None,
    ),
    Fault("lora dropped", adapters(lambda named: []), applies=has_lora),
    Fault(
        "lora at half its weight",
        adapters(lambda named: [(name, path, weight / 2) for name, path, weight in named]),
        applies=has_lora,
    ),
    Fault("one weight tensor scaled by 1.01", weights=_weight(_scaled)),
    Fault("one weight off by 0.001", weights=_weight(_nudged)),
    Fault("source image not used", source_faults.not_used, applies=_from_source),
    Fault(
        "strength off by one step",
        alter=source_faults.strength_off_by_one,
        applies=_recipe(lambda r: r.strength is not None and r.num_inference_steps > 1),
    ),
    Fault("source resized twice", source_faults.resized_twice, applies=_from_source),
    Fault(
        "source encoded with another seed",
        source_faults.of_another_seed,
        applies=_recipe(source_faults.is_sampled),
    ),
    Fault(
        "source encoded without sampling",
        source_faults.not_sampled,
        applies=_recipe(source_faults.is_sampled),
    ),
    Fault(
        "sources swapped in the batch", alter=source_faults.swapped, applies=source_faults.has_two
    ),
    Fault("png of another image", _first_png_for_all, applies=several, needs_png=True),
)
