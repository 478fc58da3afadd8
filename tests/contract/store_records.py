"""Records to fill a store with, and the doors to one store, closed together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from engine.model.errors import ErrorKind, Queue, StoreBusy, TaskError
from engine.model.event import Actor, AuditEntry, Command, Event
from engine.model.run import (
    Attempt,
    DeadLetter,
    PipelineRun,
    RunState,
    TaskEvent,
    TaskExecution,
    TaskState,
    Transition,
    Verdict,
)
from engine.model.workspace import Settings
from engine.ports.mailbox import Lease
from engine.ports.store import Changes, PipelineVersion
from engine.stores.connect import database_url, open_file
from engine.stores.mailbox import SqlMailbox
from engine.stores.open import open_mailbox, open_queries, open_writer
from engine.stores.queries import SqlQueries
from engine.stores.writer import SqlStateStore

T0 = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@dataclass
class Rig:
    """One workspace; everything opened through it is closed with it."""

    settings: Settings
    now: Callable[[], datetime] = lambda: T0
    opened: list[Any] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.settings.root / self.settings.state

    @property
    def on_file(self) -> bool:
        return "://" not in self.settings.state

    def writer(self, epoch: int = 1, holder: str = "first", **options: Any) -> SqlStateStore:
        store = open_writer(self.settings, now=self.now, **options)
        self.opened.append(store)
        store.take_over(epoch, holder, T0)
        return store

    def queries(self) -> SqlQueries:
        return self._keep(open_queries(self.settings, now=self.now))

    def mailbox(self) -> SqlMailbox:
        return self._keep(open_mailbox(self.settings))

    def _keep(self, door: Any) -> Any:
        self.opened.append(door)
        return door

    def sql(self, *statements: str) -> None:
        """Somebody who goes behind the engine's back."""
        if self.on_file:
            connection = open_file(self.path, "rw", 5)
            try:
                for statement in statements:
                    connection.execute(statement).close()
            finally:
                connection.close()
        else:
            url = database_url(self.settings.state).set(drivername="postgresql")
            with psycopg.connect(url.render_as_string(hide_password=False)) as server:
                for statement in statements:
                    server.execute(statement)

    def close(self) -> None:
        for door in reversed(self.opened):
            door.close()


def patiently(act: Callable[[], Any]) -> Any:
    """On a busy machine others may hold the lock for longer than one wait for it lasts: that is told, and loses
    nothing."""
    while True:
        try:
            return act()
        except StoreBusy:
            continue


def version(pipeline_id: str = "orders", number: int = 1) -> PipelineVersion:
    document = {"id": pipeline_id, "tasks": [{"id": "a"}, {"id": "b"}], "number": number}
    return PipelineVersion(
        pipeline_id=pipeline_id, version=number, hash=f"h{number}", document=document, file="p.yaml", created_at=T0
    )


def run(run_id: str = "r1", **fields: Any) -> PipelineRun:
    base: dict[str, Any] = {
        "pipeline_id": "orders",
        "version": 1,
        "triggered_by": "ana@host",
        "triggered_at": T0,
        "logical_date": T0,
        "data_interval_start": T0,
        "data_interval_end": T0,
    }
    return PipelineRun(run_id=run_id, **(base | fields))


def task(execution_id: str, run_id: str = "r1", **fields: Any) -> TaskExecution:
    base: dict[str, Any] = {"pipeline_id": "orders", "task_id": execution_id, "created_at": T0}
    return TaskExecution(execution_id=execution_id, run_id=run_id, **(base | fields))


def attempt(execution: TaskExecution, number: int = 1, **fields: Any) -> Attempt:
    base: dict[str, Any] = {"token": f"{execution.execution_id}-{number}", "epoch": 1, "submitted_at": T0}
    return Attempt(
        execution_id=execution.execution_id,
        run_id=execution.run_id,
        task_id=execution.task_id,
        map_index=execution.map_index,
        number=number,
        **(base | fields),
    )


def moved(execution: TaskExecution, state: TaskState, **fields: Any) -> TaskExecution:
    return replace(execution, state=state, row_version=execution.row_version + 1, **fields)


def transition(execution: TaskExecution, to: TaskState, **fields: Any) -> Transition:
    base: dict[str, Any] = {"event": TaskEvent.DEPENDENCIES_MET, "at": T0, "attempt": 0}
    return Transition(
        run_id=execution.run_id,
        execution_id=execution.execution_id,
        task_id=execution.task_id,
        map_index=execution.map_index,
        from_state=execution.state,
        to_state=to,
        **(base | fields),
    )


def event(kind: str = "task.state", **fields: Any) -> Event:
    base: dict[str, Any] = {"at": T0, "run_id": "r1"}
    return Event(type=kind, **(base | fields))


def verdict(execution_id: str, code: str = "POOL_FULL", **fields: Any) -> Verdict:
    base: dict[str, Any] = {"sentence": "The pool is full.", "since": T0}
    return Verdict(execution_id=execution_id, code=code, **(base | fields))


def entry(action: str = "task.retry", **fields: Any) -> AuditEntry:
    base: dict[str, Any] = {
        "at": T0,
        "actor": Actor(name="ana@host", address="10.0.0.1"),
        "event_type": "USER_ACTION",
        "resource_type": "RUN",
        "resource_id": "r1",
        "details": {"task": "a"},
    }
    return AuditEntry(action=action, **(base | fields))


def letter(letter_id: str, execution: TaskExecution, **fields: Any) -> DeadLetter:
    base: dict[str, Any] = {
        "queue": Queue.PERMANENT,
        "kind": ErrorKind.LOGIC,
        "error_type": "ValueError",
        "message": "no such column",
        "fingerprint": "f1",
        "failed_at": T0,
        "attempts": 3,
    }
    return DeadLetter(
        id=letter_id,
        pipeline_id=execution.pipeline_id,
        run_id=execution.run_id,
        task_id=execution.task_id,
        map_index=execution.map_index,
        execution_id=execution.execution_id,
        **(base | fields),
    )


def failure(message: str = "boom") -> TaskError:
    return TaskError(type="ValueError", kind=ErrorKind.LOGIC, message=message, traceback="Traceback ...")


def command(request_id: str, **fields: Any) -> Command:
    base: dict[str, Any] = {"name": "run.cancel", "arguments": {"run_id": "r1"}, "actor": Actor(name="ana@host")}
    return Command(request_id=request_id, sent_at=T0, **(base | fields))


def lease(holder: str, seconds: float = 10, **fields: Any) -> Lease:
    base: dict[str, Any] = {
        "host": "box",
        "pid": 42,
        "pid_started": 1.5,
        "boot_id": "boot",
        "user": "ana",
        "started_by": "console",
        "scope": "engine",
        "epoch": 0,
        "acquired_at": T0,
        "expires_at": at(seconds),
    }
    return Lease(holder=holder, **(base | fields))


def started(store: SqlStateStore, *tasks: TaskExecution, **fields: Any) -> PipelineRun:
    """A run with these tasks, committed."""
    begun = run(state=RunState.RUNNING, **fields)
    store.commit(
        Changes(versions=[version()], new_runs=[begun], new_executions=list(tasks), events=[event("run.started")]),
        f"start-{begun.run_id}",
    )
    return begun
