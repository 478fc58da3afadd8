"""What one event does to a run: transitions and actions, decided without doing anything.

Law: every function takes a Draft over a snapshot and writes only to it. A completion touches the neighbours of
what changed and no more, so its cost does not grow with the pipeline. Cascades (skips through many tasks) are
walked with a worklist, never recursively. Nobody outside this file, its two companions (engine.rules.gates,
engine.rules.endings) and engine.rules.reopen moves a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import FailurePolicy
from engine.model.run import Outcome, Reason, RunState, TaskEvent, TaskExecution, TaskState
from engine.rules.endings import cancel_now, cancel_one, ended_keys, error_of, failed, lost, with_results
from engine.rules.gates import after_when, chosen, expand, judge, readiness_of, succeeded
from engine.rules.readiness import Readiness, bears_failure
from engine.rules.snapshot import Draft, Key, Rules, WithoutProcess

E, S = TaskEvent, TaskState


def begin(draft: Draft, rules: Rules) -> None:
    """The run is admitted: every task is told whether it waits."""
    draft.run = replace(
        draft.run,
        state=RunState.RUNNING,
        started_at=draft.now,
        reason=None,
        row_version=draft.run.row_version + 1,
    )
    reconsider(draft, rules)


def reconsider(draft: Draft, rules: Rules, ended: Sequence[Key] = ()) -> None:
    """At the beginning, after a take-over or a reopening: look at every task that has not been queued yet.

    `ended` names executions that ended just now and that nobody has counted yet. A run that has not been admitted
    starts nothing: `begin` will look again."""
    work = list(ended)
    if draft.run.state is RunState.RUNNING:
        for task_id in draft.base.graph.ids:
            for key in draft.keys(task_id):
                if draft.get(key).state in (S.PENDING, S.WAITING):
                    work += judge(draft, key, rules)
    _settle(draft, work, rules)


def evaluated(draft: Draft, key: Key, field: str, value: Any, error: TaskError | None, rules: Rules) -> None:
    """A template of `when`, `foreach` or `choose` has been rendered (or could not be).

    An answer may come late: the task was expanded, ended or queued meanwhile, or what is above runs again."""
    if not draft.has(key) or draft.get(key).state not in (S.PENDING, S.WAITING):
        return
    if readiness_of(draft, key[0]) is not Readiness.READY:
        return
    if error is not None:
        fail_without_process(draft, key, error, rules)
        return
    if field == "when":
        ended = after_when(draft, key, value, rules)
    elif field == "foreach":
        ended = expand(draft, key, value, rules)
    else:
        ended = chosen(draft, key, value, rules)
    _settle(draft, ended, rules)


def started(draft: Draft, key: Key) -> TaskExecution | None:
    """Admission gave it its slot."""
    return draft.move(key, E.EXECUTION_STARTED)


def finished(
    draft: Draft, key: Key, outcome: Outcome, *, killed_for: str | None, dice: float, rules: Rules
) -> None:
    """An attempt of a RUNNING execution ended."""
    execution = draft.get(key)
    if execution.state is not S.RUNNING:
        return
    execution = with_results(draft, key, outcome)
    if killed_for == "cancel" or (execution.cancelling is not None and outcome.result != "success"):
        ended = cancel_now(draft, key, execution.cancelling or Reason.CANCELLED)
    elif killed_for == "shutdown":
        ended = lost(draft, key, "the engine stopped", rules)
    elif outcome.result == "success":
        ended = succeeded(draft, key)
    elif outcome.result == "skipped":
        reason = outcome.reason or Reason.SKIP_RAISED
        ended = ended_keys(draft, key, draft.move(key, E.EXECUTION_SKIPPED, reason=reason))
    else:
        ended = failed(draft, key, error_of(outcome), dice)
    _settle(draft, ended, rules)


def vanished(draft: Draft, key: Key, why: str, rules: Rules) -> None:
    """The infrastructure, not the task, failed: a loss."""
    execution = draft.get(key)
    if execution.state is not S.RUNNING:
        return
    if execution.cancelling is not None:
        ended = cancel_now(draft, key, execution.cancelling)
    else:
        ended = lost(draft, key, why, rules)
    _settle(draft, ended, rules)


def poked(
    draft: Draft,
    key: Key,
    outcome: Outcome,
    *,
    interval: float,
    deadline: datetime | None,
    dice: float,
    rules: Rules,
) -> None:
    """A sensor looked. Seeing nothing changes no state; deciding enters EXECUTION_STARTED and its end at once."""
    execution = draft.get(key)
    if execution.state not in (S.QUEUED, S.RETRYING):
        return
    first = execution.first_poke_at or draft.now
    draft.touch(key, pokes=execution.pokes + 1, first_poke_at=first)
    if outcome.result == "not_yet":
        again = draft.now + timedelta(seconds=interval)
        draft.touch(key, next_retry_at=min(again, deadline) if deadline else again)
        return
    draft.move(key, E.EXECUTION_STARTED)
    finished(draft, key, outcome, killed_for=None, dice=dice, rules=rules)


def sensor_timed_out(draft: Draft, key: Key, seconds: float, soft_fail: bool, rules: Rules) -> None:
    """A sensor has seen nothing for as long as it may."""
    if draft.move(key, E.EXECUTION_STARTED) is None:
        return
    if soft_fail:
        ended = ended_keys(draft, key, draft.move(key, E.EXECUTION_SKIPPED, reason=Reason.SOFT_FAIL))
    else:
        message = f"The condition did not come true within {seconds:g} s"
        error = TaskError(type="TimeoutError", kind=ErrorKind.TIMEOUT, message=message, final=True)
        ended = failed(draft, key, error, 0.0)
    execution = draft.get(key)
    draft.actions.append(WithoutProcess(key, execution.attempt_count, execution.error))
    _settle(draft, ended, rules)


def out_of_budget(draft: Draft, key: Key, rules: Rules) -> None:
    """The retry budget ran out while the execution waited in RETRYING."""
    if draft.move(key, E.MAX_RETRIES_EXCEEDED, message="the retry budget is used up") is None:
        return
    draft.failed.append(key)
    _settle(draft, [key], rules)


def fail_without_process(draft: Draft, key: Key, error: TaskError, rules: Rules) -> None:
    """It failed before a process could be: DEPENDENCIES_MET, EXECUTION_STARTED, EXECUTION_FAILED in one commit."""
    if draft.get(key).state in (S.PENDING, S.WAITING):
        draft.move(key, E.DEPENDENCIES_MET)
    if draft.move(key, E.EXECUTION_STARTED) is None:
        return
    ended = failed(draft, key, replace(error, final=True), 0.0)
    draft.actions.append(WithoutProcess(key, draft.get(key).attempt_count, error))
    _settle(draft, ended, rules)


def cancel(draft: Draft, keys: Sequence[Key], reason: Reason, rules: Rules) -> None:
    """End these executions: at once where no process lives, else when it is gone."""
    ended: list[Key] = []
    for key in keys:
        ended += cancel_one(draft, key, reason)
    _settle(draft, ended, rules)


def cancel_run(draft: Draft, by: str | None, reason: Reason, sentence: str, rules: Rules) -> None:
    """End the whole run. `by` is set when somebody wanted it (final state CANCELLED), None on a timeout."""
    by = draft.run.cancelled_by or by  # a run that also runs out of time while it is cancelled stays cancelled
    draft.run = replace(draft.run, cancelled_by=by, reason=sentence, row_version=draft.run.row_version + 1)
    keys = [key for task_id in draft.base.graph.ids for key in draft.keys(task_id)]
    cancel(draft, keys, reason, rules)


def _settle(draft: Draft, ended: list[Key], rules: Rules) -> None:
    """Tell the neighbours of everything that ended, then see whether the run is over.

    Under fail_fast, what depends on the failed task is skipped first; the rest is cancelled after that (C-04)."""
    work, fail_fast = list(ended), False
    while work or fail_fast:
        if not work:
            work, fail_fast = _fail_fast(draft), False
            continue
        key = work.pop()
        execution = draft.get(key)
        for below in draft.base.graph.downstream[key[0]]:
            if below not in draft.base.selected:
                continue
            draft.tally(below).count(execution)
            for other in draft.keys(below):
                if draft.get(other).state in (S.PENDING, S.WAITING) and draft.run.state is RunState.RUNNING:
                    work += judge(draft, other, rules)
        if execution.state is S.FAILED:
            fail_fast = draft.base.pipeline.execution.failure_policy is FailurePolicy.FAIL_FAST
    if draft.open == 0 and not draft.run.state.terminal:
        _end_run(draft)


def _fail_fast(draft: Draft) -> list[Key]:
    ended: list[Key] = []
    for task_id in draft.base.graph.ids:
        if bears_failure(draft.base.tasks[task_id].trigger_rule) and draft.base.graph.upstream[task_id]:
            continue
        for key in draft.keys(task_id):
            ended += cancel_one(draft, key, Reason.FAIL_FAST)
    return ended


def _end_run(draft: Draft) -> None:
    states = {draft.get(key).state for task_id in draft.base.by_task for key in draft.keys(task_id)}
    if draft.run.cancelled_by is not None:
        state = RunState.CANCELLED
    elif S.FAILED in states or S.CANCELLED in states:
        state = RunState.FAILED
    else:
        state = RunState.SUCCESS
    # Out of time, but everything succeeded before it could be ended: there is nothing to explain.
    reason = None if state is RunState.SUCCESS else draft.run.reason
    version = draft.run.row_version + 1
    draft.run = replace(draft.run, state=state, completed_at=draft.now, reason=reason, row_version=version)
    draft.ended = True
