"""The keys of the config, and the words for which the default sweep stands in."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from turbo_lab.cards import conf_dir
from turbo_lab.config.keys import AXES, MORE_AXES, is_default_sweep, is_key, known_keys


def test_known_keys_are_those_of_the_file_and_the_groups() -> None:
    plain = set(map(str, OmegaConf.load(conf_dir() / "config.yaml"))) - {"defaults"}
    assert plain < known_keys()
    groups = {"model", "prompts", "metrics", "tracking", "pipeline", "sweep", "gate", "golden"}
    assert known_keys() - plain == groups


def test_every_axis_is_a_key() -> None:
    assert {*AXES, *MORE_AXES} <= known_keys()


@pytest.mark.parametrize("word", ["seed=1", "model.path=x", "hydra.job.name=x", "lora="])
def test_words_that_set_a_key(word: str) -> None:
    assert is_key(word)


@pytest.mark.parametrize("word", ["seed", "a red apple", "sed=1", "=1", "a=b"])
def test_words_that_set_none(word: str) -> None:
    assert not is_key(word)


@pytest.mark.parametrize(
    ("words", "is_default"),
    [
        ([], True),
        (["store=here", "tracking=none", "tracking.uri=x", "device=cpu", "output=o"], True),
        (["--cfg=job"], True),
        (["store=here", "num_images=4"], False),
        (["metrics=none"], False),
        (["sweep=single"], False),
        (["num_inference_steps=1"], False),
    ],
)
def test_the_default_sweep_stands_in_only_where_nothing_is_said(
    words: list[str], is_default: bool
) -> None:
    assert is_default_sweep(words) is is_default
