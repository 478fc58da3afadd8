"""How one execution ends or is tried again: failures, losses, cancels.

Law: these functions move one execution and name what ended; what that end does to the rest is engine.rules.advance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import RetryPolicy, Task
from engine.model.run import Outcome, Reason, TaskEvent, TaskExecution, TaskState
from engine.rules import retry
from engine.rules.snapshot import Draft, Key, Kill, Rules

E, S = TaskEvent, TaskState


def retry_policy(task: Task, execution: TaskExecution) -> RetryPolicy:
    """The policy in force for one execution: a requeue may have brought its own."""
    return execution.retry_override or task.retry_policy


def scaled(policy: RetryPolicy, by: float) -> RetryPolicy:
    """The policy with its waits shortened, where the workspace's samples are run in a hurry."""
    if by == 1.0:
        return policy
    return replace(
        policy, backoff_seconds=policy.backoff_seconds * by, max_delay_seconds=policy.max_delay_seconds * by
    )


def with_results(draft: Draft, key: Key, outcome: Outcome) -> TaskExecution:
    """Lay outputs and metrics of an attempt over those that are there."""
    execution = draft.get(key)
    if not outcome.outputs and not outcome.metrics:
        return execution
    return draft.touch(
        key,
        outputs={**execution.outputs, **outcome.outputs},
        metrics={**execution.metrics, **outcome.metrics},
    )


def error_of(outcome: Outcome) -> TaskError:
    """Why it failed, whatever the attempt made of its report."""
    silent = TaskError(type="Unknown", kind=ErrorKind.LOGIC, message="The task failed without saying why")
    error = outcome.error or silent
    # Only the engine can tell a loss: a task that calls its own failure one would be tried again for nothing.
    return replace(error, kind=ErrorKind.LOGIC) if error.kind is ErrorKind.LOST else error


def failed(draft: Draft, key: Key, error: TaskError, dice: float) -> list[Key]:
    """The task itself failed: try again or give up."""
    if error.kind is ErrorKind.LOST:
        raise ValueError("a loss is not a failure of the task")
    execution = draft.get(key)
    task = draft.base.tasks[key[0]]
    execution = draft.touch(key, failures=execution.failures + 1, losses=0)
    decision = retry.after_failure(
        scaled(retry_policy(task, execution), draft.time_scale),
        error,
        failures=execution.failures,
        last_delay=execution.last_delay,
        first_started_at=execution.first_started_at,
        now=draft.now,
        dice=dice,
    )
    return _retry_or_fail(draft, key, decision, error)


def lost(draft: Draft, key: Key, why: str, rules: Rules) -> list[Key]:
    """The infrastructure failed the task: at once again, until that has happened too often."""
    execution = draft.get(key)
    execution = draft.touch(key, losses=execution.losses + 1)
    error = TaskError(type="Lost", kind=ErrorKind.LOST, message=why)
    decision = retry.after_loss(losses=execution.losses, max_losses=rules.max_losses, now=draft.now)
    return _retry_or_fail(draft, key, decision, error)


def _retry_or_fail(draft: Draft, key: Key, decision: retry.Again | retry.GiveUp, error: TaskError) -> list[Key]:
    if isinstance(decision, retry.Again):
        draft.move(key, E.RETRY_SCHEDULED, error=error)
        changes: dict[str, Any] = {"next_retry_at": decision.at}
        if decision.delay:
            changes["last_delay"] = decision.delay
        draft.touch(key, **changes)
        draft.retrying.append(key)
        return []
    moved = draft.move(key, decision.event, to=S.FAILED, error=error, message=f"{error.message} ({decision.why})")
    draft.failed.append(key)
    return ended_keys(draft, key, moved)


def cancel_one(draft: Draft, key: Key, reason: Reason) -> list[Key]:
    """Cancel at once where no process lives; else ask for its end, which will be the cancelling."""
    execution = draft.get(key)
    if execution.state.terminal:
        return []
    if execution.state is S.RUNNING:
        if execution.cancelling is None:
            draft.touch(key, cancelling=reason)
        draft.actions.append(Kill(key, "cancel"))
        return []
    if execution.pokes or execution.first_poke_at:
        draft.actions.append(Kill(key, "cancel"))  # a poke may be alive; without one this does nothing
    return cancel_now(draft, key, reason)


def cancel_now(draft: Draft, key: Key, reason: Reason) -> list[Key]:
    """CANCELLED_BY_USER; whatever lived is gone."""
    return ended_keys(draft, key, draft.move(key, E.CANCELLED_BY_USER, reason=reason))


def ended_keys(draft: Draft, key: Key, execution: TaskExecution | None) -> list[Key]:
    """The key if the move ended it: what neighbours have to be told."""
    return [key] if execution is not None and execution.state.terminal else []
