"""Records copied by their slots are what `dataclasses.replace` makes of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from engine.model.replacing import replaced
from engine.model.run import Outcome, TaskExecution, TaskState

EXECUTION = TaskExecution(
    execution_id="e", run_id="r", pipeline_id="p", task_id="t", created_at=datetime(2026, 1, 1, tzinfo=UTC)
)


def test_it_is_the_record_with_these_fields_changed_and_the_old_one_stays() -> None:
    changed = replaced(EXECUTION, state=TaskState.QUEUED, row_version=3, outputs={"a": 1})
    assert changed == replace(EXECUTION, state=TaskState.QUEUED, row_version=3, outputs={"a": 1})
    assert EXECUTION.state is TaskState.PENDING
    assert replaced(Outcome(result="success"), metrics={"m": 1.0}) == Outcome(result="success", metrics={"m": 1.0})


def test_the_copy_is_frozen_too_and_knows_no_other_fields() -> None:
    with pytest.raises(FrozenInstanceError):
        replaced(EXECUTION).state = TaskState.QUEUED  # type: ignore[misc]  # that is the point
    with pytest.raises(KeyError):
        replaced(EXECUTION, colour="red")
