"""What a run of a pipeline would do: levels, critical path, estimate, rendered configs. Runs nothing.

Law: what only a run knows (`upstream`, `item`, `event`, `run_id`, `attempt`) stays as written and is listed as
unresolved; everything else is rendered by the same child that renders for the engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from engine.client.views import Json, iso
from engine.model.errors import ConfigurationError, RequestError
from engine.model.pipeline import Pipeline, Task
from engine.ports.catalog import Planned, Renderer
from engine.rules.gates import has_markup
from engine.rules.graph import build_graph
from engine.rules.graph_plan import make_plan

Render = Callable[[Any, Mapping[str, Any]], Planned]
RenderPlan = Callable[[Renderer, Any, Mapping[str, Any]], Planned]  # Catalog.render_plan

_OWN_NAME = re.compile(r"\btask_id\b")
_BATCH = 200  # tasks rendered in one go: the child has a second for each


def plan(
    pipeline: Pipeline,
    context: Mapping[str, Any],
    *,
    medians: Mapping[str, float],
    workers: int,
    renderer_factory: Callable[[], Renderer],
    render: RenderPlan,
) -> Json:
    """`plan`; RequestError lists every config that cannot be rendered."""
    requests = {task.id: _requests(task) for task in pipeline.tasks}
    made = make_plan(
        build_graph(pipeline.dependencies()), durations=medians, requests=requests, max_parallel=workers
    )
    renderer = renderer_factory()
    try:
        tasks, problems = _render_all(pipeline, context, partial(render, renderer))
    finally:
        renderer.close()
    if problems:
        raise RequestError(f"Pipeline '{pipeline.id}' cannot be planned: " + "; ".join(problems))
    return {
        "pipeline_id": pipeline.id,
        "levels": [list(row) for row in made.execution_levels],
        "critical_path": list(made.critical_path.tasks),
        "estimated_seconds": made.estimated_seconds,
        "tasks": tasks,
    }


def context(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    logical_date: datetime,
    interval_end: datetime,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """What templates may name before there is a run."""
    day = logical_date.strftime("%Y-%m-%d")
    return {
        **parameters,
        "params": dict(parameters),
        "ds": day,
        "ds_nodash": day.replace("-", ""),
        "logical_date": iso(logical_date),
        "data_interval_start": iso(logical_date),
        "data_interval_end": iso(interval_end),
        "pipeline_id": pipeline.id,
        "env": dict(environment),
    }


def _requests(task: Task) -> Mapping[str, float]:
    return {"cpu": task.resources.cpu, "memory_mb": float(task.resources.memory_mb)}


def _render_all(pipeline: Pipeline, context: Mapping[str, Any], render: Render) -> tuple[list[Json], list[str]]:
    """Every task with what could be rendered, and a problem for each whose templates fail."""
    written = {task.id: _written(task) for task in pipeline.tasks}
    marked = [task_id for task_id, value in written.items() if has_markup(value)]
    rendered: dict[str, _Rendered] = {task_id: _Rendered(value) for task_id, value in written.items()}
    problems: list[str] = []
    for start in range(0, len(marked), _BATCH):
        chunk = marked[start : start + _BATCH]
        found, failed = _render_chunk({each: written[each] for each in chunk}, context, render)
        rendered |= found
        problems += failed
    return [_row(task, rendered[task.id]) for task in pipeline.tasks], problems


@dataclass(frozen=True, slots=True)
class _Rendered:
    """One task's config, when and foreach, and the paths in them that only a run can fill."""

    value: Mapping[str, Any]
    unresolved: Sequence[str] = ()


def _render_chunk(
    written: Mapping[str, Any], context: Mapping[str, Any], render: Render
) -> tuple[dict[str, _Rendered], list[str]]:
    """Several tasks in one go; one by one where one fails, or names itself."""
    if not _OWN_NAME.search(repr(written)):
        try:
            return _taken_apart(render(written, context)), []
        except ConfigurationError:
            pass  # which one it was is found out one by one
    found: dict[str, _Rendered] = {}
    problems: list[str] = []
    for task_id, value in written.items():
        try:
            found |= _taken_apart(render({task_id: value}, {**context, "task_id": task_id}))
        except ConfigurationError as error:
            problems.append(f"task '{task_id}': {error}")
    return found, problems


def _taken_apart(planned: Planned) -> dict[str, _Rendered]:
    paths: dict[str, list[str]] = {task_id: [] for task_id in planned.value}
    for path in planned.unresolved:
        paths[str(path[0])].append(_spelled(path[1:]))
    return {task_id: _Rendered(value, paths[task_id]) for task_id, value in planned.value.items()}


def _spelled(path: Sequence[str | int]) -> str:
    """config.args[0].name"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _written(task: Task) -> dict[str, Any]:
    return {"config": task.config, "when": task.when, "foreach": task.foreach}


def _row(task: Task, rendered: _Rendered) -> Json:
    return {
        "id": task.id,
        "type": task.type,
        "dependencies": list(task.dependencies),
        "config": rendered.value["config"],
        "when": rendered.value["when"],
        "foreach": rendered.value["foreach"],
        "trigger_rule": task.trigger_rule.value,
        "pool": task.pool,
        "timeout_seconds": task.timeout_seconds,
        "unresolved": list(rendered.unresolved),
    }
