"""A run that was, as a tape: what changed when, wound forward and backward. Pure.

Law: the tape holds each change once, with what was there before and after; winding from one place to another
costs the changes between them and nothing else. States at a place are always what they were at that time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from console.present.cells import Cell, Line, cell
from console.present.states import state_cell
from console.present.times import counted, span
from console.theme import Look
from engine.client.names import label
from engine.layout.values import Overlay
from engine.model.run import PipelineRun, TaskExecution, Transition

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
_PLAYED_IN = 30.0  # seconds a run takes to be played at the speed it begins with
_WORST_FIRST = ("FAILED", "RETRYING", "RUNNING", "QUEUED", "WAITING", "PENDING", "CANCELLED", "SKIPPED", "SUCCESS")
_ENDED = ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")
_RAMP, _PLAIN_RAMP = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_NAMED = 6  # running tasks named beside their number

Key = tuple[str, int | None]  # task and map index


class Change(NamedTuple):
    """One change of one task (or item). None: it was not there."""

    at: float
    key: Key
    before: str | None
    after: str | None
    said: str


class Tape:
    """The changes of one run, and where it is wound to. A place is how many changes have happened."""

    def __init__(self, run: PipelineRun, executions: Sequence[TaskExecution], moves: Sequence[Transition]) -> None:
        self.run = run
        self.changes = _changes(executions, moves)
        self._times = [each.at for each in self.changes]
        begin = run.triggered_at.timestamp()
        self.start = min(begin, self._times[0]) if self._times else begin
        end = run.completed_at.timestamp() if run.completed_at is not None else self.start
        self.end = max([end, self.start + 0.001, *self._times[-1:]])
        self.now = self.start
        self._place = 0
        self._load: list[int] = []  # made once for a width
        self._states: dict[Key, str] = {}
        self._by_task: dict[str, dict[Key, str]] = {}
        self.wind(self.start)

    # ---- winding

    def wind(self, at: float) -> None:
        """To a time; what happened in that very moment has happened."""
        self.now = max(self.start, min(self.end, at))
        self._to(bisect_right(self._times, self.now))

    def step(self, by: int) -> None:
        """To the next or the last moment in which something changed."""
        if by > 0:
            at = self._times[self._place] if self._place < len(self._times) else self.end
        else:
            here = self._times[self._place - 1] if self._place else self.start
            first = self._first_of(here)
            at = here if here < self.now else self._times[first - 1] if first else self.start
        self.wind(at)

    def _first_of(self, at: float) -> int:
        place = self._place
        while place and self._times[place - 1] >= at:
            place -= 1
        return place

    def _to(self, place: int) -> None:
        while self._place < place:
            change = self.changes[self._place]
            self._set(change.key, change.after)
            self._place += 1
        while self._place > place:
            self._place -= 1
            change = self.changes[self._place]
            self._set(change.key, change.before)

    def _set(self, key: Key, state: str | None) -> None:
        items = self._by_task.setdefault(key[0], {})
        if state is None:
            self._states.pop(key, None)
            items.pop(key, None)
        else:
            self._states[key] = items[key] = state

    # ---- what is there now

    @property
    def states(self) -> Mapping[Key, str]:
        """Every task's state at this place."""
        return self._states

    @property
    def last(self) -> Change | None:
        """What happened last."""
        return self.changes[self._place - 1] if self._place else None

    @property
    def at_end(self) -> bool:
        """Whether nothing follows."""
        return self.now >= self.end

    def overlays(self) -> dict[str, Overlay]:
        """One per task, the worst state of its items first."""
        found = {}
        for task_id, items in self._by_task.items():
            if items:
                worst = min(items.values(), key=_WORST_FIRST.index)
                ended = sum(each in _ENDED for each in items.values())
                found[task_id] = Overlay(state=worst, suffix=f"{ended}/{len(items)}" if len(items) > 1 else "")
        return found

    def running(self) -> list[str]:
        """Who has a slot."""
        return [label(*key) for key, state in self._states.items() if state == "RUNNING"]

    def count(self, *states: str) -> int:
        """How many are in one of these states."""
        return sum(each in states for each in self._states.values())

    def load(self, width: int) -> Sequence[int]:
        """The most that ran at once, in each of so many equal parts of the time."""
        if width == len(self._load):
            return self._load
        most = [0] * width
        ran, part = 0, 0
        for change in self.changes:
            here = min(width - 1, int((change.at - self.start) / (self.end - self.start) * width))
            for between in range(part, here + 1):
                most[between] = max(most[between], ran)
            part = here
            ran += (change.after == "RUNNING") - (change.before == "RUNNING")
            most[here] = max(most[here], ran)
        for after in range(part + 1, width):
            most[after] = ran
        self._load = most
        return most

    def speed(self) -> float:
        """One at which the whole run takes about half a minute."""
        wanted = (self.end - self.start) / _PLAYED_IN
        return next((each for each in SPEEDS if each >= wanted), SPEEDS[-1])


def _changes(executions: Sequence[TaskExecution], moves: Sequence[Transition]) -> list[Change]:
    """Executions come as they are made, and replace older ones of their task; items replace what stood for all."""
    raw: list[tuple[float, int, Key, str | None, str]] = []
    indexed: dict[str, float] = {}
    for each in executions:
        at = each.created_at.timestamp()
        raw.append((at, 0, (each.task_id, each.map_index), "PENDING", "made"))
        if each.map_index is not None:
            indexed[each.task_id] = min(at, indexed.get(each.task_id, at))
    stood = {each.task_id for each in executions if each.map_index is None}
    raw += [(at, 0, (task_id, None), None, "expanded") for task_id, at in indexed.items() if task_id in stood]
    for move in moves:
        said = move.message or move.event.value.replace("_", " ").lower()
        raw.append((move.at.timestamp(), 1, (move.task_id, move.map_index), move.to_state.value, said))
    raw.sort(key=lambda each: each[:2])
    now: dict[Key, str | None] = {}
    changes = []
    for at, _, key, after, said in raw:
        if key[1] is None and key[0] in indexed and at >= indexed[key[0]] and after is not None:
            continue  # what stood for all items is gone
        changes.append(Change(at, key, now.get(key), after, said))
        now[key] = after
    return changes


# ---- lines


def head(tape: Tape, look: Look) -> list[Cell]:
    """The run, and when it is."""
    at = datetime.fromtimestamp(tape.now, UTC)
    done = f"{tape.count(*_ENDED)}/{counted(len(tape.states), 'task')}"
    return [
        Cell(" "),
        state_cell(tape.run.state.value, look) if tape.at_end else Cell("replay", "accent"),
        Cell(f"  {at:%Y-%m-%d %H:%M:%S}", "strong"),
        Cell(f"  +{span(tape.now - tape.start)} of {span(tape.end - tape.start)}  {done}"),
    ]


def slots(tape: Tape, look: Look) -> list[Cell]:
    """Who has a slot, and who wants one."""
    running = tape.running()
    line = [Cell(" "), Cell(look.chars.state("RUNNING"), "run"), Cell(f" {counted(len(running), 'slot')} ")]
    line += [cell(", ".join(running[:_NAMED]), "run")]
    if len(running) > _NAMED:
        line.append(Cell(f" and {len(running) - _NAMED}", "dim"))
    for state in ("QUEUED", "RETRYING", "FAILED"):
        if count := tape.count(state):
            line += [Cell("   "), state_cell(state, look), Cell(f" {count}")]
    return line


def happened(tape: Tape, look: Look) -> Line:
    """The last change."""
    last = tape.last
    if last is None or last.after is None:
        return [Cell(" ")]
    return [
        Cell(" "),
        cell(label(*last.key), "strong"),
        Cell(" "),
        state_cell(last.after, look),
        Cell("  "),
        cell(last.said, "dim"),
    ]


def timeline(tape: Tape, width: int, look: Look) -> tuple[str, int]:
    """How many ran over the whole time, one cell each, and the cell in which it is now."""
    ramp = _PLAIN_RAMP if look.plain else _RAMP
    load = tape.load(width)
    most = max(load, default=0)
    text = "".join(" " if not each else ramp[max(0, round(each / most * len(ramp)) - 1)] for each in load)
    return text, min(width - 1, int((tape.now - tape.start) / (tape.end - tape.start) * width))
