"""What an operator does by hand to ended tasks: retry, requeue, mark.

Law: nothing ever leaves a terminal state. A task done again is a new execution linked to the old one, the old one
is retired, and the run is reopened. Every task below that was skipped because of the failure is made new too, and
is then decided by its rule as usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.model.errors import ErrorKind, Refused, TaskError
from engine.model.pipeline import RetryPolicy
from engine.model.run import Reason, RunState, TaskEvent, TaskExecution, TaskState
from engine.rules.advance import reconsider
from engine.rules.graph import descendants
from engine.rules.snapshot import Draft, Key, Rules

S, E = TaskState, TaskEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What a requeue changes, for the new execution only."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: RetryPolicy | None = None


def failed_keys(draft: Draft) -> list[Key]:
    """Everything `retry` without a task takes: all FAILED and CANCELLED ones."""
    return [
        key
        for task_id in draft.base.graph.ids
        for key in draft.keys(task_id)
        if draft.get(key).state in (S.FAILED, S.CANCELLED)
    ]


def redo(
    draft: Draft, keys: Sequence[Key], rules: Rules, *, downstream: bool, edits: Edits | None = None
) -> list[Key]:
    """Make new executions of these and of what depends on them; returns every key made new."""
    _refuse_while_cancelled(draft)
    named = frozenset(keys)
    for key in keys:
        execution = draft.get(key)
        if not execution.state.terminal:
            raise Refused(f"Task '{name(key)}' is {execution.state}; only a task that has ended can be retried")
    again = dict.fromkeys([*keys, *_below(draft, keys, downstream)])
    anew = _to_expand_again(draft, again, named) if downstream else {}
    made = [_renew(draft, key, edits if key in named else None) for key in again if key[0] not in anew]
    made += [_fold(draft, task_id, items) for task_id, items in anew.items()]
    _reopen(draft)
    _recount(draft, made)
    reconsider(draft, rules)
    return made


def mark(draft: Draft, key: Key, success: bool, by: str, why: str, rules: Rules) -> list[Key]:
    """A new execution that takes the ordinary transitions in one commit, without a process."""
    _refuse_while_cancelled(draft)
    execution = draft.get(key)
    if execution.state is S.RUNNING:
        raise Refused(f"Task '{name(key)}' is RUNNING; its attempt has to be gone before it is marked")
    if not execution.state.terminal:
        draft.move(key, E.CANCELLED_BY_USER, reason=Reason.MARKED)
    below = _below(draft, [key], downstream=False) if success else []
    made = [_renew(draft, other, None) for other in dict.fromkeys([key, *below])]
    draft.touch(key, marked_by=by, mark_reason=why)
    _reopen(draft)
    _recount(draft, made)
    for event in (E.DEPENDENCIES_MET, E.EXECUTION_STARTED):
        draft.move(key, event, message=why)
    if success:
        draft.move(key, E.EXECUTION_COMPLETED, reason=Reason.MARKED, message=why)
    else:
        error = TaskError(type="Marked", kind=ErrorKind.LOGIC, message=f"Marked failed by {by}: {why}")
        draft.move(key, E.EXECUTION_FAILED, to=S.FAILED, error=error, reason=Reason.MARKED)
    reconsider(draft, rules, ended=[key])
    return made


def name(key: Key) -> str:
    """How a person writes it: task or task[3]."""
    return key[0] if key[1] is None else f"{key[0]}[{key[1]}]"


def _below(draft: Draft, keys: Sequence[Key], downstream: bool) -> list[Key]:
    """Tasks below that were skipped because of what happened above; with `downstream` all that had ended."""
    graph, found = draft.base.graph, list[Key]()
    touched = {key[0] for key in keys}
    children = dict.fromkeys(below for task_id in touched for below in graph.downstream[task_id])
    # By the children: a task that is named and lies below another named one is both.
    reach = descendants(graph, *children).union(children)
    for task_id in draft.base.graph.ids:
        if task_id not in reach:
            continue
        for key in draft.keys(task_id):
            execution = draft.get(key)
            skipped = execution.state is S.SKIPPED and (
                execution.reason in _REDONE_SKIPS
                # Not chosen by a branch that now chooses again.
                or (execution.reason is Reason.BRANCH and not touched.isdisjoint(graph.upstream[task_id]))
            )
            if execution.state.terminal and (skipped or downstream):
                found.append(key)
    return found


_REDONE_SKIPS = frozenset({Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.RULE_NOT_MET})


def _refuse_while_cancelled(draft: Draft) -> None:
    """What is begun in a run that is being cancelled would end with it, or outlive it."""
    if draft.run.cancelled_by is not None and not draft.run.state.terminal:
        raise Refused(f"Run {draft.run.run_id} is being cancelled; try again when it has ended")


def _to_expand_again(draft: Draft, again: Iterable[Key], named: frozenset[Key]) -> dict[str, list[Key]]:
    """Mapped tasks that are done again as a whole because their list is made again above them."""
    items: dict[str, list[Key]] = {}
    for key in again:
        if key[1] is not None and draft.base.tasks[key[0]].foreach is not None:
            items.setdefault(key[0], []).append(key)
    return {
        task_id: keys
        for task_id, keys in items.items()
        if len(keys) == len(draft.keys(task_id)) and named.isdisjoint(keys)
    }


def _fold(draft: Draft, task_id: str, items: Sequence[Key]) -> Key:
    """One placeholder in place of all items; it is expanded by the list that its upstream makes now."""
    olds = [draft.get(key) for key in items]
    for key in items:
        draft.retire(key)
    first = olds[0]
    draft.create(
        TaskExecution(
            execution_id=draft.new_id(),
            run_id=first.run_id,
            pipeline_id=first.pipeline_id,
            task_id=task_id,
            sequence=1 + max(old.sequence for old in olds),  # its items take it over, above all they replace
            created_at=draft.now,
            retry_of=first.execution_id,
            generation=max(_next_generation(old) for old in olds),
        )
    )
    return (task_id, None)


def _next_generation(old: TaskExecution) -> int:
    """A success by its own process that is run again does its work again (load tokens)."""
    return old.generation + int(old.state is S.SUCCESS and old.marked_by is None)


def _renew(draft: Draft, key: Key, edits: Edits | None) -> Key:
    old = draft.get(key)
    draft.retire(key)
    fresh = TaskExecution(
        execution_id=draft.new_id(),
        run_id=old.run_id,
        pipeline_id=old.pipeline_id,
        task_id=old.task_id,
        map_index=old.map_index,
        item=old.item,
        sequence=old.sequence + 1,
        created_at=draft.now,
        retry_of=old.execution_id,
        parameter_overrides=edits.parameters if edits else old.parameter_overrides,
        config_overrides=edits.config if edits else old.config_overrides,
        retry_override=edits.retry_policy if edits and edits.retry_policy else old.retry_override,
        generation=_next_generation(old),
    )
    draft.create(fresh)  # an item keeps its index and value: retried, it is the same work, not another list
    return key


def _reopen(draft: Draft) -> None:
    if draft.run.state.terminal:
        draft.run = replace(
            draft.run,
            state=RunState.RUNNING,
            started_at=draft.now,  # a run that ran out of time has its time again
            completed_at=None,
            cancelled_by=None,
            reason=None,
            row_version=draft.run.row_version + 1,
        )


def _recount(draft: Draft, made: Sequence[Key]) -> None:
    """Count anew the upstream ends of everything next to what changed."""
    touched = {key[0] for key in made}
    for task_id in list(touched):
        touched.update(below for below in draft.base.graph.downstream[task_id] if below in draft.base.selected)
    for task_id in touched:
        tally = draft.tally(task_id)
        tally.total = tally.success = tally.failed = tally.skipped = 0
        for upstream in draft.base.graph.upstream[task_id]:
            for key in draft.keys(upstream):
                tally.total += 1
                tally.count(draft.get(key))
