"""Invented weeks: what they tell could have happened, and is told the same way twice."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from engine.model.errors import Queue
from engine.model.pipeline import Execution, FailurePolicy, Pipeline, Task, TriggerRule
from engine.model.run import LetterStatus, TaskState
from engine.model.schedule import Schedule
from engine.rules.chronicle import Chronicle, Edition, Piece
from engine.rules.chronicle_plan import plan
from engine.rules.graph import build_graph
from engine.rules.lifecycle import next_states
from engine.rules.snapshot import Rules
from engine.rules.story import Story

UNTIL = datetime(2026, 11, 19, 5, 40, tzinfo=UTC)
RULES = Rules(max_losses=10, max_items=1000, runs_in_engine=lambda task: task.type in ("branch", "pipeline"))


def task(task_id: str, *above: str, kind: str = "python", **more: object) -> Task:
    return Task(id=task_id, name=task_id, type=kind, config=more.pop("config", {}), dependencies=above, **more)  # type: ignore[arg-type]


def pipeline(pipeline_id: str, cron: str | None, *tasks: Task, **more: object) -> Pipeline:
    schedule = Schedule(cron=cron) if cron else None
    return Pipeline(id=pipeline_id, name=pipeline_id, tasks=tasks, schedule=schedule, **more)  # type: ignore[arg-type]


PIPELINES = (
    pipeline("chain", "0 2 * * *", task("a"), task("b", "a"), task("c", "b", kind="shell")),
    pipeline(
        "gates",
        "30 3 * * *",
        task("wait", kind="sensor", config={"interval_seconds": 5, "timeout_seconds": 60, "soft_fail": True}),
        task("which", "wait", kind="branch", config={"choose": "{{ x }}"}, trigger_rule=TriggerRule.ALL_DONE),
        task("left", "which"),
        task("right", "which"),
        task("each", "left", "right", foreach="{{ x }}", trigger_rule=TriggerRule.NONE_FAILED),
        task("sub", "each", kind="pipeline", config={"pipeline": "child"}, when="{{ x }}"),
    ),
    pipeline(
        "hasty",
        "0 1-4 * * *",
        task("p"),
        task("q"),
        task("undo", "p", "q", trigger_rule=TriggerRule.ONE_FAILED),
        execution=Execution(failure_policy=FailurePolicy.FAIL_FAST),
    ),
    pipeline("weekly", "0 5 * * 0", task("only")),
    pipeline("child", None, task("x", kind="shell"), task("y", "x")),
)  # fmt: skip


def told(seed: int, *, days: int = 30, runs: int | None = None) -> list[Story]:
    dice = random.Random(seed).random
    since = UNTIL - timedelta(days=days)
    pieces = {
        each.id: Piece(
            editions=[Edition(since=since, version=1, pipeline=each, graph=build_graph(each.dependencies()))]
        )
        for each in PIPELINES
    }
    schedules = {each.id: each.schedule for each in PIPELINES}
    planned = plan(schedules, since=since, until=UNTIL, runs=runs, dice=dice)
    chronicle = Chronicle(pieces, planned, rules=RULES, dice=dice, epoch=7)
    top = list(chronicle.stories(lambda _run_id: False))
    return [each for story in top for each in (story, *story.children)]


@pytest.mark.parametrize("seed", range(4))
def test_every_transition_is_legal_and_goes_on_where_the_last_one_ended(seed: int) -> None:
    """STA-01: the table of states allows every row, in an order that time allows."""
    for story in told(seed):
        rows = story.transitions
        assert all(before.at <= after.at for before, after in pairwise(rows))
        standing = dict.fromkeys(story.executions, TaskState.PENDING)
        for row in rows:
            assert row.from_state is standing[row.execution_id]
            assert row.to_state in next_states(row.from_state, row.event)
            standing[row.execution_id] = row.to_state
        for execution_id, execution in story.executions.items():
            assert execution.state is standing[execution_id]


@pytest.mark.parametrize("seed", range(4))
def test_everything_has_ended_before_the_end(seed: int) -> None:
    for story in told(seed):
        assert story.run.state.terminal
        assert story.end < UNTIL
        assert all(each.state.terminal for key, each in story.executions.items() if key not in story.retired)
        assert all(each.completed_at is not None for each in story.attempts.values())


@pytest.mark.parametrize("seed", range(6))
def test_the_last_night_leaves_an_open_letter_in_each_queue(seed: int) -> None:
    """DLQ-02: four queues, none of them empty in the morning."""
    letters = [letter for story in told(seed) for letter in story.letters.values()]
    fresh = {
        each.queue
        for each in letters
        if each.status is LetterStatus.NEW and each.failed_at > UNTIL - timedelta(days=1)
    }
    assert fresh == set(Queue)


def test_it_holds_every_way_a_task_can_end() -> None:
    stories = told(3, days=60, runs=1200)
    executions = [each for story in stories for each in story.executions.values()]
    assert {each.state for each in executions} >= {
        TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED,
    }  # fmt: skip
    assert any(each.marked_by for each in executions)
    assert any(each.attempt_count > 1 and each.state is TaskState.SUCCESS for each in executions)
    assert {each.status for story in stories for each in story.letters.values()} == set(LetterStatus) - {
        LetterStatus.IN_PROGRESS
    }
    assert any(story.run.parent_execution for story in stories)


def test_the_same_seed_tells_the_same_and_another_one_something_else() -> None:
    assert told(11) == told(11)
    assert told(11) != told(12)


@pytest.mark.parametrize("runs", [1, 40, 700])
def test_it_tells_as_many_runs_as_were_asked_for(runs: int) -> None:
    """Beside runs that other runs start, and those that would not have ended in time."""
    top = [story for story in told(5, runs=runs) if story.run.parent_execution is None]
    assert runs - 10 <= len(top) <= runs
