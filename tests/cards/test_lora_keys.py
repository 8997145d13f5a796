"""Names of a LoRA's tensors: which layer each belongs to, and what is refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from tests.original_names import single_file, unet_module
from turbo_lab.cards import (
    LacksLayersError,
    assemble,
    check_adapter_fits,
    locate,
    locate_adapter,
    model_card,
)
from turbo_lab.cards.card import local_card
from turbo_lab.cards.lora_fit import ModelModules, diffusers_name, fit_layers
from turbo_lab.cards.lora_keys import LoraLayer, read_layers
from turbo_lab.cards.modules import module_shapes
from turbo_lab.errors import InputError, MissingFilesError

Shapes = dict[str, tuple[int, ...]]
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
FLAT = TO_Q.replace(".", "_")
FC1 = "text_model.encoder.layers.0.mlp.fc1"


def pair(down: str, up: str | None = None, width: int = 8) -> Shapes:
    """Shapes of one layer; the name of ``up`` follows from that of ``down``."""
    other = down.replace("lora_A", "lora_B").replace("down.weight", "up.weight")
    return {down: (4, width), up or other: (width, 4)}


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


# Against a model


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


@pytest.mark.parametrize("dropped", ["first_stage_model.", "conditioner."])
def test_a_lone_checkpoint_has_the_same_modules(
    dropped: str, tmp_path: Path, nano: ModelModules
) -> None:
    tensors = single_file(assemble("nano-turbo"))
    kept = {name: value for name, value in tensors.items() if not name.startswith(dropped)}
    save_torch(kept, tmp_path / "a.safetensors")
    found = module_shapes(locate(replace(local_card(tmp_path / "a.safetensors"), base="nano-sdxl")))
    for part, modules in nano.parts.items():
        ours = {found.key(part, name): shape for name, shape in found.parts[part].items()}
        assert {key: ours[key] for key in nano.keys(part)} == {
            nano.key(part, name): shape for name, shape in modules.items()
        }


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


# Files and folders


def lora(path: Path, shapes: Shapes, metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: np.zeros(s, np.float32) for k, s in shapes.items()}, path, metadata=metadata)
    return path


def test_the_folder_of_peft(tmp_path: Path) -> None:
    shapes = pair(f"base_model.model.{TO_Q}.lora_A.weight", width=96)
    path = lora(tmp_path / "adapter_model.safetensors", shapes)
    alone = locate_adapter(str(path))
    assert alone.assumption is not None and "its alpha is taken to be its rank" in alone.assumption
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
    found = locate_adapter(str(tmp_path))
    assert found.path == path and found.assumption is None
    assert found.digest != alone.digest, "alpha scales it"
    check_adapter_fits(found, locate(model_card("nano-turbo")))
    config.write_text(json.dumps({"peft_type": "LOHA"}))
    with pytest.raises(InputError, match="is 'LOHA', which diffusers does not load"):
        locate_adapter(str(tmp_path))


def test_the_only_file_of_a_folder(tmp_path: Path) -> None:
    path = lora(tmp_path / "style (v2).safetensors", pair("lora_unet_x.lora_down.weight"))
    assert locate_adapter(str(tmp_path)).path == path
    lora(tmp_path / "other.safetensors", pair("lora_unet_x.lora_down.weight"))
    with pytest.raises(MissingFilesError, match="name one of its 2 files"):
        locate_adapter(str(tmp_path))


def test_damaged_metadata_is_refused(tmp_path: Path) -> None:
    shapes, key = pair("unet.x.lora_A.weight"), "lora_adapter_metadata"
    path = lora(tmp_path / "a.safetensors", shapes, {key: "[]"})
    with pytest.raises(InputError, match="its lora_adapter_metadata is not a JSON object"):
        locate_adapter(str(path))
