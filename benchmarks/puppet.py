"""An engine that is only believed: it leads, and writes what a benchmark wants to be seen, in the engine's own way.

Law: used by one thread after another; what it writes goes through the store's one writer and the log files' class.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.bootstrap.workspace import open_workspace
from engine.executors.logfile import AttemptLog, stamp
from engine.model.event import Event
from engine.model.run import Attempt, AttemptState, PipelineRun, RunState, TaskExecution, TaskState
from engine.ports.store import Changes
from engine.runtime.engine import kill_old
from engine.runtime.lease import LeaseKeeper, candidate
from engine.stores.open import open_writer


def _now() -> datetime:
    return datetime.now(UTC)


class Puppet:
    """Leads a workspace until it is closed."""

    def __init__(self, root: Path) -> None:
        self._workspace = open_workspace(root)
        self._home = self._workspace.settings.home
        self._keeper = LeaseKeeper(
            self._workspace.mailbox,
            self._workspace.clock,
            candidate("engine", "benchmark", "puppet", _now()),
            kill_old=kill_old,
            on_lost=lambda: None,
        )
        lease = self._keeper.try_acquire()
        assert lease is not None, "somebody else leads"
        self._keeper.keep()
        self.store = open_writer(self._workspace.settings)
        self.store.take_over(lease.epoch, lease.holder, lease.acquired_at)
        self._epoch, self._commits = lease.epoch, 0

    def close(self) -> None:
        """Lead no more."""
        self.store.close()
        self._keeper.release()
        self._workspace.close()

    def commit(self, changes: Changes) -> None:
        """One transaction."""
        self._commits += 1
        self.store.commit(changes, f"puppet-{self._epoch}-{self._commits}")

    def begin(self, pipeline_id: str, run_id: str, tasks: list[str], state: RunState = RunState.RUNNING) -> Running:
        """A run whose tasks all run at once."""
        version = self.store.latest_version(pipeline_id)
        assert version is not None, f"{pipeline_id} never ran"
        at = _now()
        ended = at if state.terminal else None
        run = PipelineRun(
            run_id=run_id,
            pipeline_id=pipeline_id,
            version=version.version,
            triggered_by="benchmark",
            triggered_at=at,
            logical_date=at,
            data_interval_start=at,
            data_interval_end=at,
            state=state,
            started_at=at,
            completed_at=ended,
        )
        executions = [
            TaskExecution(
                execution_id=f"{run_id}-{name}",
                run_id=run_id,
                pipeline_id=pipeline_id,
                task_id=name,
                created_at=at,
                state=TaskState(state.value),
                attempt_count=1,
                started_at=at,
                first_started_at=at,
                completed_at=ended,
            )
            for name in tasks
        ]
        attempts = [
            Attempt(
                token=f"k-{each.execution_id}",
                execution_id=each.execution_id,
                run_id=run_id,
                task_id=each.task_id,
                map_index=None,
                number=1,
                epoch=self._epoch,
                submitted_at=at,
                started_at=at,
                completed_at=ended,
                state=AttemptState(state.value),
                log=f"{run_id}/{each.task_id}.log",
            )
            for each in executions
        ]
        event = Event(type="run.created", at=at, run_id=run_id, pipeline_id=pipeline_id)
        self.commit(Changes(new_runs=[run], new_executions=executions, new_attempts=attempts, events=[event]))
        return Running(run, executions)

    def log(self, run_id: str, task: str) -> AttemptLog:
        """The log of one attempt."""
        return AttemptLog(self._home / "logs" / run_id / f"{task}.log", cap=1 << 32, now=_now)


class Running:
    """A run and its tasks as they stand."""

    def __init__(self, run: PipelineRun, executions: list[TaskExecution]) -> None:
        self.run, self.executions = run, executions

    def step(self, changes: Changes, done: int) -> None:
        """Every task says how far it is."""
        at, moved = _now(), []
        for each in self.executions:
            progress = {"done": done % 1000, "total": 1000, "unit": "rows"}
            newer = replace(each, progress=progress, row_version=each.row_version + 1)
            changes.executions[newer.execution_id] = newer
            changes.events.append(
                Event(type="task.progress", at=at, run_id=each.run_id, task_id=each.task_id, payload=progress)
            )
            moved.append(newer)
        self.executions = moved

    def flip(self, changes: Changes) -> None:
        """The run waits, or runs again."""
        waits = self.run.state is RunState.RUNNING
        self.run = replace(
            self.run,
            state=RunState.PENDING if waits else RunState.RUNNING,
            row_version=self.run.row_version + 1,
        )
        changes.runs[self.run.run_id] = self.run
        changes.events.append(Event(type="run.state", at=_now(), run_id=self.run.run_id))


@contextmanager
def every(seconds: float, step: Callable[[int], None]) -> Iterator[None]:
    """Do it again and again in a thread while the block runs; a step that is late is not made up for."""
    over = threading.Event()

    def steps() -> None:
        number, due = 0, time.monotonic()
        while not over.is_set():
            step(number)
            number, due = number + 1, max(due + seconds, time.monotonic())
            over.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=steps, name="puppet")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def write_lines(log: AttemptLog, count: int, start: int = 0) -> None:
    """So many lines, flushed."""
    at = stamp(_now())
    for number in range(start, start + count):
        log.add(
            "stdout", "INFO", b"row %d of the load was written to the warehouse without complaint" % number, at=at
        )
    log.flush()
