"""Python values as words: what Hydra reads is what was passed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab import config
from turbo_lab.api.words import all_words, key_words
from turbo_lab.errors import InputError


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"model": "nano-turbo"}, ["model=nano-turbo"]),
        ({"num_inference_steps": [1, 2, 4]}, ["num_inference_steps=choice(1,2,4)"]),
        ({"seed": range(3)}, ["seed=choice(0,1,2)"]),
        ({"seed": (7,)}, ["seed=choice(7)"]),
        ({"guidance_scale": np.array([0.0, 1.5])}, ["guidance_scale=choice(0.0,1.5)"]),
        ({"lora": ["none", "flat@0.8+ink@0.5"]}, ["lora=choice(none,flat@0.8+ink@0.5)"]),
        (
            {"negative_prompt": None, "vae_tiling": True},
            ["negative_prompt=null", "vae_tiling=true"],
        ),
        ({"negative_prompt": "null"}, ["negative_prompt='null'"]),
        ({"seed": "1-4"}, ["seed='1-4'"]),
        ({"lora": "loras/*.safetensors"}, ["lora='loras/*.safetensors'"]),
        ({"store": Path("out") / "a b"}, ["store='out/a b'"]),
        ({"model": {"path": "x"}, "gate.latency": 0.2}, ["model.path='x'", "gate.latency=0.2"]),
        ({"candidate": {"dtype": "bfloat16"}}, ["candidate.dtype=bfloat16"]),
        ({"zip": ["model+lora"]}, ["zip=[model+lora]"]),
        ({"exclude": [{"seed": 1, "lora": "a b"}]}, ["exclude=[{seed:1,lora:'a b'}]"]),
        ({"gate.licenses": ["MIT"]}, ["gate.licenses=[MIT]"]),
        (
            {"model": {"scheduler": {"timestep_spacing": "linspace", "lower_order_final": True}}},
            ["model.scheduler={timestep_spacing:linspace,lower_order_final:true}"],
        ),
    ],
)
def test_values_become_words(keys: Mapping[str, object], words: list[str]) -> None:
    assert key_words(keys) == words


TEXTS = st.text(
    st.one_of(
        st.sampled_from("\\'\"${},()[]=:.@+-*?#%! \n\tae1"),
        st.characters(codec="utf-8"),
    ),
    max_size=12,
).filter(lambda text: text != "???")


@settings(max_examples=40, deadline=None)  # each composes twice
@given(TEXTS)
def test_any_text_is_read_as_itself(text: str) -> None:
    keys = {"negative_prompt": text, "prompt": ["other", text], "gate": {"name": text}}
    first, second = config.compose("sweep", key_words(keys))
    assert first.values["negative_prompt"] == text
    assert first.group("gate")["name"] == text
    assert (second.values["prompt"], second.axes) == (text, (("prompt", text),))


@pytest.mark.parametrize("text", ["${seed}", r"\${seed}", r"\\${seed}", "a ${b", "it's, (so)"])
def test_nothing_in_a_text_is_looked_up(text: str) -> None:
    first, second = config.compose("sweep", key_words({"prompt": [text, "x"], "lora": text}))
    assert (first.values["prompt"], first.values["lora"]) == (text, text)
    assert second.values["prompt"] == "x"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"seed": object}, "seed=<class 'object'>: a type is not a value; pass text, a path"),
        ({"seed": {1, 2}}, "seed={1, 2}: a set is not a value"),
        ({"seed": [[1]]}, "seed=[1]: a list is not a value"),
        ({"seed": []}, "seed=[]: lists no value; pass at least one, or leave seed out"),
        ({"prompt": "???"}, "prompt=???: stands for a value that is missing; pass another text"),
        ({"a=b": 1}, "'a=b': is not a key; write names with dots, as in model.path"),
        ({"model": {"a b": 1}}, "'model.a b': is not a key"),
    ],
)
def test_what_is_no_value_is_refused(keys: Mapping[str, object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        key_words(keys)
    assert message in str(refused.value)


def test_words_come_first_and_are_key_value() -> None:
    assert all_words("sweep", ["seed=1-4"], {"lora": "none"}) == ["seed=1-4", "lora=none"]
    for word in ("nano-turbo", "--cfg=job", "-m"):
        with pytest.raises(InputError, match="sweep: .* is not a KEY=VALUE word; pass keys as"):
            all_words("sweep", [word], {})
