"""What the templates of one attempt can see (CONTRACT: in reach), as plain JSON.

Law: precedence is C-12: task configuration is the template itself; run parameters were bound when the run was made;
system names never shadow a parameter except those in SYSTEM, which a parameter may not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.model.run import PipelineRun, TaskExecution, TaskState
from engine.rules.snapshot import Key, RunSnapshot


def iso(at: datetime) -> str:
    """2026-11-19T02:00:00Z."""
    text = at.astimezone(UTC).isoformat(timespec="seconds" if not at.microsecond else "microseconds")
    return text.replace("+00:00", "Z")


def run_context(run: PipelineRun, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Names that are the same for every task of a run."""
    day = run.logical_date.astimezone(UTC)
    return {
        **parameters,
        "params": dict(parameters),
        "ds": day.strftime("%Y-%m-%d"),
        "ds_nodash": day.strftime("%Y%m%d"),
        "logical_date": iso(run.logical_date),
        "data_interval_start": iso(run.data_interval_start),
        "data_interval_end": iso(run.data_interval_end),
        "run_id": run.run_id,
        "pipeline_id": run.pipeline_id,
        "event": dict(run.event),
    }


def attempt_context(snapshot: RunSnapshot, key: Key, execution: TaskExecution, attempt: int) -> dict[str, Any]:
    """Names for one attempt of one task."""
    parameters = {**snapshot.run.parameters, **execution.parameter_overrides}
    context = run_context(snapshot.run, parameters)
    context["task_id"] = key[0]
    context["attempt"] = attempt
    context["upstream"] = upstream_outputs(snapshot, key[0])
    if execution.map_index is not None:
        context["item"] = execution.item
        context["map_index"] = execution.map_index
    return context


def upstream_outputs(snapshot: RunSnapshot, task_id: str) -> dict[str, Any]:
    """Outputs of the direct dependencies: a mapping, or for a mapped task the list of them in order."""
    found: dict[str, Any] = {}
    for upstream in snapshot.graph.upstream[task_id]:
        executions = snapshot.of_task(upstream)
        if not executions:
            continue
        if executions[0].map_index is not None:
            found[upstream] = [
                dict(item.outputs) if item.state is TaskState.SUCCESS else None for item in executions
            ]
        elif snapshot.tasks[upstream].foreach is not None:
            found[upstream] = []
        else:
            found[upstream] = dict(executions[0].outputs)
    return found
