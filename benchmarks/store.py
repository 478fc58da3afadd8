"""What a commit costs: `python -m benchmarks.store [FOLDER]`.

Prints one JSON line. A commit carries so many task transitions, each an execution, an attempt, a transition, an
event and a verdict that ends; the folder (default: a temporary one) decides which disk is measured.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.model.event import Event
from engine.model.run import Attempt, PipelineRun, TaskEvent, TaskExecution, TaskState, Transition, Verdict
from engine.model.workspace import Settings
from engine.ports.store import Changes, PipelineVersion
from engine.stores.open import open_queries, open_writer
from engine.stores.writer import SqlStateStore

AT = datetime(2026, 1, 1, tzinfo=UTC)
COMMITS = 60  # of each size
SIZES = (1, 8, 32)


def main(folder: Path) -> None:
    """Measure in this folder and print the figures."""
    settings = Settings(root=folder)
    begun = time.perf_counter()
    store = open_writer(settings)
    created = time.perf_counter() - begun
    store.take_over(1, "benchmark", AT)
    tasks = _begin(store, COMMITS * sum(SIZES))
    medians = {}
    for size in SIZES:
        mine, tasks = tasks[: size * COMMITS], tasks[size * COMMITS :]
        medians[size] = _commit_all(store, [mine[at : at + size] for at in range(0, len(mine), size)])
    store.close()
    begun = time.perf_counter()
    open_writer(settings).close()
    reopened = time.perf_counter() - begun
    with open_queries(settings) as queries:
        begun = time.perf_counter()
        read = len(queries.executions("r"))
        reading = time.perf_counter() - begun
    figures = {f"commit_{size}_us": round(seconds * 1e6) for size, seconds in medians.items()}
    marginal = (medians[32] - medians[1]) / 31
    print(
        json.dumps(
            {
                "benchmark": "store",
                **figures,
                "marginal_transition_us": round(marginal * 1e6, 1),
                "create_ms": round(created * 1e3, 1),
                "reopen_ms": round(reopened * 1e3, 1),
                "read_execution_us": round(reading / read * 1e6, 1),
            }
        )
    )


def _begin(store: SqlStateStore, count: int) -> list[TaskExecution]:
    version = PipelineVersion(pipeline_id="p", version=1, hash="h", document={}, file=None, created_at=AT)
    run = PipelineRun(
        run_id="r",
        pipeline_id="p",
        version=1,
        triggered_by="benchmark",
        triggered_at=AT,
        logical_date=AT,
        data_interval_start=AT,
        data_interval_end=AT,
    )
    tasks = [
        TaskExecution(
            execution_id=f"e{number:06d}",
            run_id="r",
            pipeline_id="p",
            task_id=f"t{number}",
            created_at=AT,
            state=TaskState.QUEUED,
        )
        for number in range(count)
    ]
    why: dict[str, Verdict | None] = {
        each.execution_id: Verdict(execution_id=each.execution_id, code="SLOTS", sentence="No slot.", since=AT)
        for each in tasks
    }
    changes = Changes(versions=[version], new_runs=[run], new_executions=tasks, verdicts=why)
    store.commit(changes, "begin")
    return tasks


def _commit_all(store: SqlStateStore, groups: Sequence[Sequence[TaskExecution]]) -> float:
    prepared = [_started(group) for group in groups]
    seconds = []
    for number, changes in enumerate(prepared):
        begun = time.perf_counter()
        store.commit(changes, f"{len(groups[0])}-{number}")
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _started(group: Sequence[TaskExecution]) -> Changes:
    changes = Changes()
    for task in group:
        running = replace(
            task, state=TaskState.RUNNING, attempt_count=1, started_at=AT, first_started_at=AT, row_version=1
        )
        names: dict[str, Any] = {"run_id": "r", "execution_id": task.execution_id, "task_id": task.task_id}
        changes.executions[task.execution_id] = running
        changes.new_attempts.append(
            Attempt(**names, token=f"k{task.execution_id}", map_index=None, number=1, epoch=1, submitted_at=AT)
        )
        changes.transitions.append(
            Transition(
                **names,
                map_index=None,
                from_state=task.state,
                to_state=running.state,
                event=TaskEvent.EXECUTION_STARTED,
                at=AT,
                attempt=1,
            )
        )
        payload = {"from": "QUEUED", "to": "RUNNING", "attempt": 1}
        changes.events.append(Event(type="task.state", at=AT, run_id="r", task_id=task.task_id, payload=payload))
        changes.verdicts[task.execution_id] = None
    return changes


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
