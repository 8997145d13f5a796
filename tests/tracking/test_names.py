"""Names and texts as MLflow accepts and shows them."""

from __future__ import annotations

import pytest

from turbo_lab.tracking.names import (
    MAX_PARAMETER,
    MAX_TAG,
    SHOWN_NAME,
    cell_name,
    model_name,
    parameter_text,
    safe_key,
    tags,
)

REFUSED = (
    "fd/clip (epoch 5)",
    "fd/clip [epoch 5]",
    "a[0]",
    "x" * 251,
    "",
    ".",
    "..",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "../up",
    "a/",
    "naïve?",
    "tab\there",
    "two\nlines",
    "50%",
    "a+b@0.8",
    "a,b",
)
ACCEPTED = ("clip_score", "fd/nano-clip", "kid.ci95_low", "turbo_lab.models.a b", "größe", "a:b")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_key_is_made_safe(name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

    with pytest.raises(MlflowException):
        _validate_metric(name, 1.0, 0, 0)
    for key in (safe_key(name), f"{safe_key(name)}.ci95_high"):
        _validate_metric(key, 1.0, 0, 0)
        _validate_param(key, "1")
        _validate_tag(key, "1")


def test_safe_keys_are_distinct_and_accepted_ones_unchanged() -> None:
    assert len({safe_key(name) for name in REFUSED + ACCEPTED}) == len(REFUSED + ACCEPTED)
    assert [safe_key(name) for name in ACCEPTED] == list(ACCEPTED)
    assert safe_key("fd/clip (epoch 5)") == "fd/clip _epoch 5_-ea12e0e0"


@pytest.mark.parametrize(
    ("axes", "name"),
    [
        ({"guidance_scale": 0.0, "num_inference_steps": 1}, "1 step, cfg 0"),
        ({"num_inference_steps": 4, "guidance_scale": 1.5}, "4 steps, cfg 1.5"),
        ({"lora": "none", "seed": 3}, "no LoRA, seed 3"),
        ({"scheduler": "EulerAncestralDiscreteScheduler"}, "EulerAncestral"),
        ({"scheduler": "LCMScheduler", "dtype": "bfloat16"}, "LCM, bfloat16"),
        ({"vae": None, "batch_size": 4}, "no VAE, batch 4"),
        ({"share": "exact"}, "share=exact"),
    ],
)
def test_a_cell_is_named_by_its_values(axes: dict[str, object], name: str) -> None:
    assert cell_name(axes) == name


def test_names_that_the_page_cuts_still_differ() -> None:
    axes = [
        {"num_inference_steps": steps, "lora": f"folder/of/loras/{name}.safetensors@0.8"}
        for steps in (1, 2)
        for name in ("a-style-with-a-long-name", "a-style-with-a-long-name-too", "x")
    ]
    axes += [{"lora": "one/x.safetensors"}, {"lora": "two/x.safetensors"}]
    shown = [cell_name(each)[:SHOWN_NAME] for each in axes]
    assert len(set(shown)) == len(axes)
    assert shown[0].startswith("1 step, a-style-\N{HORIZONTAL ELLIPSIS} ")
    assert cell_name(dict(axes[0])) == cell_name(axes[0])


def test_mlflow_accepts_the_name_of_any_model() -> None:
    from mlflow.utils.validation import _validate_logged_model_name

    name = model_name(["org/model: v1.0", "cfg 1.5", "it's", "50%", 'a "b"'])
    _validate_logged_model_name(name)
    assert name == "org_model_ v1·0, cfg 1·5, it_s, 50_, a _b_"
    _validate_logged_model_name(model_name(["x" * 900]))


def test_long_texts_are_cut() -> None:
    assert len(parameter_text("x" * 9000)) == MAX_PARAMETER
    assert "\0" not in parameter_text("a\0b")
    assert parameter_text(None) == "none"
    [(key, value)] = tags({"a[0]": "x" * 9000}).items()
    assert key.startswith("turbo_lab.a_0_-") and len(value) == MAX_TAG
