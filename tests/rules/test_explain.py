"""Why a task waits or failed, said from facts alone (MET-08)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Task
from engine.model.run import (
    Attempt,
    AttemptState,
    PipelineRun,
    Reason,
    RunState,
    TaskExecution,
    TaskState,
    Verdict,
)
from engine.rules.explain import explain_run, explain_task
from engine.rules.explain_facts import Explanation, RunFacts, Seen, TaskFacts
from engine.rules.explain_roots import blockers, changes_since, failed_above, root_causes

NOW = datetime(2026, 11, 19, 2, 0, tzinfo=UTC)
TASK = Task(id="load", name="Load", type="shell", config={"command": "exit 3", "connection": "shop_db"})


def run(**changes: Any) -> PipelineRun:
    plain = PipelineRun(
        run_id="r1",
        pipeline_id="orders",
        version=2,
        state=RunState.RUNNING,
        triggered_by="alice",
        triggered_at=NOW,
        logical_date=NOW,
        data_interval_start=NOW,
        data_interval_end=NOW,
        started_at=NOW,
    )
    return replace(plain, **changes)


def execution(task_id: str = "load", state: TaskState = TaskState.QUEUED, **changes: Any) -> TaskExecution:
    plain = TaskExecution(
        execution_id=f"e-{task_id}",
        run_id="r1",
        pipeline_id="orders",
        task_id=task_id,
        state=state,
        created_at=NOW,
        queued_at=NOW,
    )
    return replace(plain, **changes)


def told(one: TaskExecution, **facts: Any) -> Explanation:
    return explain_task(TaskFacts(**{"run": run(), "execution": one, "now": NOW, "task": TASK, **facts}))


def failure(kind: ErrorKind = ErrorKind.LOGIC, message: str = "it broke") -> TaskError:
    return TaskError(type="exit 3", kind=kind, message=message)


def attempt(number: int, state: AttemptState = AttemptState.FAILED) -> Attempt:
    return Attempt(
        token=f"t{number}",
        execution_id="e-load",
        run_id="r1",
        task_id="load",
        map_index=None,
        number=number,
        epoch=1,
        state=state,
        submitted_at=NOW,
        completed_at=NOW,
        error=failure(),
    )


def commands(explanation: Explanation) -> list[str]:
    return [each.command for each in explanation.actions]


def test_a_waiting_task_repeats_its_verdict_with_the_holders_that_still_live() -> None:
    verdict = Verdict(
        execution_id="e-load",
        code="POOL_FULL",
        sentence="Every slot of prod_db is taken",
        holders=("r0/a", "r0/b"),
        since=NOW,
        expected=NOW + timedelta(seconds=9),
    )
    answer = told(execution(), verdict=verdict, live=frozenset({"r0/b"}))
    assert (answer.code, answer.sentence) == ("POOL_FULL", "Every slot of prod_db is taken.")
    assert answer.holders == ("r0/b",)
    assert (answer.since, answer.expected) == (NOW, NOW + timedelta(seconds=9))
    assert "penstock why r0 b" in commands(answer)
    assert "penstock cancel r1 load" in commands(answer)


def test_that_no_engine_runs_is_said_before_anything_else() -> None:
    verdict = Verdict(execution_id="e-load", code="NO_WORKER", sentence="All workers are busy", since=NOW)
    answer = told(execution(), verdict=verdict, engine_leads=False)
    assert answer.code == "NO_ENGINE"
    assert answer.sentence.startswith("No engine is running")
    assert answer.details[0].endswith("All workers are busy.")
    assert commands(answer)[0] == "penstock engine"


@pytest.mark.parametrize("state", [TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED])
def test_what_has_ended_needs_no_engine(state: TaskState) -> None:
    assert told(execution(state=state), engine_leads=False).code != "NO_ENGINE"


def test_a_task_without_a_verdict_names_the_tasks_it_waits_for() -> None:
    upstream = [execution("a", TaskState.RUNNING), execution("b", TaskState.SUCCESS)]
    answer = told(execution(state=TaskState.WAITING), upstream=upstream)
    assert (answer.code, answer.holders) == ("UPSTREAM", ("r1/a",))
    assert answer.sentence == "It waits for r1/a."


def test_a_task_of_a_run_that_is_not_admitted_gives_the_runs_reason() -> None:
    pending = run(state=RunState.PENDING, reason="The pipeline has 1 active run and may have 1.")
    answer = told(execution(state=TaskState.PENDING), run=pending)
    assert (answer.code, answer.sentence) == ("NOT_ADMITTED", "The pipeline has 1 active run and may have 1.")


def test_a_retrying_task_tells_each_failed_attempt() -> None:
    answer = told(
        execution(state=TaskState.RETRYING, attempt_count=1, failures=1, next_retry_at=NOW), attempts=[attempt(1)]
    )
    assert answer.code == "BACKOFF"
    assert answer.expected == NOW
    assert any("Attempt 1" in each and "LogicError: it broke" in each for each in answer.details)
    assert "1 of at most 3 attempts have failed." in answer.details


def test_a_failure_tells_attempt_kind_message_history_and_changes() -> None:
    """MET-08: what failed, as what, how often, what changed, without opening a log."""
    answer = told(
        execution(state=TaskState.FAILED, attempt_count=3, failures=3, error=failure(), completed_at=NOW),
        attempts=[attempt(1), attempt(2), attempt(3)],
        letter_id="dl1",
        seen=Seen(first=NOW - timedelta(days=1), last=NOW, count=4),
        changes=("The definition changed from version 1 to 2 (changed load).",),
    )
    assert answer.code == "LogicError"
    assert answer.sentence == "It failed in attempt 3, classified as LogicError: exit 3: it broke"
    assert any("seen 4 times, first 2026-11-18T02:00:00Z" in each for each in answer.details)
    assert "The definition changed from version 1 to 2 (changed load)." in answer.details
    assert commands(answer) == [
        "penstock logs r1 load --attempt 3",
        "penstock retry r1 load",
        "penstock dlq show dl1",
        "penstock dlq requeue dl1 --set config.<key>=<value>",
        "penstock mark r1 load success --reason '<why>'",
    ]


def test_a_connection_is_tested_first_where_the_other_side_may_be_at_fault() -> None:
    answer = told(execution(state=TaskState.FAILED, attempt_count=1, error=failure(ErrorKind.NETWORK)))
    assert commands(answer)[0] == "penstock connections test shop_db"


def test_a_failure_that_the_policy_does_not_retry_says_so() -> None:
    failed = execution(state=TaskState.FAILED, attempt_count=1, failures=1, error=failure())
    answer = told(failed, attempts=[attempt(1)])
    assert answer.details[0] == (
        "1 of at most 3 attempts have failed; it was not tried again because its policy does not retry LogicError."
    )


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_failure_is_explained(kind: ErrorKind) -> None:
    answer = told(execution(state=TaskState.FAILED, attempt_count=1, error=failure(kind)))
    assert kind.value in answer.sentence
    assert answer.details
    assert answer.actions


def test_a_mapped_task_is_quoted_for_the_shell() -> None:
    answer = told(execution(state=TaskState.FAILED, map_index=3, attempt_count=1, error=failure()))
    assert "penstock retry r1 'load[3]'" in commands(answer)


def test_a_skip_names_what_failed_above_it() -> None:
    root = execution("extract", TaskState.FAILED)
    answer = told(execution(state=TaskState.SKIPPED, reason=Reason.UPSTREAM_FAILED), roots=[root])
    assert (answer.code, answer.holders) == ("UPSTREAM_FAILED", ("r1/extract",))
    assert "penstock why r1 extract" in commands(answer)
    assert "penstock retry r1 extract" in commands(answer)


@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.MARKED])
@pytest.mark.parametrize("state", [TaskState.SKIPPED, TaskState.CANCELLED])
def test_every_reason_has_a_sentence(reason: Reason, state: TaskState) -> None:
    answer = told(execution(state=state, reason=reason))
    assert answer.code == reason.name
    assert answer.sentence.endswith(".")


def test_a_mark_names_who_and_why() -> None:
    marked = execution(state=TaskState.SUCCESS, marked_by="alice@10.2.3.4", mark_reason="loaded by hand")
    assert told(marked).sentence == "alice@10.2.3.4 marked it successful: loaded by hand."


def test_a_process_of_another_user_is_told_for_a_running_task() -> None:
    verdict = Verdict(execution_id="e-load", code="FOREIGN_PROCESS", sentence="Process 7 of bob lives", since=NOW)
    assert told(execution(state=TaskState.RUNNING), verdict=verdict).code == "FOREIGN_PROCESS"


def test_a_failed_run_tells_its_roots_and_its_longest_task() -> None:
    """MET-08: which task is the bottleneck."""
    failed = execution(
        "extract", TaskState.FAILED, attempt_count=1, error=failure(), started_at=NOW, completed_at=NOW
    )
    slow = execution("load", TaskState.SUCCESS, started_at=NOW, completed_at=NOW + timedelta(seconds=41))
    cause = told(failed)
    ended = run(state=RunState.FAILED, completed_at=NOW + timedelta(seconds=60))
    answer = explain_run(RunFacts(run=ended, executions=[failed, slow], causes=[cause], now=NOW))
    assert answer.code == "FAILED"
    assert answer.causes == (cause,)
    assert "The longest task was load: 41.0 s of 1 min 0 s." in answer.details
    assert commands(answer)[0] == "penstock retry r1"


def test_roots_are_failures_that_nothing_above_them_explains() -> None:
    dependencies = {"a": [], "b": ["a"], "c": ["b"], "d": []}
    made = [
        execution("a", TaskState.FAILED, completed_at=NOW + timedelta(seconds=5)),
        execution("b", TaskState.SKIPPED, reason=Reason.UPSTREAM_FAILED),
        execution("c", TaskState.FAILED, completed_at=NOW),  # rule one_failed: it failed after a did
        execution("d", TaskState.FAILED, completed_at=NOW),
    ]
    assert [each.task_id for each in root_causes(made, dependencies)] == ["d", "a"]
    assert [each.task_id for each in failed_above(made[1], made, dependencies)] == ["a"]


def test_blockers_leave_out_who_only_waits_for_others() -> None:
    made = [execution("a", TaskState.WAITING), execution("b"), execution("c", TaskState.RUNNING)]
    assert [each.task_id for each in blockers(made)] == ["c", "b"]


def test_changes_name_tasks_and_parameters() -> None:
    before = {"tasks": [{"id": "a", "config": 1}, {"id": "gone"}]}
    after = {"tasks": [{"id": "a", "config": 2}, {"id": "new"}]}
    good = run(run_id="r0", version=1, parameters={"region": "eu"}, completed_at=NOW)
    lines = changes_since(good, run(parameters={"region": "us"}), before, after)
    assert lines[0] == "The last success was run r0, completed 2026-11-19T02:00:00Z."
    assert lines[1] == "The definition changed from version 1 to 2 (added new; removed gone; changed a)."
    assert lines[2] == "Parameters changed: region was 'eu', is 'us'."


def test_nothing_changed_is_said_too() -> None:
    good = run(run_id="r0", completed_at=NOW)
    assert changes_since(good, run(), None, None)[-1] == "Neither the definition nor the parameters changed since."
    assert changes_since(None, run(), None, None) == ("This pipeline has not succeeded before.",)
