"""The top line: the workspace's vital signs, in words where something is wrong.

Law: it never lies. No reading, an old reading, no engine: each is said first, and what was counted is then said
to be as of when. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

from console.present.cells import Cell, cell, width_of
from console.present.times import counted
from console.state import State
from console.theme import Look
from engine.layout.cells import clip

_DISK_FULL = 90


def vital_line(state: State, name: str, now: datetime, look: Look, width: int = 200) -> list[Cell]:
    """Trouble comes first; where there is little room the words get shorter, and the program's name goes."""
    parts = _parts(state, now, look)
    long = _joined([Cell("penstock", "strong"), cell(name), *parts], look)
    if width_of(long) <= width:
        return long
    return _joined([Cell(clip(cell(name).text, 16, look.chars), "strong"), *map(_shorter, parts)], look)


def _joined(parts: list[Cell], look: Look) -> list[Cell]:
    line = [Cell(" ")]
    for i, part in enumerate(parts):
        line += [Cell(f" {look.dot} ", "dim"), part] if i else [part]
    return line


def _shorter(part: Cell) -> Cell:
    text = part.text
    if "no engine" in text:
        return part
    for long, short in (
        ("dead letters", "dead"),
        ("dead letter", "dead"),
        ("running", "run"),
        (" engine leads", " engine"),
    ):
        text = text.replace(long, short)
    return Cell(text, part.tone)


def clock(now: datetime) -> str:
    """The time at the right end."""
    return f"{now.astimezone(UTC):%H:%M} UTC "


def _parts(state: State, now: datetime, look: Look) -> list[Cell]:
    if state.trouble is not None:
        return [_bad(f"state unreadable{_as_of(state)}: {state.trouble}", look)]
    if state.read_at is None:
        return [Cell("opening" + look.ellipsis, "dim")]
    if not state.live(now):
        return [_bad(f"not live: nothing could be read since {state.read_at.astimezone(UTC):%H:%M:%S}", look)]
    only = [Cell("read-only", "warn")] if state.read_only else []  # early: the end is what is cut
    return [_engine(state, look), *only, *_counts(state)]


def _engine(state: State, look: Look) -> Cell:
    leader = state.leader
    if leader is not None and leader.scope == "engine":
        return Cell(f"{look.chars.state('RUNNING')} engine leads", "ok")
    if leader is not None:
        what = "one command" if leader.scope == "command" else "`penstock run`"
        return Cell(f"{look.chars.state('RUNNING')} engine of {what} only, pid {leader.pid}", "warn")
    if state.starting:
        return Cell("engine is starting" + look.ellipsis, "warn")
    if state.engine_trouble is not None:
        return Cell(f"{look.chars.state('FAILED')} no engine: {cell(state.engine_trouble).text}", "bad")
    still = f", {counted(state.active, 'run')} stand still" if state.active > 1 else ""
    still = ", 1 run stands still" if state.active == 1 else still
    return Cell(f"{look.chars.state('FAILED')} no engine leads{still}", "bad")


def _counts(state: State) -> list[Cell]:
    queued = state.tasks.get("QUEUED", 0) + state.tasks.get("RETRYING", 0)
    letters = sum(state.letters.values())
    parts = [Cell(f"{state.runs.get('RUNNING', 0)} running")]
    if state.runs.get("PENDING"):
        parts.append(Cell(f"{state.runs['PENDING']} pending"))
    parts.append(Cell(f"{queued} queued"))
    if letters:
        parts.append(Cell(counted(letters, "dead letter"), "bad"))
    if state.disk is not None:
        parts.append(Cell(f"disk {state.disk} %", "bad" if state.disk >= _DISK_FULL else ""))
    return parts


def _bad(text: str, look: Look) -> Cell:
    return Cell(f"{look.chars.state('FAILED')} {cell(text).text}", "bad")


def _as_of(state: State) -> str:
    return f", shown as of {state.read_at.astimezone(UTC):%H:%M:%S}" if state.read_at is not None else ""
