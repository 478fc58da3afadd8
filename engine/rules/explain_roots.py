"""Where a failure comes from: root causes in the graph, and what changed since the last success.

Law: a task is a root when it failed and nothing above it did; everything else only follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.model.pipeline import Pipeline
from engine.model.run import PipelineRun, TaskExecution, TaskState
from engine.rules.explain_words import at, brief, listed

S = TaskState


def root_causes(
    executions: Iterable[TaskExecution], dependencies: Mapping[str, Sequence[str]]
) -> list[TaskExecution]:
    """FAILED ones (else CANCELLED ones) whose own upstreams did not fail, in the order they ended."""
    latest = list(executions)
    for state in (S.FAILED, S.CANCELLED):
        ended = [each for each in latest if each.state is state]
        bad = {each.task_id for each in ended}
        roots = [each for each in ended if not bad & _above(each.task_id, dependencies)]
        if roots:
            return sorted(roots, key=lambda each: (each.completed_at is None, each.completed_at or each.created_at))
    return []


def failed_above(
    execution: TaskExecution, executions: Iterable[TaskExecution], dependencies: Mapping[str, Sequence[str]]
) -> list[TaskExecution]:
    """Root causes among what this task waits for, directly or not."""
    above = _above(execution.task_id, dependencies)
    return root_causes([each for each in executions if each.task_id in above], dependencies)


def blockers(executions: Iterable[TaskExecution]) -> list[TaskExecution]:
    """Of an active run: who is not done and waits for nothing but the engine or something it holds."""
    order = (S.RUNNING, S.RETRYING, S.QUEUED, S.PENDING)
    found = [each for each in executions if each.state in order]
    return sorted(found, key=lambda each: order.index(each.state))


def dependencies_of(pipeline: Pipeline | None) -> Mapping[str, Sequence[str]]:
    """Empty where the pinned definition is not known."""
    return pipeline.dependencies() if pipeline is not None else {}


def changes_since(
    good: PipelineRun | None,
    run: PipelineRun,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> tuple[str, ...]:
    """What is different from the last success: definition and parameters, in sentences."""
    if good is None:
        return ("This pipeline has not succeeded before.",)
    told = [f"The last success was run {good.run_id}, completed {at(good.completed_at)}."]
    if good.version != run.version:
        what = _changed_tasks(before, after)
        told.append(f"The definition changed from version {good.version} to {run.version}{what}.")
    changed = [
        f"{name} was {brief(good.parameters.get(name))}, is {brief(run.parameters.get(name))}"
        for name in sorted({*good.parameters, *run.parameters})
        if good.parameters.get(name) != run.parameters.get(name)
    ]
    if changed:
        told.append(f"Parameters changed: {'; '.join(changed)}.")
    if len(told) == 1:
        told.append("Neither the definition nor the parameters changed since.")
    return tuple(told)


def _changed_tasks(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None or after is None:
        return ""
    old = {str(task.get("id")): task for task in before.get("tasks", ())}
    new = {str(task.get("id")): task for task in after.get("tasks", ())}
    parts = []
    for word, ids in (
        ("added", [name for name in new if name not in old]),
        ("removed", [name for name in old if name not in new]),
        ("changed", [name for name in new if name in old and new[name] != old[name]]),
    ):
        if ids:
            parts.append(f"{word} {listed(ids)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _above(task_id: str, dependencies: Mapping[str, Sequence[str]]) -> set[str]:
    above: set[str] = set()
    waiting = list(dependencies.get(task_id, ()))
    while waiting:
        upstream = waiting.pop()
        if upstream not in above:
            above.add(upstream)
            waiting.extend(dependencies.get(upstream, ()))
    return above
