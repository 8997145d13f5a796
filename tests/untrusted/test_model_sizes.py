"""Numbers in a model's configs that would fill the memory are refused; those of models pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cards.checkpoints import local
from turbo_lab.cards import locate
from turbo_lab.cards.packaged import WEIGHTS
from turbo_lab.errors import InputError
from turbo_lab.untrusted.model_sizes import check_sizes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocab_size": 10**12}, "'vocab_size' is more than 1,000,000"),
        ({"block_out_channels": [320, 10**7]}, "'block_out_channels' is more than 1,000,000"),
        ({"num_hidden_layers": 10**6}, "'num_hidden_layers' is more than 1,000, which no model"),
        ({"transformer_layers_per_block": [[1, 2], [5000]]}, "'transformer_layers_per_block' is"),
        ({"block_out_channels": [1] * 1001}, "'block_out_channels' lists 1,001 values"),
        ({"sample_size": -(10**9)}, "'sample_size' is more than"),
    ],
)
def test_a_number_that_no_model_has_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^model: {message}"):
        check_sizes(config, "model")


def test_configs_that_ship_pass() -> None:
    configs = [*WEIGHTS.glob("*/*config.json"), *WEIGHTS.glob("*/*/*config.json")]
    assert len(configs) > 10
    for path in configs:
        check_sizes(json.loads(path.read_text()), str(path))
    check_sizes({"trained_betas": [0.1] * 5000, "dropout": 1e300, "act": "x", "a": None}, "x")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("unet/config.json", "layers_per_block", 10**9),
        ("text_encoder/config.json", "num_hidden_layers", 10**8),
        ("tokenizer/tokenizer_config.json", "model_max_length", 10**9),
        ("scheduler/scheduler_config.json", "num_train_timesteps", 10**12),
    ],
)
def test_a_model_is_refused_before_anything_is_made_from_such_a_number(
    tiny_sdxl_dir: Path, tmp_path: Path, file: str, key: str, value: int
) -> None:
    model = shutil.copytree(tiny_sdxl_dir, tmp_path / "model")
    (model / file).write_text(json.dumps(json.loads((model / file).read_text()) | {key: value}))
    with pytest.raises(InputError, match=f"{file}: '{key}' is more than"):
        locate(local(model))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("unet/config.json", {"in_channels": [4]}, "a model of another kind"),
        (
            "unet/config.json",
            {"cross_attention_dim": [768], "addition_embed_type": None},
            "is Stable Diffusion 1.x, 2.x or a relative",
        ),
        ("vae/config.json", {"block_out_channels": 5}, None),
        ("vae/config.json", {"block_out_channels": [1] * 999}, None),
    ],
)
def test_values_of_another_type_do_not_end_in_a_traceback(
    tiny_sdxl_dir: Path, tmp_path: Path, file: str, changes: dict[str, object], message: str | None
) -> None:
    model = shutil.copytree(tiny_sdxl_dir, tmp_path / "model")
    (model / file).write_text(json.dumps(json.loads((model / file).read_text()) | changes))
    if message is None:
        assert locate(local(model)).resolution is None
    else:
        with pytest.raises(InputError, match=message):
            locate(local(model))
