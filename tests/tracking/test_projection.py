"""Names and texts as MLflow accepts them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.results import ENERGY, cell_result, metric_value, sweep_result
from turbo_lab.tracking.projection import (
    MAX_PARAMETER,
    MAX_RUN_NAME,
    cell_metrics,
    cell_name,
    content_digest,
    parameter_text,
    safe_key,
)
from turbo_lab.verdict import Direction

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


def test_interval_has_the_name_of_its_metric() -> None:
    found = metric_value(1.0, Direction.LOWER, (0.5, 1.5))
    key, untimed = safe_key("fd/a (b)"), {"latency_s": None, "throughput_images_per_s": None}
    cell = replace(cell_result(0, {}, None), metrics={"fd/a (b)": found}, **untimed)
    assert cell_metrics(cell) == {key: 1.0, f"{key}.ci95_low": 0.5, f"{key}.ci95_high": 1.5}


def test_energy_is_a_metric_and_news_only_where_it_was_measured() -> None:
    sweep = sweep_result(None)
    first, *others = sweep.cells
    assert first.timing is not None
    metered = replace(first, timing=replace(first.timing, energy=ENERGY))
    found = cell_metrics(metered)
    assert found["joules_per_image"] == 12.3
    assert found["joules_per_image.ci95_low"] == 11.9
    assert not any(name.startswith("joules") for name in cell_metrics(first))
    assert content_digest(sweep) != content_digest(replace(sweep, cells=(metered, *others)))


def test_long_texts_are_cut() -> None:
    axes = {"negative_prompt": "blurry " * 100}
    other = {"negative_prompt": "blurry " * 100 + "!"}
    first, second = (cell_name(cell_result(0, each, None)) for each in (axes, other))
    assert len(first) == MAX_RUN_NAME and first != second
    assert len(parameter_text("x" * 9000)) == MAX_PARAMETER
    assert "\0" not in parameter_text("a\0b")
