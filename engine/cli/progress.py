"""Progress of runs while they are carried: live on a terminal, a line per ended task elsewhere.

Law: progress goes to stderr, so the answer on stdout stays clean; it reads events and, on a terminal only, the
store, seldom enough that the engine does not feel it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from engine.cli.output import amount
from engine.cli.session import Session
from engine.client.names import label
from engine.client.text import clean, shorten
from engine.model.event import Event
from engine.model.run import TaskExecution, TaskState

_NOTABLE = {"SUCCESS": "✓", "FAILED": "✗", "RETRYING": "↻", "SKIPPED": "⊘", "CANCELLED": "⊘"}
_ROWS = 8
_REFRESH_SECONDS = 0.25


class Progress(Protocol):
    """Told of events; shows them somehow."""

    def take(self, events: Sequence[Event]) -> None:
        """What happened since the last call; may be nothing."""

    def say(self, text: str) -> None:
        """A message in between."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_for(session: Session, run_ids: Sequence[str]) -> Progress:
    """What suits the place that stderr goes to."""
    import sys

    if sys.stderr.isatty():
        return _Live(session, run_ids)
    return _Lines(session, run_ids)


class _Lines:
    """One line per task that ended or is tried again."""

    def __init__(self, session: Session, run_ids: Sequence[str]) -> None:
        self._out = session.out
        self._runs = frozenset(run_ids)

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            glyph = _NOTABLE.get(str(event.payload.get("to", "")))
            if event.run_id in self._runs and event.type == "task.state" and glyph and event.task_id:
                name = label(event.task_id, event.payload.get("map_index"))
                self._out.remark(f"{glyph} {name} {event.payload['to']}")

    def say(self, text: str) -> None:
        self._out.remark(f"penstock: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Live:
    """A few lines that are rewritten: a bar per run, and what runs or waits for a retry."""

    def __init__(self, session: Session, run_ids: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._queries = session.client.queries
        self._run_ids = tuple(run_ids)
        self._now: Callable[[], Any] = session.client.clock.now
        self._note = ""
        self._shown = 0.0
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def take(self, events: Sequence[Event]) -> None:
        moment = time.monotonic()
        if moment - self._shown >= _REFRESH_SECONDS:
            self._live.update(self._picture(), refresh=True)
            self._shown = max(moment, moment + 10 * (time.monotonic() - moment))

    def say(self, text: str) -> None:
        self._note = text
        self._shown = 0.0
        self.take(())

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _picture(self) -> Any:
        from rich.text import Text

        lines = [line for run_id in self._run_ids for line in self._lines(run_id)]
        return Text("\n".join([*lines, self._note] if self._note else lines), no_wrap=True, overflow="ellipsis")

    def _lines(self, run_id: str) -> list[str]:
        executions = self._queries.executions(run_id)
        done = sum(each.state.terminal for each in executions)
        failed = sum(each.state is TaskState.FAILED for each in executions)
        width = 24
        full = width * done // max(len(executions), 1)
        tail = f", {failed} failed" if failed else ""
        lines = [f"{'█' * full}{'░' * (width - full)} {done}/{len(executions)} tasks{tail}  {run_id}"]
        active = [each for each in executions if each.state in (TaskState.RUNNING, TaskState.RETRYING)]
        lines += [self._line(each) for each in active[:_ROWS]]
        return [*lines, f"  and {len(active) - _ROWS} more"] if len(active) > _ROWS else lines

    def _line(self, execution: TaskExecution) -> str:
        name = shorten(clean(label(execution.task_id, execution.map_index)), 40)
        if execution.state is TaskState.RETRYING:
            until = execution.next_retry_at
            left = f" in {max(0, round((until - self._now()).total_seconds()))} s" if until else ""
            return f"  ↻ {name}  attempt {execution.attempt_count + 1}{left}"
        since = execution.started_at
        took = f" {round((self._now() - since).total_seconds())} s" if since else ""
        return f"  ◉ {name}{took}{_share(execution)}"


def _share(execution: TaskExecution) -> str:
    done, total = execution.progress.get("done"), execution.progress.get("total")
    unit = clean(str(execution.progress.get("unit", "")))
    if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
        return f"  {100 * done / total:.0f}% ({amount(done)} of {amount(total)} {unit})"
    return f"  {amount(done)} {unit}" if isinstance(done, int | float) else ""
