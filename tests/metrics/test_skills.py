"""Metrics by skill: means, intervals and rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.results import sweep_result
from turbo_lab.analysis.stats import bootstrap_mean_ci, proportion_ci
from turbo_lab.documents.sweep import SkillValue
from turbo_lab.metrics.skills import rows_by_skill, split_by_skill, with_skills
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction

PROMPTS = [f"prompt {index}" for index in range(20)]
SKILLS = ["colour" if index % 2 else "count" for index in range(20)]
VALUES = tuple(index / 20 for index in range(20))


def measurement(
    values: tuple[float, ...] | None = VALUES, unit: str = "cosine", name: str = "clip_score"
) -> Measurement:
    return Measurement(name, 0.5, unit, 20, Direction.HIGHER, "f" * 64, None, per_image=values)


def test_a_skill_has_the_mean_and_the_interval_of_its_images() -> None:
    found = split_by_skill(measurement(), PROMPTS, SKILLS)
    assert found is not None and list(found) == ["count", "colour"]
    assert found["count"].value == pytest.approx(sum(VALUES[::2]) / 10)
    assert found["colour"].value == pytest.approx(sum(VALUES[1::2]) / 10)
    assert found["colour"].ci95 == bootstrap_mean_ci(VALUES[1::2], PROMPTS[1::2])
    assert (found["colour"].n, found["colour"].note) == (10, None)


def test_all_right_is_not_certainly_right() -> None:
    """A fraction has Wilson's interval: the bootstrap of ten equal values has no width."""
    found = split_by_skill(measurement((1.0,) * 20, "fraction"), PROMPTS, SKILLS)
    assert found is not None and found["count"].value == 1.0
    assert found["count"].ci95 == proportion_ci([1.0] * 10, PROMPTS[::2])
    assert found["count"].ci95 is not None and found["count"].ci95[0] < 0.9


def test_few_prompts_give_no_interval_and_a_note() -> None:
    found = split_by_skill(measurement(), ["a", "b"] * 10, SKILLS)
    assert found is not None
    assert found["count"].ci95 is None and found["count"].note is not None
    assert "1 prompts, fewer than 8" in found["count"].note


def test_images_without_a_skill_are_in_no_split() -> None:
    found = split_by_skill(measurement(), PROMPTS, ["count", *[None] * 19])
    assert found is not None and [one.n for one in found.values()] == [1]
    assert split_by_skill(measurement(), PROMPTS, [None] * 20) is None
    assert split_by_skill(measurement(None, "squared distance"), PROMPTS, SKILLS) is None


def test_a_cell_is_split_and_shown_as_rows(tmp_path: Path) -> None:
    cells = sweep_result(tmp_path).cells
    skills = ["count", "colour", "count", None]
    scores = [measurement((0.1, 0.2, 0.3, 0.4)), measurement(None, "d", "fd/nano-clip")]
    split = with_skills(cells[0], scores, skills)
    values = split.metrics["clip_score"].by_skill
    assert values is not None
    assert values["count"] == SkillValue(pytest.approx(0.2), 2, None, values["count"].note)  # type: ignore[arg-type]
    assert split.metrics["fd/nano-clip"].by_skill is None
    assert replace(split, metrics=cells[0].metrics) == cells[0]
    rows = rows_by_skill([split, cells[1]])
    assert [row.axes["skill"] for row in rows] == ["count", "colour"]
    assert [row.metrics["clip_score"].value for row in rows] == [pytest.approx(0.2), 0.2]
    assert set(rows[0].metrics) == {"clip_score"} and rows[0].latency_s is None


def test_without_skills_nothing_is_split(tmp_path: Path) -> None:
    cell = sweep_result(tmp_path).cells[0]
    assert with_skills(cell, [measurement()], ()) == cell
    assert rows_by_skill([cell]) == []
