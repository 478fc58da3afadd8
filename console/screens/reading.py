"""Reads a run for the views that show it: all of it, or what moved since the last time.

Law: called in threads. Everything is bounded, the pinned definition of a run is read once, and a run of thousands
of tasks is not read whole because one of them moved: only now and then, as what a task waits for moves no event.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from console.messages import Batch
from console.present.rundetail import RunDetail
from console.present.tasks import EventRow, TaskRow, event_rows, overlay, overlays, task_rows
from engine.layout.values import Overlay
from engine.model.errors import PenstockError
from engine.model.pipeline import Pipeline

if TYPE_CHECKING:
    from engine.client import Client

MOST_EVENTS = 50_000  # of one run that are shown
_WINDOW = 5_000  # events read at a time
_MOST_MOVED = 500  # tasks; more are read with all the others
_WHOLE_SECONDS = 5.0  # between two readings of everything while tasks move
_WHOLE_TIMES = 20.0  # or so many times as long as one took


def read(client: Client, run_id: str, known: Pipeline | None) -> RunDetail:
    """The run; its pinned definition is read once."""
    queries = client.queries
    _, run, executions, verdicts = queries.snapshot(run_id)
    detail = RunDetail(
        run=run,
        executions=executions,
        verdicts=verdicts,
        attempts=queries.attempts(run_id),
        pipeline=known,
        medians=queries.task_seconds(run.pipeline_id),
    )
    return detail if known is not None else replace(detail, pipeline=client.pinned(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A run as it is now, and what is new about it."""

    detail: RunDetail
    tasks: Collection[str] | None  # that may look new; None: all
    rows: list[TaskRow]  # of the tree, that look new
    gone: list[str]  # rows that are no more
    overlays: Mapping[str, Overlay]


class RunReader:
    """One run, read again and again; `note` is for the event loop, `read` for threads, one at a time."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._lock = Lock()
        self._moved: set[str] = set()
        self._whole = True  # all of it has to be read
        self._detail: RunDetail | None = None
        self._rows: dict[str, TaskRow] = {}
        self._overlays: dict[str, Overlay] = {}
        self._read_at = 0.0
        self._took = 0.0

    def note(self, batch: Batch) -> bool:
        """What the events mean for the next reading; whether there is something to read."""
        mine = [each for each in batch.events if each.run_id == self.run_id]
        with self._lock:
            self._moved.update(each.task_id for each in mine if each.task_id is not None)
            self._whole = self._whole or batch.lost or any(each.task_id is None for each in mine)
        return batch.lost or bool(mine)

    def forget(self) -> None:
        """All of it the next time: somebody asked."""
        with self._lock:
            self._whole = True

    def read(self, client: Client) -> News:
        """As it is now."""
        with self._lock:
            moved, self._moved = self._moved, set()
            whole, self._whole = self._whole, False
        try:
            known, began = self._detail, time.monotonic()
            due = self._read_at + max(_WHOLE_SECONDS, _WHOLE_TIMES * self._took)
            if known is not None and not whole and began < due and len(moved) <= _MOST_MOVED:
                part = known.moved(*client.queries.part(self.run_id, sorted(moved)))
                if part is not None:
                    return self._news(part, moved, client)
            fresh = read(client, self.run_id, known.pipeline if known is not None else None)
            fresh = fresh.ready(known)
            self._read_at, self._took = time.monotonic(), time.monotonic() - began
            return self._news(fresh, None, client)
        except (PenstockError, OSError):
            self.forget()
            raise

    def _news(self, detail: RunDetail, tasks: set[str] | None, client: Client) -> News:
        self._detail = detail
        now = client.clock.now()
        rows = {each.name: each for each in task_rows(detail, tasks)}
        fresh = [each for name, each in rows.items() if self._rows.get(name) != each]
        gone: list[str] = []
        if tasks is None:
            gone = [name for name in self._rows if name not in rows]
            self._rows, self._overlays = rows, overlays(detail, now)
        else:
            self._rows.update(rows)
            moved = {task: overlay(detail.of(task), detail, now) for task in tasks if task in detail.by_task}
            self._overlays = self._overlays | moved
        return News(detail=detail, tasks=tasks, rows=fresh, gone=gone, overlays=self._overlays)


def read_events(client: Client, run_id: str, known: int) -> list[EventRow]:
    """What happened to the run after the first `known` events, a window of it."""
    limit = min(_WINDOW, MOST_EVENTS - known)
    return event_rows(client.queries.transitions(run_id, limit=limit, skip=known), known) if limit > 0 else []
