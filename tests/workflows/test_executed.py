"""A run of a sweep: its only record, and how much of it was in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turbo_lab.workflows.executed import Executed


def test_what_was_missing_was_drawn(executed: Executed) -> None:
    planned = executed.plan.cells
    images = sum(one.cell.num_images for one in planned)
    assert executed.from_store == 0 and images > 0
    stored = tuple(replace(one, missing=()) for one in planned)
    assert replace(executed, plan=replace(executed.plan, cells=stored)).from_store == images


def test_the_record_is_that_of_the_only_cell(executed: Executed) -> None:
    records = executed.outcome.records
    first = next(iter(records.values()))
    alone = replace(executed.outcome, records={"x": first})
    assert replace(executed, outcome=alone).record is first
    if len(records) > 1:
        with pytest.raises(ValueError, match="too many values"):
            _ = executed.record
