"""Names of a LoRA's tensors: which layer each belongs to, and what is refused by name."""

from __future__ import annotations

import re

import pytest

from tests.cards.checkpoints import pair
from turbo_lab.cards.lora_keys import LoraLayer, read_layers
from turbo_lab.errors import InputError

Shapes = dict[str, tuple[int, ...]]
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
FLAT = TO_Q.replace(".", "_")
FC1 = "text_model.encoder.layers.0.mlp.fc1"


def only(shapes: Shapes) -> LoraLayer:
    (layer,) = read_layers(shapes, "lora=a")
    return layer


@pytest.mark.parametrize(
    ("down", "part", "module"),
    [
        (f"unet.{TO_Q}.lora_A.weight", "unet", TO_Q),
        (f"unet.{TO_Q}.lora_A.default_0.weight", "unet", TO_Q),
        (f"{TO_Q}.lora_A.weight", "unet", TO_Q),
        (f"unet.{TO_Q}.lora.down.weight", "unet", TO_Q),
        (f"base_model.model.{TO_Q}.lora_A.weight", None, TO_Q),
        (f"base_model.model.unet.{TO_Q}.lora_A.weight", "unet", TO_Q),
        (f"diffusion_model.{TO_Q}.lora_A.weight", "unet", TO_Q),
        (f"lora_unet_{FLAT}.lora_down.weight", "unet", FLAT),
        ("lora_te_x.lora_down.weight", "text_encoder", "x"),
        ("lora_te1_x.lora_down.weight", "text_encoder", "x"),
        ("lora_te2_x.lora_down.weight", "text_encoder_2", "x"),
        ("unet.a.attn1.processor.to_q_lora.down.weight", "unet", "a.attn1.to_q"),
        ("unet.a.attn1.processor.to_out_lora.down.weight", "unet", "a.attn1.to_out.0"),
        ("text_encoder.a.self_attn.to_q_lora.down.weight", "text_encoder", "a.self_attn.q_proj"),
        (f"text_encoder_2.{FC1}.lora_linear_layer.down.weight", "text_encoder_2", FC1),
        (f"{FC1}.lora_A.weight", None, FC1),
    ],
)
def test_spellings(down: str, part: str | None, module: str) -> None:
    layer = only(pair(down))
    assert (layer.part, layer.module, layer.rank, layer.widths) == (part, module, 4, (8, 8))


def test_what_goes_with_a_layer() -> None:
    shapes = pair("lora_unet_x.lora_down.weight") | {
        "lora_unet_x.alpha": (),
        "lora_unet_x.dora_scale": (8, 1),
    }
    layer = only(shapes)
    assert (layer.alpha, layer.magnitude) == ("lora_unet_x.alpha", "lora_unet_x.dora_scale")
    assert set(layer.tensors) == set(shapes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_unet_x.hada_w1_a", r"is LoHa \(LyCORIS\)"),
        ("lora_unet_x.lokr_w1", r"is LoKr \(LyCORIS\)"),
        ("lora_unet_x.oft_blocks", "is OFT or BOFT"),
        ("lora_unet_x.on_input", r"is \(IA\)3"),
        ("lora_unet_x.a1.weight", r"is GLoRA"),
        ("lora_unet_x.lora_mid.weight", "is LoCon with a Tucker decomposition"),
        ("lora_unet_x.diff_b", "is full differences of weights"),
        ("lora_unet_x.w_norm", "is differences of norms"),
        ("bundle_emb.tok.string_to_param.*", r"is an embedding \(textual inversion\)"),
        ("lora_controlnet", "is a Control-LoRA"),
        ("lora_unet_double_blocks_0_img_mlp_0.lora_down.weight", "is a LoRA for Flux, not for"),
        ("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", "is a LoRA for Flux"),
        ("transformer_blocks.0.attn.to_q.lora_A.weight", "is a LoRA for a diffusion transformer"),
        ("lora_te3_x.lora_down.weight", "is a LoRA for Stable Diffusion 3"),
    ],
)
def test_other_kinds_are_refused_by_name(name: str, kind: str) -> None:
    shapes = pair("lora_unet_y.lora_down.weight") | {name: (8, 8)}
    with pytest.raises(InputError, match=f"^lora=a: {kind}.*{re.escape(name)}"):
        read_layers(shapes, "lora=a")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "holds no tensors"),
        ({"x": (1,), "lora_unet_y.alpha": ()}, "nothing takes lora_unet_y.alpha, x; diffusers"),
        ({"lora_unet_x.lora_down.weight": (4, 8)}, "nothing takes lora_unet_x.lora_down.weight"),
        ({f"x{i}": (1,) for i in range(9)}, "nothing takes x0, x1, x2, x3 and 5 more"),
        (
            pair("unet.x.lora_A.weight") | pair("unet.x.lora_A.default.weight"),
            "are the same tensor twice",
        ),
        (
            {"unet.x.lora_A.weight": (4, 8), "unet.x.lora_B.weight": (8, 2)},
            "are not a pair of matrices",
        ),
    ],
)
def test_what_nothing_takes_is_listed(shapes: Shapes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_layers(shapes, "lora=a")


@pytest.mark.parametrize(
    ("name", "shape", "is_taken"),
    [
        ("lora_unet_x.dora_scale", (8, 1), True),
        ("lora_unet_x.dora_scale", (8, 1, 1, 1), True),
        ("lora_unet_x.dora_scale", (1, 8), False),
        ("unet.x.lora_magnitude_vector", (8,), True),
        ("unet.x.lora_magnitude_vector.default.weight", (8,), True),
        ("unet.x.lora_magnitude_vector.weight", (1, 8, 1, 1), True),
        ("unet.x.lora_magnitude_vector", (4,), False),
    ],
)
def test_norms_of_a_dora(name: str, shape: tuple[int, ...], is_taken: bool) -> None:
    start = name.split(".")[0]
    names = ("unet.x.lora_A.weight",) if start == "unet" else ("lora_unet_x.lora_down.weight",)
    shapes = pair(names[0]) | {name: shape}
    if is_taken:
        assert only(shapes).magnitude == name
    else:
        with pytest.raises(InputError, match=rf"is a DoRA whose {name} has shape"):
            read_layers(shapes, "lora=a")
