"""The module of a model that each layer of a LoRA changes, in every spelling of its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.original_names import unet_module
from turbo_lab.cards import LacksLayersError, locate, model_card
from turbo_lab.cards.lora_fit import ModelModules, diffusers_name, fit_layers
from turbo_lab.cards.lora_keys import LoraLayer
from turbo_lab.cards.modules import module_shapes
from turbo_lab.errors import InputError

TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
FLAT = TO_Q.replace(".", "_")


@pytest.fixture(scope="module")
def nano() -> ModelModules:
    return module_shapes(locate(model_card("nano-turbo")))


def layer(module: str, part: str | None, shape: tuple[int, ...], rank: int = 4) -> LoraLayer:
    down, up = (rank, shape[1], *shape[2:]), (shape[0], rank, *(1 for _ in shape[2:]))
    return LoraLayer(part, module, f"{module}.down", f"{module}.up", down, up)


def test_every_spelling_of_every_module_is_found(nano: ModelModules) -> None:
    attended = {
        int(name.split(".")[1])
        for name in nano.parts["unet"]
        if "up_blocks" in name and "attn1" in name
    }
    for part, modules in nano.parts.items():
        spellings = {name: [name, name.replace(".", "_")] for name in modules}
        for name, found in spellings.items():
            if part == "unet":
                original = unet_module(name, nano.layers_per_block, attended)
                assert diffusers_name(original.replace(".", "_"), 1) == name.replace(".", "_")
                found += [original, original.replace(".", "_")]
            else:
                bare = name.removeprefix("text_model.")
                found += [bare, f"text_model.{bare}", f"text_model.{bare}".replace(".", "_")]
            for spelling in found:
                (fit,) = fit_layers([layer(spelling, part, modules[name])], nano, "lora=a")
                assert (fit.part, fit.module) == (part, name)


def test_an_unnamed_part_is_the_one_that_has_all_layers(nano: ModelModules) -> None:
    for part in ("unet", "text_encoder", "text_encoder_2"):
        name, shape = next(
            (n, s) for n, s in nano.parts[part].items() if n.endswith("_proj") or part == "unet"
        )
        (fit,) = fit_layers([layer(name, None, shape)], nano, "lora=a")
        assert fit.part == part


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([("mid_x", "unet", (8, 8))], LacksLayersError, "adapts mid_x, which this model does not"),
        (
            [("encoder.layers.11.mlp.fc1", "text_encoder", (8, 8))],
            LacksLayersError,
            "adapts text_encoder.encoder.layers.11.mlp.fc1, which",
        ),
        ([(TO_Q, "unet", (640, 640))], InputError, ".*to_q is 640x640 in the LoRA and 96x96"),
        (
            [(TO_Q, "unet", (96, 96, 3, 3))],
            InputError,
            r".*a kernel of \(3, 3\) in the LoRA",
        ),
        (
            [(TO_Q, "unet", (96, 96)), (FLAT, "unet", (96, 96))],
            InputError,
            ".* both change down_blocks.1.attentions.0",
        ),
    ],
)
def test_layers_that_do_not_fit(
    nano: ModelModules,
    layers: list[tuple[str, str, tuple[int, ...]]],
    error: type[InputError],
    message: str,
) -> None:
    with pytest.raises(error, match=f"^lora=a: {message}"):
        fit_layers([layer(*one) for one in layers], nano, "lora=a")


def test_a_dora_has_norms_for_all_layers_of_a_part(nano: ModelModules) -> None:
    one = layer(TO_Q, "unet", (96, 96))
    two = replace(layer(TO_Q.replace("to_q", "to_k"), "unet", (96, 96)), magnitude="m")
    with pytest.raises(InputError, match=r"some layers have magnitudes \(DoRA\) and others do not"):
        fit_layers([one, two], nano, "lora=a")
