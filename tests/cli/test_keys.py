"""The config keys as help and completion show them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from turbo_lab import environment
from turbo_lab.cards import conf_dir
from turbo_lab.cli.keys import groups, groups_help, key_names, values_of
from turbo_lab.planning.options import SHARES, TIMINGS
from turbo_lab.request.pipeline import CHOICES, PipelineKeys


@pytest.mark.parametrize("key", [field.name for field in fields(PipelineKeys)])
def test_every_pipeline_key_is_completed_with_its_values(key: str) -> None:
    """A key is a name with choices, or true or false; there is no list to forget it in."""
    is_switch = isinstance(getattr(PipelineKeys(), key), bool)
    assert tuple(values_of(key)) == (("false", "true") if is_switch else CHOICES[key])


def test_values_are_those_that_the_options_accept() -> None:
    assert values_of("device") == environment.DEVICES
    assert (values_of("share"), values_of("timing")) == (SHARES, TIMINGS)
    assert "ink" in values_of("lora") and "nano-turbo" in values_of("model")
    assert list(values_of("store")) == []


def test_every_group_of_the_config_is_shown_with_its_choices() -> None:
    folders = {path.parent.name for path in conf_dir().glob("*/*.yaml")}
    assert set(groups()) == folders - {"adapters", "vaes"}  # lora= and vae= name these cards
    assert dict(groups_help())["pipeline="] == "exact, fast, stock"
    assert {*groups(), "seed", "num_images"} <= set(key_names())
