"""What stands between a task and its queue: trigger rule, `when`, `foreach`, and a branch's choice.

Law: a gate either lets the execution pass, ends it, or asks for a template to be rendered; it never waits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.model.errors import ConfigurationError, ErrorKind, TaskError
from engine.model.run import Reason, TaskEvent, TaskState
from engine.rules.branching import follow_of
from engine.rules.endings import ended_keys, failed
from engine.rules.readiness import Readiness, readiness, skip_reason
from engine.rules.snapshot import Draft, Evaluate, Key, Rules, WithoutProcess

E, S = TaskEvent, TaskState


def readiness_of(draft: Draft, task_id: str) -> Readiness:
    """What the trigger rule of one task says to the ends counted so far."""
    tally = draft.tallies.get(task_id) or draft.base.tallies[task_id]
    return readiness(draft.base.tasks[task_id].trigger_rule, tally)


def judge(draft: Draft, key: Key, rules: Rules) -> list[Key]:
    """Ask the trigger rule; returns the keys that ended."""
    answer = readiness_of(draft, key[0])
    if answer is Readiness.READY:
        unchosen = _left_out_by(draft, key[0])
        return start(draft, key, rules) if unchosen is None else _leave_out(draft, key, unchosen)
    if answer is Readiness.NEVER:
        tally = draft.tallies.get(key[0]) or draft.base.tallies[key[0]]
        reason = skip_reason(draft.base.tasks[key[0]].trigger_rule, tally)
        return ended_keys(draft, key, draft.move(key, E.UPSTREAM_FAILED, reason=reason))
    if draft.get(key).state is S.PENDING:
        draft.move(key, E.DEPENDENCIES_UNMET)
    return []


def start(draft: Draft, key: Key, rules: Rules) -> list[Key]:
    """Its rule is met: on to `when`."""
    task = draft.base.tasks[key[0]]
    if task.when is None:
        return after_when(draft, key, True, rules)
    if has_markup(task.when):
        draft.actions.append(Evaluate(key, "when"))
        return []
    return after_when(draft, key, task.when, rules)


def after_when(draft: Draft, key: Key, value: Any, rules: Rules) -> list[Key]:
    """`when` is known: skipped, or on to `foreach` and the queue."""
    if not truthy(value):
        return ended_keys(
            draft, key, draft.move(key, E.UPSTREAM_FAILED, reason=Reason.WHEN, message="`when` is false")
        )
    task = draft.base.tasks[key[0]]
    if task.foreach is None or key[1] is not None:
        return _queue(draft, key, rules)
    if has_markup(task.foreach):
        draft.actions.append(Evaluate(key, "foreach"))
        return []
    return expand(draft, key, task.foreach, rules)


def _queue(draft: Draft, key: Key, rules: Rules) -> list[Key]:
    task = draft.base.tasks[key[0]]
    if task.type == "branch" and rules.runs_in_engine(task):
        if has_markup(task.config.get("choose")):
            draft.actions.append(Evaluate(key, "choose"))
            return []
        return chosen(draft, key, task.config.get("choose"), rules)
    draft.move(key, E.DEPENDENCIES_MET)
    return []


def chosen(draft: Draft, key: Key, value: Any, rules: Rules) -> list[Key]:
    """A branch without a process: it starts and succeeds in one commit."""
    draft.move(key, E.DEPENDENCIES_MET)
    draft.move(key, E.EXECUTION_STARTED)
    draft.touch(key, outputs={"follow": value})
    ended = succeeded(draft, key)
    execution = draft.get(key)
    draft.actions.append(WithoutProcess(key, execution.attempt_count, execution.error))
    return ended


def succeeded(draft: Draft, key: Key) -> list[Key]:
    """EXECUTION_COMPLETED, and for a branch what follows from its choice. A choice that makes no sense fails it."""
    execution = draft.touch(key, losses=0)
    if draft.base.tasks[key[0]].type != "branch":
        return ended_keys(draft, key, draft.move(key, E.EXECUTION_COMPLETED))
    outputs = dict(execution.outputs)
    try:
        outputs["follow"] = follow_of(outputs.get("follow"), draft.base.graph.downstream[key[0]])
    except ConfigurationError as problem:
        outputs.pop("follow", None)
        draft.touch(key, outputs=outputs)
        return failed(draft, key, _misconfigured(str(problem)), 0.0)
    draft.touch(key, outputs=outputs)
    return ended_keys(draft, key, draft.move(key, E.EXECUTION_COMPLETED)) + branch_skips(draft, key)


def _misconfigured(message: str) -> TaskError:
    return TaskError(type="ConfigurationError", kind=ErrorKind.CONFIGURATION, message=message, final=True)


def branch_skips(draft: Draft, key: Key) -> list[Key]:
    """After a branch succeeded: the dependants it did not choose are skipped."""
    follow = draft.get(key).outputs.get("follow") or []
    ended: list[Key] = []
    for below in draft.base.graph.downstream[key[0]]:
        if below in follow or below not in draft.base.selected:
            continue
        for other in draft.keys(below):
            if draft.get(other).state in (S.PENDING, S.WAITING):
                ended += _leave_out(draft, other, key[0])
    return ended


def _left_out_by(draft: Draft, task_id: str) -> str | None:
    """The branch right above that has succeeded without choosing this task: it counts after a reopening too."""
    for above in draft.base.graph.upstream[task_id]:
        if draft.base.tasks[above].type != "branch":
            continue
        for key in draft.keys(above):
            execution = draft.get(key)
            if execution.state is not S.SUCCESS or execution.marked_by is not None:
                continue  # a branch marked success chose nothing, so that nothing is left out
            if task_id not in (execution.outputs.get("follow") or []):
                return above
    return None


def _leave_out(draft: Draft, key: Key, branch: str) -> list[Key]:
    why = f"not chosen by {branch}"
    return ended_keys(draft, key, draft.move(key, E.UPSTREAM_FAILED, reason=Reason.BRANCH, message=why))


def expand(draft: Draft, key: Key, items: Any, rules: Rules) -> list[Key]:
    """Replace the placeholder of a mapped task by one execution per item."""
    problem = _items_problem(key[0], items, rules.max_items)
    if problem is not None:
        draft.move(key, E.DEPENDENCIES_MET)
        draft.move(key, E.EXECUTION_STARTED)
        error = _misconfigured(problem)
        ended = failed(draft, key, error, 0.0)
        draft.actions.append(WithoutProcess(key, 1, error))
        return ended
    if not items:
        return ended_keys(draft, key, draft.move(key, E.UPSTREAM_FAILED, reason=Reason.EMPTY, message="no items"))
    placeholder = draft.get(key)
    draft.retire(key)
    for below in draft.base.graph.downstream[key[0]]:
        if below in draft.base.selected:
            draft.tally(below).total += len(items) - 1
    ended = []
    for index, item in enumerate(items):
        draft.create(
            replace(
                placeholder,
                execution_id=draft.new_id(),
                map_index=index,
                item=item,
                state=S.PENDING,
                created_at=draft.now,
                row_version=0,
            )
        )
        ended += _queue(draft, (key[0], index), rules)
    return ended


def _items_problem(task_id: str, items: Any, most: int) -> str | None:
    if isinstance(items, dict) or not isinstance(items, list | tuple):
        return f"`foreach` of '{task_id}' must give a list, not {type(items).__name__}"
    if len(items) > most:
        return f"`foreach` of '{task_id}' gives {len(items)} items; limits.max_items allows {most}"
    return None


def has_markup(value: Any) -> bool:
    """Whether a template engine has anything to do in there."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(has_markup(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_markup(item) for item in value)


def truthy(value: Any) -> bool:
    """What a rendered `when` means: words that say no are no."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false", "no", "off", "0", "none", "null")
    return bool(value)
