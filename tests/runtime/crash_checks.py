"""What must hold after any crash, looked at from outside: the store read only, the effects, /proc.

Law: nothing here asks the engine. The letters are those of the promises: A nothing lost, B nothing twice, D no
write by a stale epoch, and that what the store says agrees with itself and with what was done.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from engine.model.run import (
    Attempt,
    AttemptState,
    PipelineRun,
    RunState,
    TaskExecution,
    TaskState,
    Transition,
)
from engine.ports.queries import Queries
from engine.rules.lifecycle import next_states
from tests.runtime.crash_engine import Stage
from tests.runtime.crash_workspace import EXPECTED


def check(stage: Stage) -> None:
    """All of it, on a workspace where everything is done and no engine runs."""
    nothing_lost(stage)
    as_expected(stage)
    nothing_twice(stage)
    nothing_stale(stage)
    consistent(stage)


def check_by_hand(stage: Stage) -> None:
    """The same where operators had their hands in: what a run came to is theirs, that it adds up is ours."""
    nothing_lost(stage)
    nothing_twice(stage)
    nothing_stale(stage)
    consistent(stage)


def effects(stage: Stage) -> list[Mapping[str, Any]]:
    path = stage.root / "effects"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def nothing_lost(stage: Stage) -> None:
    """A: every accepted trigger and every due slot has its one run, and it ended as it should."""
    runs = {run.run_id: run for run in stage.runs()}
    assert stage.triggered.keys() <= runs.keys(), stage.triggered.keys() - runs.keys()
    slots = Counter(run.slot for run in runs.values() if run.slot is not None)
    assert slots == Counter(stage.slots), (slots, stage.slots)
    known = stage.triggered.keys() | {run.run_id for run in runs.values() if run.slot is not None}
    by_hand = [run for run in runs.values() if run.run_id not in known]
    parents = Counter(run.parent_execution for run in by_hand)
    assert None not in parents, by_hand
    assert all(count == 1 for count in parents.values()), parents
    answers = Counter(
        event.correlation_id
        for event in stage.workspace.queries.events(0, 100_000)
        if event.type in ("command.accepted", "command.refused")
    )
    assert set(stage.sent) <= answers.keys(), set(stage.sent) - answers.keys()
    assert all(count == 1 for count in answers.values()), answers


def as_expected(stage: Stage) -> None:
    """A: each run came to what its definition says, and nobody was refused anything."""
    for run in stage.runs():
        state, tasks = EXPECTED[run.pipeline_id]
        rows = stage.workspace.queries.executions(run.run_id)
        found = {(row.task_id, row.state.value) for row in rows}
        assert (run.state.value, found) == (state, set(tasks.items())), told(stage, run)
    for event in stage.workspace.queries.events(0, 100_000):
        assert event.type != "command.refused", event


def told(stage: Stage, run: PipelineRun) -> str:
    """For the message of a failed check: the whole story of a run."""
    queries = stage.workspace.queries
    moves = [
        f"  {row.task_id}[{row.map_index}] {row.from_state}->{row.to_state} #{row.attempt} {row.message}"
        for row in queries.transitions(run.run_id)
    ]
    tries = [
        f"  {one.task_id} #{one.number} {one.state} epoch {one.epoch} signal {one.signal} {one.error}"
        for one in queries.attempts(run.run_id)
    ]
    return "\n".join([f"{run.run_id} {run.state} {run.reason}", *moves[-40:], *tries[-20:]])


def nothing_twice(stage: Stage) -> None:
    """B: no task beside itself; what succeeded is not run again; nothing runs that was not written before."""
    lines = effects(stage)
    assert not [line for line in lines if line["what"] == "overlap"]
    tokens = stage.tokens()
    assert {line["token"] for line in lines if line["what"] != "poke"} <= tokens
    starts = Counter(line["token"] for line in lines if line["what"] == "start")
    assert all(count == 1 for count in starts.values()), starts
    for run in stage.runs():
        by_execution = defaultdict(list)
        for attempt in stage.workspace.queries.attempts(run.run_id):
            by_execution[attempt.execution_id].append(attempt)
        for execution in stage.workspace.queries.executions(run.run_id):
            _one_success(execution, by_execution[execution.execution_id])
    _checkpoints(lines)


def _one_success(execution: TaskExecution, attempts: list[Attempt]) -> None:
    attempts = [attempt for attempt in attempts if not attempt.poke]
    assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1)), attempts
    good = [attempt for attempt in attempts if attempt.state is AttemptState.SUCCESS]
    assert len(good) <= 1, attempts
    if good:
        assert good[0] is attempts[-1], attempts
    assert all(attempt.state not in (AttemptState.SUBMITTED, AttemptState.RUNNING) for attempt in attempts), (
        attempts
    )
    if execution.state is TaskState.SUCCESS and attempts:
        assert good, attempts


def _checkpoints(lines: list[Mapping[str, Any]]) -> None:
    """A checkpoint that was acknowledged is what the next attempt begins with."""
    saved: dict[str, int] = defaultdict(int)
    for line in lines:
        if line["what"] == "saved":
            saved[line["run"]] = line["step"]
        elif line["what"] == "loaded":
            assert line["step"] >= saved[line["run"]], [one for one in lines if one["run"] == line["run"]]


def nothing_stale(stage: Stage) -> None:
    """D: epochs only rise, and no row carries one that had not begun or was over."""
    events = stage.workspace.queries.events(0, 100_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    epochs = [event.payload["epoch"] for event in events if event.type == "engine.started"]
    assert epochs == sorted(set(epochs)), epochs
    attempts = [one for run in stage.runs() for one in stage.workspace.queries.attempts(run.run_id)]
    led = [one.epoch for one in sorted(attempts, key=lambda one: one.submitted_at)]
    assert all(before <= after for before, after in pairwise(led)), led
    assert set(led) <= set(range(1, max(epochs) + 1))


def consistent(stage: Stage) -> None:
    """Transitions chain by the table, letters and states agree, the audit trail verifies."""
    queries = stage.workspace.queries
    for run in stage.runs():
        _chains(queries, run)
        _run_agrees(run, queries.executions(run.run_id))
        assert not queries.verdicts(run.run_id), (run.run_id, queries.verdicts(run.run_id))
    _letters(stage)
    events = queries.events(0, 100_000)
    due = Counter(event.correlation_id for event in events if event.type == "hook.due")
    sent = {event.correlation_id for event in events if event.type == "hook.sent"}
    assert all(count == 1 for count in due.values()), due
    assert due.keys() <= sent, due.keys() - sent
    asked = Counter(entry.details["request_id"] for entry in queries.audit(limit=100_000))
    assert all(count == 1 for count in asked.values()), asked
    _, bad, sentence = queries.verify_audit()
    assert bad is None, sentence


def _chains(queries: Queries, run: PipelineRun) -> None:
    chains: dict[str, list[Transition]] = defaultdict(list)
    for row in queries.transitions(run.run_id, limit=100_000):
        chains[row.execution_id].append(row)
    for execution in queries.executions(run.run_id, history=True):
        chain = chains.get(execution.execution_id, [])
        state = chain[0].from_state if chain else execution.state
        for row in chain:
            assert row.from_state is state, (execution, chain)
            assert row.to_state in next_states(row.from_state, row.event), row
            state = row.to_state
        assert state is execution.state, (execution, chain)


def _run_agrees(run: PipelineRun, rows: Sequence[TaskExecution]) -> None:
    states = {row.state for row in rows}
    assert all(state.terminal for state in states), run
    if run.state is RunState.SUCCESS:
        assert not states & {TaskState.FAILED, TaskState.CANCELLED}, (run, states)
    elif run.state is RunState.FAILED:
        assert states & {TaskState.FAILED, TaskState.CANCELLED}, (run, states)
    else:
        assert run.cancelled_by is not None, run


def _letters(stage: Stage) -> None:
    """Every task that ended FAILED by itself has one letter, open until it was done again."""
    queries = stage.workspace.queries
    letters = Counter(letter.execution_id for letter in queries.letters(limit=10_000)[0])
    failed = Counter(
        row.execution_id
        for run in stage.runs()
        for row in queries.executions(run.run_id)
        if row.state is TaskState.FAILED and row.marked_by is None
    )
    assert letters == failed, (letters, failed)
