"""Axes in, points out: products, axes that vary together, points left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab import config
from turbo_lab.config.grid import Axis, GridRules, expand
from turbo_lab.errors import InputError

BASE: dict[str, object] = {"a": 0, "b": 0, "c": {"d": 0, "e": 1}}


def points(
    axes: Sequence[Axis], zipped: object = None, excluded: object = None
) -> list[dict[str, object]]:
    """Return the axes of every point."""
    rules = GridRules.from_config(zipped, excluded)
    return [dict(point.axes) for point in expand(axes, rules, lambda _: dict(BASE))]


A, B = Axis("a", (1, 2, 3)), Axis("b", ("x", "y", "z"))


def test_a_grid_is_a_product_in_the_order_of_its_axes() -> None:
    found = points([Axis("a", (1, 2)), Axis("b", ("x", "y"))])
    wanted = [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert [tuple(point.values()) for point in found] == wanted


def test_zipped_axes_vary_together() -> None:
    found = points([A, B, Axis("c.d", (8, 9))], zipped="a+b")
    assert [(p["a"], p["b"]) for p in found] == [
        (1, "x"),
        (1, "x"),
        (2, "y"),
        (2, "y"),
        (3, "z"),
        (3, "z"),
    ]
    assert [p["c.d"] for p in found] == [8, 9] * 3


def test_two_pairs_may_be_zipped() -> None:
    axes = [Axis(key, (1, 2)) for key in ("a", "b", "c.d", "c.e")]
    found = points(axes, zipped=["a+c.d", "b+c.e"])
    assert [tuple(p.values()) for p in found] == [
        (1, 1, 1, 1),
        (1, 2, 1, 2),
        (2, 1, 2, 1),
        (2, 2, 2, 2),
    ]


def test_excluded_points_are_left_out() -> None:
    assert points([A], excluded=[{"a": 2}]) == [{"a": 1}, {"a": 3}]
    found = points([A, B], excluded=[{"a": [1, 2], "b": "x"}, {"b": "z"}])
    assert [tuple(p.values()) for p in found] == [(1, "y"), (2, "y"), (3, "x"), (3, "y")]


def test_a_configuration_is_composed_once_per_choice_that_has_a_point() -> None:
    asked: list[tuple[str, ...]] = []

    def compose(overrides: Sequence[str]) -> dict[str, object]:
        asked.append(tuple(overrides))
        return dict(BASE)

    group = Axis("g", ("m", "n", "o"), ("g=m", "g=n", "g=o"))
    expand([A, group], GridRules(excluded=({"g": "n"},)), compose)
    assert asked == [("g=m",), ("g=o",)]


def test_a_nested_value_is_put_into_a_copy() -> None:
    one, two = expand([Axis("c.d", (7, 8))], GridRules(), lambda _: dict(BASE))
    assert (one.values["c"], two.values["c"]) == ({"d": 7, "e": 1}, {"d": 8, "e": 1})
    assert BASE["c"] == {"d": 0, "e": 1}


@pytest.mark.parametrize(
    ("zipped", "excluded", "message"),
    [
        ("a+c.d", None, "zip=a+c.d: c.d is not swept here; swept are a, b"),
        ("a", None, "zip=a: name two axes or more"),
        ("a+a", None, "zip=a+a: a is named twice"),
        (["a+b", "b+a"], None, "zip=b+a: b is named twice"),
        (3, None, "zip=3: must name axes, as in zip=model+lora"),
        (None, [{"q": 1}], "exclude: q is not swept here; swept are a, b"),
        (None, [{"a": 4}], "exclude: a=4: not a value of this axis (1, 2, 3)"),
        (None, [{"a": [1, 2, 3]}], "exclude: leaves no point of the grid"),
        (None, [{}], "exclude=[{}]: must list points"),
        (None, "a", "exclude=a: must list points"),
    ],
)
def test_rules_that_do_not_fit_the_axes(zipped: object, excluded: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        points([A, B], zipped, excluded)
    assert message in str(refused.value)


def test_zipped_axes_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"zip=a\+b: needs equally many .* a has 3, b has 2"):
        points([A, Axis("b", (1, 2))], "a+b")


def test_the_limit_counts_zipped_axes_once() -> None:
    long = tuple(range(200))
    assert len(points([Axis("a", long), Axis("b", long)], "a+b")) == 200
    with pytest.raises(InputError, match="a b: the grid has more than 20000 points"):
        points([Axis("a", long), Axis("b", long)])


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), max_size=3),
    st.data(),
)
def test_excluding_is_filtering(values: list[list[int]], data: Any) -> None:
    axes = [Axis(key, tuple(v)) for key, v in zip("abc", values, strict=False)]
    everything = points(axes)
    entry = data.draw(st.sampled_from(everything))
    kept = [p for p in everything if not all(p[k] == v for k, v in entry.items())]
    if entry and kept:
        assert points(axes, excluded=[entry]) == kept


def test_the_command_line_reads_zip_and_exclude() -> None:
    words = ["model=nano-turbo,nano-sdxl", "num_inference_steps=1-4", "seed=0,5,6,7"]
    rules = ["zip=seed+num_inference_steps", "exclude=[{model: nano-sdxl, seed: [0, 5]}]"]
    found = [tuple(dict(point.axes).values()) for point in config.compose("plan", words + rules)]
    turbo = [("nano-turbo", 1, 0), ("nano-turbo", 2, 5), ("nano-turbo", 3, 6), ("nano-turbo", 4, 7)]
    assert found == [*turbo, ("nano-sdxl", 3, 6), ("nano-sdxl", 4, 7)]
