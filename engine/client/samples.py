"""Which staged rows show a dataset: those that the last run left which read it, or loaded it.

A load that reads its source itself keeps the first rows for this, as its output `sample`.

Law: rows are looked at where they lie staged, never in the system they were read from or loaded into. Staged rows
are kept for a while only; what is gone is passed over for the next older.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.client.reasons import pinned
from engine.model.dataset import Direction, TouchRecord
from engine.model.errors import ConfigurationError, NotFound
from engine.model.run import TaskExecution, TaskState
from engine.ports.catalog import Catalog
from engine.ports.queries import Queries
from engine.ports.samples import Sample, Samples

_MARK = "$dataset"  # as engine.dataflow.staging.MARK
_TOUCHES = 50  # looked at, newest first
_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sample and the task that staged it."""

    sample: Sample
    run_id: str
    task_id: str
    at: datetime | None


def sample(
    queries: Queries, catalog: Catalog, samples: Samples, profile: str | None, name: str, rows: int
) -> Found:
    """The newest there is. NotFound says why there is none."""
    gone = False
    for staged, reference in _staged(queries, catalog, profile, name):
        try:
            found = samples.staged(reference, rows)
        except ConfigurationError:
            gone = True
            continue
        return Found(sample=found, run_id=staged.run_id, task_id=staged.task_id, at=staged.completed_at)
    if gone:
        raise NotFound(f"The rows that runs staged of '{name[:80]}' are gone (`retention.staging_hours`).")
    raise NotFound(f"No run that is kept has staged rows of '{name[:80]}'.")


def _staged(
    queries: Queries, catalog: Catalog, profile: str | None, name: str
) -> Iterator[tuple[TaskExecution, Mapping[str, Any]]]:
    """Executions with a reference to rows of the dataset, newest first."""
    runs: dict[str, list[TaskExecution]] = {}
    seen: set[str] = set()
    for touch in queries.touches(profile, name, limit=_TOUCHES):
        if touch.run_id not in runs:
            if len(runs) >= _RUNS:
                return
            runs[touch.run_id] = list(queries.executions(touch.run_id))
        for execution in _by(touch, runs[touch.run_id], queries, catalog):
            reference = execution.outputs.get("dataset")
            if reference is None and touch.touch.direction is Direction.READ:
                reference = execution.outputs.get("sample")
            if execution.execution_id not in seen and isinstance(reference, Mapping) and _MARK in reference:
                seen.add(execution.execution_id)
                yield execution, reference


def _by(
    touch: TouchRecord, executions: list[TaskExecution], queries: Queries, catalog: Catalog
) -> list[TaskExecution]:
    """The task itself; for a load, the tasks above it whose rows it took."""
    own = [each for each in executions if (each.task_id, each.map_index) == (touch.task_id, touch.map_index)]
    if touch.touch.direction is Direction.READ or not executions:
        return own
    definition = pinned(queries, catalog, queries.resolve_run(touch.run_id))
    tasks = {each.id: each for each in definition.tasks} if definition is not None else {}
    above = tasks[touch.task_id].dependencies if touch.task_id in tasks else ()
    return [*own, *(each for each in executions if each.task_id in above and each.state is TaskState.SUCCESS)]
