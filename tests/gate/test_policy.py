"""Policies: those that ship, and what is refused with its reason."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml

from turbo_lab.cards import conf_dir
from turbo_lab.errors import InputError
from turbo_lab.gate.policy import Policy

RELEASE = yaml.safe_load((conf_dir() / "gate" / "release.yaml").read_text())


def test_the_release_policies_are_valid() -> None:
    policy = Policy.from_config(RELEASE)
    assert policy.goldens == () and policy.latency is None and policy.baseline == "release"
    assert policy.quality["clip_score"].margin == 0.02
    assert set(RELEASE) == {field.name for field in fields(Policy)}


def test_a_policy_of_its_own_has_a_baseline_of_its_name() -> None:
    policy = Policy.from_config({"name": "mine", "licenses": ["MIT"], "mutation": ["a", "b"]})
    assert (policy.baseline, policy.goldens, policy.golden_tier) == ("mine", None, "T2")
    assert policy.named_cases() == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "none"}, "name a policy"),
        ({"name": 3}, "gate.name=3: must be a name"),
        ({"baseline": ""}, "gate.baseline=: must be a name"),
        ({"latancy": 0.2}, "Did you mean latency?"),
        ({"latency": -0.1}, "must be a number of at least 0"),
        ({"latency": "fast"}, "gate.latency=fast"),
        ({"energy": -1}, "gate.energy=-1: must be a number of at least 0"),
        ({"memory": True}, "gate.memory=True: must be a number of at least 0"),
        ({"frechet": float("nan")}, "gate.frechet=nan"),
        ({"min_goldens": True}, "an integer"),
        ({"retries": 1.5}, "gate.retries=1.5: must be an integer"),
        ({"goldens": 3}, "all, none or a list"),
        ({"invariance": []}, "gate.invariance=.*: must be all, none or a list"),
        ({"mutation": 1.0}, "gate.mutation=1.0: must be all, none or a list"),
        ({"golden_tier": "T3"}, "gate.golden_tier=T3: must be one of T0, T1, T2"),
        ({"coverage": ["guidence"]}, "Did you mean guidance?"),
        ({"coverage": "lora"}, "gate.coverage=lora: must be a list of names"),
        ({"licenses": "MIT"}, "gate.licenses=MIT: must be a list of names"),
        ({"quality": ["clip_score"]}, "one metric per line, each with a margin"),
        ({"quality": {"clip_scor": {"margin": 0.1}}}, "Did you mean clip_score?"),
        ({"quality": {"fd": {"margin": 0.1}}}, "use gate.frechet for fd"),
        ({"quality": {"diversity": {"margin": 0.1}}}, "use one of clip_score, r_precision"),
        ({"quality": {"clip_score": 0.02}}, "must have a margin"),
        ({"quality": {"clip_score": {"margin": None}}}, "must be a number"),
        ({"quality": {"clip_score": {"margin": 0.1, "sided": 2}}}, "must have a margin"),
        ({"quality": {"clip_score": {"margin": 0.1, "two_sided": "no"}}}, "true or false"),
        ({"quality": {"clip_score": {"margin": 0.1, "min": "no"}}}, "must be a finite number"),
        ({"quality": {"clip_score": {"min": 0.8}}}, "margin: must be a number of at least 0"),
    ],
)
def test_a_wrong_policy_is_explained(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Policy.from_config(RELEASE | change)


def test_a_figure_is_left_out_by_null() -> None:
    policy = Policy.from_config(RELEASE | {"quality": {"clip_score": None}})
    assert policy.quality == {}


def test_a_minimum_may_be_negative_and_is_optional() -> None:
    rules = {"clip_score": {"margin": 0.1, "min": -0.5}, "r_precision": {"margin": 0.1}}
    found = Policy.from_config({"name": "mine", "quality": rules}).quality
    assert (found["clip_score"].minimum, found["r_precision"].minimum) == (-0.5, None)
