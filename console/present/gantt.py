"""A run over time: one bar per task from what its attempts did, on one scale. Pure.

Law: a bar says everything by its glyphs (waiting, running, failed, on the critical path, now), so that it survives
monochrome and ASCII; colours only repeat it. The scale moves in jumps, so that a bar that did not grow by a cell
is not painted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from typing import NamedTuple

from rich.segment import Segment

from console.present.cells import Cell
from console.present.filters import Facts
from console.present.rundetail import RunDetail
from console.present.tasks import TaskRow, task_facts, task_rows
from console.present.times import brief
from console.theme import Look, style
from engine.client.names import label
from engine.model.run import Attempt, AttemptState, TaskExecution, TaskState

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800)
_TICK_CELLS = 12  # between two marks of the axis
_HEADROOM = 1.25  # how far ahead the scale of a live run reaches when it has to move
_BAD = (AttemptState.FAILED, AttemptState.LOST, AttemptState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One cell of each kind."""

    wait: str
    retry: str
    run: str
    critical: str
    failed: str
    now: str


_UNICODE = Glyphs("┄", "~", "━", "█", "▒", "│")
_ASCII = Glyphs(".", "~", "=", "#", "x", "|")


class Piece(NamedTuple):
    """A stretch of time; without an end it goes on."""

    kind: str  # wait, retry, run, failed
    start: float
    end: float | None


class GanttRow(NamedTuple):
    """One task (or item)."""

    name: str
    task_id: str
    place: int
    state: str
    critical: bool
    pieces: tuple[Piece, ...]
    seconds: float | None  # of attempts that ended
    running: float | None  # since when the live one runs
    facts: Facts


class Scale(NamedTuple):
    """From when to when."""

    start: float
    end: float


def glyphs(look: Look) -> Glyphs:
    """What a terminal can show."""
    return _ASCII if look.plain else _UNICODE


def gantt_rows(detail: RunDetail, names: Collection[str] | None = None) -> list[GanttRow]:
    """In the order of the tree: upstream first. Of some tasks, or of all."""
    path = set(detail.critical)
    tried: dict[tuple[str, int | None], list[Attempt]] = {}
    for attempt in detail.attempts:
        if not attempt.poke and (names is None or attempt.task_id in names):
            tried.setdefault((attempt.task_id, attempt.map_index), []).append(attempt)
    of = detail.executions if names is None else [each for name in names for each in detail.of(name)]
    by_name = {label(each.task_id, each.map_index): each for each in of}
    return [_row(row, by_name[row.name], tried, row.task_id in path) for row in task_rows(detail, names)]


def _row(
    row: TaskRow,
    execution: TaskExecution,
    tried: Mapping[tuple[str, int | None], Sequence[Attempt]],
    critical: bool,
) -> GanttRow:
    found = pieces(execution, tried.get((execution.task_id, execution.map_index), ()))
    ran = [each for each in found if each.kind in ("run", "failed")]
    ended = [each.end - each.start for each in ran if each.end is not None]
    return GanttRow(
        row.name,
        row.task_id,
        row.place,
        row.state,
        critical,
        found,
        sum(ended) if ended else None,
        next((each.start for each in ran if each.end is None), None),
        task_facts(row),
    )


def pieces(execution: TaskExecution, attempts: Sequence[Attempt]) -> tuple[Piece, ...]:
    """Waiting, trying, waiting to try again. Attempts of executions that a retry replaced stand where they were."""
    out: list[Piece] = []
    at = execution.queued_at
    kind = "wait"
    for attempt in sorted(attempts, key=lambda each: (each.submitted_at, each.number)):
        begin = attempt.started_at or attempt.submitted_at
        own = attempt.execution_id == execution.execution_id
        if own and at is not None and begin > at:
            out.append(Piece(kind, at.timestamp(), begin.timestamp()))
        end = attempt.completed_at or (execution.completed_at if own else begin)
        bad = attempt.state in _BAD
        out.append(Piece("failed" if bad else "run", begin.timestamp(), end.timestamp() if end else None))
        if own:
            at, kind = end, "retry"
    if not attempts and execution.started_at is not None:
        return _without_attempts(execution, execution.started_at)
    if execution.state in (TaskState.QUEUED, TaskState.RETRYING) and at is not None:
        out.append(Piece(kind, at.timestamp(), None))
    elif kind == "wait" and at is not None and execution.completed_at is not None:
        out.append(Piece(kind, at.timestamp(), execution.completed_at.timestamp()))
    return tuple(out)


def _without_attempts(execution: TaskExecution, begin: datetime) -> tuple[Piece, ...]:
    """A task that is another run has no process of its own."""
    end = execution.completed_at.timestamp() if execution.completed_at is not None else None
    kind = "failed" if execution.state in (TaskState.FAILED, TaskState.CANCELLED) else "run"
    ran = Piece(kind, begin.timestamp(), end)
    queued = execution.queued_at
    return (Piece("wait", queued.timestamp(), ran.start), ran) if queued is not None else (ran,)


def scale(rows: Iterable[GanttRow], detail: RunDetail, now: datetime, before: Scale | None = None) -> Scale:
    """What has to be in view; a live run's scale stays as it is until the run outgrows it."""
    run = detail.run
    begin = (run.started_at or run.triggered_at).timestamp()
    live = not run.state.terminal
    last = now if live else run.completed_at or now
    times = [time for row in rows for piece in row.pieces for time in (piece.start, piece.end) if time is not None]
    start = min([begin, *times])
    end = max([last.timestamp(), start + 1.0, *times])
    if not live:
        return Scale(start, end)
    if before is not None and before.start == start and before.end >= end:
        return before
    usual = sum(detail.medians.get(each, 0.0) for each in detail.critical)
    return Scale(start, max(start + usual, start + (end - start) * _HEADROOM))


def bar(row: GanttRow, along: Scale, width: int, now: datetime, look: Look, *, live: bool) -> str:
    """Exactly `width` cells."""
    signs = glyphs(look)
    cells = [" "] * width
    if width <= 0:
        return ""
    moment = now.timestamp()
    if live:
        cells[_cell(moment, along, width)] = signs.now
    looks = {
        "wait": signs.wait,
        "retry": signs.retry,
        "failed": signs.failed,
        "run": signs.critical if row.critical else signs.run,
    }
    for piece in sorted(row.pieces, key=lambda each: each.kind in ("run", "failed")):
        first = _cell(piece.start, along, width)
        end = moment if piece.end is None else piece.end
        last = max(first + 1, min(width, ceil((end - along.start) / (along.end - along.start) * width)))
        cells[first:last] = [looks[piece.kind]] * (last - first)
    return "".join(cells)


def _cell(moment: float, along: Scale, width: int) -> int:
    return max(0, min(width - 1, floor((moment - along.start) / (along.end - along.start) * width)))


def axis(along: Scale, width: int) -> str:
    """The start as clock time, then marks after so and so long; exactly `width` cells."""
    seconds = along.end - along.start
    step = next((each for each in _STEPS if each / seconds * width >= _TICK_CELLS), _STEPS[-1])
    text = f"{datetime.fromtimestamp(along.start, UTC):%H:%M:%S}"[:width].ljust(width)
    for at in range(step, ceil(seconds), step):
        place = floor(at / seconds * width)
        mark = f"+{at}s" if at < 60 else "+" + brief(at).removesuffix("00")
        if place >= 9 and place + len(mark) <= width:
            text = text[:place] + mark + text[place + len(mark) :]
    return text


def painted(text: str, tone: str, look: Look) -> list[Segment]:
    """A bar in colours, glyph by glyph; what runs has the tone of its task's state."""
    signs = glyphs(look)
    run = "ok" if tone == "bad" else tone  # of a failed task, tries that did not fail
    tones = {signs.wait: "queue", signs.retry: "warn", signs.failed: "bad", signs.now: "accent"}
    out: list[Segment] = []
    begin = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or text[i] != text[begin]:
            glyph = text[begin]
            out.append(Segment(text[begin:i], style("" if glyph == " " else tones.get(glyph, run))))
            begin = i
    return out


def legend(look: Look) -> list[Cell]:
    """What the glyphs mean."""
    signs = glyphs(look)
    parts = (
        (signs.wait, "queue", "queued"),
        (signs.run, "ok", "runs"),
        (signs.critical, "ok", "on the critical path"),
        (signs.failed, "bad", "failed"),
        (signs.retry, "warn", "waits to retry"),
        (signs.now, "accent", "now"),
    )
    return [
        Cell(" "),
        *(cell for sign, tone, text in parts for cell in (Cell(sign, tone), Cell(f" {text}  ", "dim"))),
    ]
