"""`on:` hooks: the engine tells others, so that a killed process cannot lose a failure message.

Law: a hook fires once per run and event, is written in the commit of what caused it, and is sent afterwards by a
thread of its own, at least once. What could not be sent is an event too.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.model.errors import PenstockError, TaskFailure
from engine.model.event import Event
from engine.model.pipeline import Hook
from engine.model.run import RunState, TaskExecution, TaskState
from engine.ports import failpoint
from engine.rules.context import iso
from engine.rules.snapshot import Draft, RunSnapshot
from engine.runtime.desk import Desk

TRIES = 3


class Hooks:
    """Finds the hooks that a decision fires and writes them down."""

    def __init__(self, desk: Desk, send: Callable[[Event], None]) -> None:
        self.desk = desk
        self.send = send
        self._fired: dict[str, set[str]] = {}
        desk.followers.decided.append(self._decided)
        desk.followers.run_ended.append(self._forget)

    def _forget(self, snapshot: RunSnapshot) -> None:
        self._fired.pop(snapshot.run.run_id, None)

    def _decided(self, snapshot: RunSnapshot, draft: Draft) -> None:
        pipeline = snapshot.pipeline
        for key in draft.failed:
            self._fire(snapshot, key[0], "failure", snapshot.tasks[key[0]].on.failure, snapshot.executions[key])
        for key in draft.retrying:
            self._fire(snapshot, key[0], "retry", snapshot.tasks[key[0]].on.retry, snapshot.executions[key])
            self._fire(snapshot, "", "retry", pipeline.on.retry, snapshot.executions[key])
        for row in draft.transitions:
            key = (row.task_id, row.map_index)
            if (
                row.to_state is TaskState.SUCCESS
                and snapshot.tasks[row.task_id].on.success
                and key in snapshot.executions
            ):
                hooks = snapshot.tasks[row.task_id].on.success
                self._fire(snapshot, row.task_id, "success", hooks, snapshot.executions[key])
        if draft.ended and draft.run.state is RunState.FAILED:
            self._fire(snapshot, "", "failure", pipeline.on.failure, _first_failure(snapshot))
        elif draft.ended and draft.run.state is RunState.SUCCESS:
            self._fire(snapshot, "", "success", pipeline.on.success, None)

    def _fire(
        self, snapshot: RunSnapshot, task_id: str, event: str, hooks: tuple[Hook, ...], about: TaskExecution | None
    ) -> None:
        if not hooks:
            return
        run_id = snapshot.run.run_id
        fired = self._fired.get(run_id)
        if fired is None:
            fired = self._fired[run_id] = set(self.desk.tools.store.fired_hooks(run_id))
        for number, hook in enumerate(hooks):
            name = f"{run_id}:{task_id}:{event}:{number}"
            if name in fired:
                continue
            fired.add(name)
            row = Event(
                type="hook.due",
                at=self.desk.now,
                pipeline_id=snapshot.run.pipeline_id,
                run_id=run_id,
                task_id=task_id or None,
                correlation_id=name,
                payload={
                    "hook": asdict(hook),
                    "event": event,
                    "profile": snapshot.run.profile,
                    "facts": facts(snapshot, event, about),
                },
            )
            self.desk.batch.event(row)
            self.desk.batch.after.append(lambda row=row: self.send(row))  # type: ignore[misc]  # bound now, called later


def facts(snapshot: RunSnapshot, event: str, about: TaskExecution | None) -> Mapping[str, Any]:
    """What a hook's templates can name."""
    run = snapshot.run
    error = about.error if about else None
    return {
        "event": {"type": event},
        "pipeline_id": run.pipeline_id,
        "run_id": run.run_id,
        "state": run.state.value,
        "logical_date": iso(run.logical_date),
        "ds": run.logical_date.strftime("%Y-%m-%d"),
        "params": dict(run.parameters),
        "task_id": about.task_id if about else None,
        "attempt": about.attempt_count if about else None,
        "error": {"type": error.type, "kind": error.kind.value, "message": error.message} if error else None,
    }


def _first_failure(snapshot: RunSnapshot) -> TaskExecution | None:
    ended = [e for e in snapshot.executions.values() if e.state is TaskState.FAILED and e.completed_at]
    return min(ended, key=lambda e: (e.completed_at, e.task_id), default=None)


@dataclass(frozen=True, slots=True)
class HookSent:
    """The outbox's report: how sending one hook ended."""

    event: Event
    problem: str | None


class Outbox:
    """Sends hooks on a thread of its own."""

    def __init__(self, deliver: Callable[[Event], None], report: Callable[[HookSent], None]) -> None:
        self._deliver = deliver
        self._report = report
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def post(self, event: Event) -> None:
        """Send it soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_for_ever, name="outbox", daemon=True)
            self._thread.start()
        self._queue.put(event)

    def close(self, seconds: float = 5.0) -> None:
        """Send what is waiting, for so long; the rest is sent by the next engine."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=seconds)
            self._stop.set()

    def _send_for_ever(self) -> None:
        while (event := self._queue.get()) is not None:
            failpoint.hit("hooks.before_send")
            problem = self._send(event)
            failpoint.hit("hooks.after_send")
            self._report(HookSent(event, problem))

    def _send(self, event: Event) -> str | None:
        problem: str | None = None
        for number in range(TRIES):
            if number and self._stop.wait(min(2.0**number, 10.0)):
                break
            try:
                self._deliver(event)
            except (TaskFailure, PenstockError, OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {str(error)[:500]}"
            else:
                return None
        return problem
