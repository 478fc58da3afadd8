"""The state table, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from engine.model.errors import ErrorKind, TaskError
from engine.model.run import Reason, TaskEvent, TaskExecution, TaskState
from engine.rules.lifecycle import TABLE, next_states, terminal_states, transition, valid_events
from tests.rules.stage import EPOCH

S, E = TaskState, TaskEvent
ENDED = {S.SUCCESS, S.FAILED, S.SKIPPED, S.CANCELLED}
LIVE = {S.PENDING, S.WAITING, S.QUEUED, S.RUNNING, S.RETRYING}

# Written out a second time, from the reconciled table of the requirements.
ROWS: dict[tuple[TaskState, TaskEvent], set[TaskState]] = {
    (S.PENDING, E.DEPENDENCIES_UNMET): {S.WAITING},
    (S.PENDING, E.DEPENDENCIES_MET): {S.QUEUED},
    (S.WAITING, E.DEPENDENCIES_MET): {S.QUEUED},
    (S.PENDING, E.UPSTREAM_FAILED): {S.SKIPPED},
    (S.WAITING, E.UPSTREAM_FAILED): {S.SKIPPED},
    (S.QUEUED, E.EXECUTION_STARTED): {S.RUNNING},
    (S.RETRYING, E.EXECUTION_STARTED): {S.RUNNING},
    (S.RUNNING, E.EXECUTION_COMPLETED): {S.SUCCESS},
    (S.RUNNING, E.EXECUTION_FAILED): {S.RETRYING, S.FAILED},
    (S.RUNNING, E.RETRY_SCHEDULED): {S.RETRYING},
    (S.RUNNING, E.MAX_RETRIES_EXCEEDED): {S.FAILED},
    (S.RUNNING, E.EXECUTION_SKIPPED): {S.SKIPPED},
    (S.RETRYING, E.MAX_RETRIES_EXCEEDED): {S.FAILED},
    **{(state, E.CANCELLED_BY_USER): {S.CANCELLED} for state in LIVE},
}
PAIRS = list(product(S, E))
BOOM = TaskError(type="ValueError", kind=ErrorKind.LOGIC, message="boom")


def execution(state: TaskState, **fields: object) -> TaskExecution:
    row = TaskExecution(
        execution_id="e", run_id="r", pipeline_id="p", task_id="t", created_at=EPOCH, state=state, row_version=7
    )
    return replace(row, **fields)  # type: ignore[arg-type]  # field names are the callers' literals


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_an_event_leads_where_the_table_says_or_is_refused(state: TaskState, event: TaskEvent) -> None:
    """STM-01, STM-02, STM-03: all 90 pairs."""
    targets = ROWS.get((state, event), set())
    assert next_states(state, event) == targets
    before = execution(state)
    if not targets:
        assert transition(before, event, EPOCH) is None
    for to in S:
        applied = transition(before, event, EPOCH, to=to)
        if to not in targets:
            assert applied is None
            continue
        assert applied is not None
        assert applied.execution.state is to
        assert applied.execution.row_version == 8
        row = applied.transition
        assert (row.from_state, row.to_state, row.event, row.at) == (state, to, event, EPOCH)
        assert (row.execution_id, row.run_id, row.task_id) == ("e", "r", "t")
        assert row.attempt == applied.execution.attempt_count
    assert before == execution(state), "a record is never changed in place"


def test_the_table_is_the_written_one_and_no_more() -> None:
    assert {(state, event) for state, row in TABLE.items() for event in row} == set(ROWS)
    assert {state: set(valid_events(state)) for state in S} == {
        state: {event for known, event in ROWS if known is state} for state in S
    }


def test_terminal_states_accept_nothing() -> None:
    """STM-04."""
    assert terminal_states() == ENDED
    assert {state for state in S if state.terminal} == ENDED
    for state, event in product(ENDED, E):
        assert transition(execution(state), event, EPOCH) is None


def test_cancelling_leaves_every_other_state() -> None:
    """STM-07."""
    for state in LIVE:
        applied = transition(execution(state), E.CANCELLED_BY_USER, EPOCH, reason=Reason.RUN_CANCELLED)
        assert applied is not None
        assert applied.execution.reason is Reason.RUN_CANCELLED
        assert applied.execution.completed_at == EPOCH


def test_where_the_table_leaves_a_choice_the_caller_makes_it() -> None:
    """STM-05."""
    with pytest.raises(ValueError, match="say which"):
        transition(execution(S.RUNNING), E.EXECUTION_FAILED, EPOCH)


@pytest.mark.parametrize(("state", "event"), sorted(ROWS))
def test_only_a_start_counts_an_attempt(state: TaskState, event: TaskEvent) -> None:
    """STM-06: attempt_count rises only on EXECUTION_STARTED, which also sets started_at."""
    for to in ROWS[state, event]:
        applied = transition(execution(state, attempt_count=2), event, EPOCH, to=to)
        assert applied is not None
        started = event is E.EXECUTION_STARTED
        assert applied.execution.attempt_count == (3 if started else 2)
        assert applied.execution.started_at == (EPOCH if started else None)
        assert applied.execution.completed_at == (EPOCH if to.terminal else None)


def test_the_first_start_is_remembered_through_retries() -> None:
    first = transition(execution(S.QUEUED), E.EXECUTION_STARTED, EPOCH)
    assert first is not None
    waiting = replace(first.execution, state=S.RETRYING, next_retry_at=EPOCH, progress={"done": 3})
    later = EPOCH + timedelta(minutes=1)
    again = transition(waiting, E.EXECUTION_STARTED, later)
    assert again is not None
    assert (again.execution.first_started_at, again.execution.started_at) == (EPOCH, later)
    assert again.execution.next_retry_at is None
    assert again.execution.progress == {}


def test_a_failure_keeps_its_error_and_a_success_forgets_earlier_ones() -> None:
    """STM-06, STM-10: completion and failure set completed_at and the error."""
    failed = transition(execution(S.RUNNING), E.EXECUTION_FAILED, EPOCH, to=S.FAILED, error=BOOM)
    assert failed is not None
    assert (failed.execution.error, failed.transition.message) == (BOOM, "boom")
    retrying = transition(execution(S.RUNNING), E.RETRY_SCHEDULED, EPOCH, error=BOOM)
    assert retrying is not None
    assert retrying.execution.error == BOOM
    cancelled = transition(execution(S.RETRYING, error=BOOM), E.CANCELLED_BY_USER, EPOCH)
    assert cancelled is not None
    assert cancelled.execution.error == BOOM
    done = transition(execution(S.RUNNING, error=BOOM), E.EXECUTION_COMPLETED, EPOCH)
    assert done is not None
    assert done.execution.error is None


def test_an_end_clears_what_was_still_to_come() -> None:
    waiting = execution(S.RUNNING, cancelling=Reason.CANCELLED, next_retry_at=EPOCH)
    ended = transition(waiting, E.CANCELLED_BY_USER, EPOCH)
    assert ended is not None
    assert ended.execution.cancelling is None
    assert ended.execution.next_retry_at is None
