"""Dead letters as cells: rows of groups, rows of letters, the parts of one letter. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from console.present.cells import Cell, Line, cell, labelled, lines
from console.present.columns import Column
from console.present.filters import Facts
from console.present.times import ago, coarse, counted, stamp
from console.theme import Look
from engine.client.names import label
from engine.client.values import LetterGroup
from engine.model.errors import Queue
from engine.model.run import Attempt, DeadLetter, LetterStatus

QUEUES = tuple(each.value for each in Queue)
GROUP_FIELDS = ("queue", "pipeline", "task", "kind", "type", "message", "run")
LETTER_FIELDS = ("status", "pipeline", "task", "message", "run", "by")
_STATUS = {
    "new": Cell("! new", "bad"),
    "in_progress": Cell("~ in progress", "warn"),
    "requeued": Cell("> requeued", "ok"),
    "discarded": Cell("x discarded", "dim"),
}
_MOST_LINES = 400  # of one value
_LONG = 100  # characters of a list or mapping that stays on one line
_OPEN = (LetterStatus.NEW, LetterStatus.IN_PROGRESS)


class LetterRow(NamedTuple):
    """What lists keep of a letter."""

    id: str
    status: str
    pipeline_id: str
    name: str
    run_id: str
    message: str
    failed_at: datetime
    attempts: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDetail:
    """All that the view of a letter shows, read together."""

    letter: DeadLetter
    attempts: Sequence[Attempt] = ()
    alike: Mapping[str, Any] = field(default_factory=dict)  # first_seen, last_seen, count
    below: Sequence[str] = ()  # tasks that its failure had skipped


def status_cell(status: str) -> Cell:
    """A sign and a word before it is a colour."""
    return _STATUS.get(status, Cell(status))


def is_open(letter: DeadLetter) -> bool:
    """Whether anything can still be done with it."""
    return letter.status in _OPEN


def claimant(letter: DeadLetter) -> tuple[str, str] | None:
    """Who works on it, and since when."""
    if letter.status is not LetterStatus.IN_PROGRESS or not letter.history:
        return None
    last = letter.history[-1]
    return str(last.get("actor", "")), str(last.get("at", ""))


def first_line(message: str) -> str:
    """As lists show it."""
    return (message.strip().splitlines() or [""])[0][:300]


def letter_row(letter: DeadLetter) -> LetterRow:
    """What lists keep of it."""
    by = claimant(letter)
    return LetterRow(
        letter.id,
        letter.status.value,
        letter.pipeline_id,
        label(letter.task_id, letter.map_index),
        letter.run_id,
        first_line(letter.message),
        letter.failed_at,
        letter.attempts,
        by[0] if by is not None else "",
    )


def tasks_named(group: LetterGroup) -> str:
    """`orders/load`, or the first and how many more; of a single letter the item too."""
    pipeline_id, task_id = group.tasks[0]
    if group.count == 1:
        return f"{pipeline_id}/{label(task_id, group.map_index)}"
    more = group.task_count - 1
    return f"{pipeline_id}/{task_id}" + (f" and {more} more" if more else "")


def seen(group: LetterGroup, now: datetime) -> str:
    """`12 s ago`, or first to last: `3 d to 12 s ago`. Letters that were closed count for the first."""
    last = ago(group.last_seen, now)
    first = coarse((now - group.first_seen).total_seconds())
    return f"{first} to {last}" if group.seen > 1 and not last.startswith(f"{first} ") else last


def group_facts(group: LetterGroup) -> Facts:
    """What a filter sees; its time is when it was last seen."""
    fields = {
        "queue": group.queue,
        "pipeline": " ".join(dict.fromkeys(each for each, _ in group.tasks)),
        "task": " ".join(dict.fromkeys(each for _, each in group.tasks)),
        "kind": group.kind,
        "type": group.error_type,
        "message": group.message,
        "run": group.run_id,
    }
    return fields, group.last_seen


def letter_facts(row: LetterRow) -> Facts:
    """What a filter sees."""
    fields = {
        "status": row.status,
        "pipeline": row.pipeline_id,
        "task": row.name,
        "message": row.message,
        "run": row.run_id,
        "by": row.by,
    }
    return fields, row.failed_at


def group_columns() -> list[Column[LetterGroup]]:
    """The table of groups."""
    return [
        Column(
            name="count", title="open", width=5, right=True, cell=lambda g, now: Cell(f"{g.count:,}", "strong"),
            sort=lambda g: g.count,
        ),
        Column(
            name="queue", title="queue", width=12, cell=lambda g, now: cell(g.queue, "queue"),
            sort=lambda g: g.queue,
        ),
        Column(
            name="task", title="task", width=20, grow=2, middle=True,
            cell=lambda g, now: cell(tasks_named(g), "strong"), sort=lambda g: tasks_named(g),
        ),
        Column(
            name="kind", title="kind", width=16, rank=7, cell=lambda g, now: cell(g.kind, "bad"),
            sort=lambda g: g.kind,
        ),
        Column(
            name="message", title="error", width=17, grow=4, cell=lambda g, now: cell(first_line(g.message)),
        ),
        Column(
            name="seen", title="seen", width=17, cell=lambda g, now: Cell(seen(g, now)),
            sort=lambda g: g.last_seen,
        ),
    ]  # fmt: skip


def letter_columns() -> list[Column[LetterRow]]:
    """The table of the letters of one group."""
    return [
        Column(
            name="status", title="status", width=13, cell=lambda r, now: status_cell(r.status),
            sort=lambda r: r.status,
        ),
        Column(
            name="task", title="task", width=20, grow=2, middle=True,
            cell=lambda r, now: cell(f"{r.pipeline_id}/{r.name}", "strong"),
            sort=lambda r: (r.pipeline_id, r.name),
        ),
        Column(name="message", title="error", width=18, grow=4, cell=lambda r, now: cell(r.message)),
        Column(
            name="attempts", title="tries", width=5, right=True, rank=6,
            cell=lambda r, now: Cell(str(r.attempts)), sort=lambda r: r.attempts,
        ),
        Column(
            name="run", title="run", width=18, grow=1, rank=8, middle=True,
            cell=lambda r, now: cell(r.run_id, "dim"), sort=lambda r: r.run_id,
        ),
        Column(
            name="by", title="worked on by", width=14, rank=7, middle=True,
            cell=lambda r, now: cell(r.by, "dim"), sort=lambda r: r.by,
        ),
        Column(
            name="failed", title="failed", width=11, cell=lambda r, now: Cell(ago(r.failed_at, now)),
            sort=lambda r: r.failed_at,
        ),
    ]  # fmt: skip


def queue_line(counts: Mapping[str, int], chosen: str | None, look: Look) -> list[Cell]:
    """`all 16 · transient 3 · ...`: the chosen one in brackets, so that it shows without colour."""
    line = [Cell(" ")]
    for i, name in enumerate((None, *QUEUES)):
        count = sum(counts.values()) if name is None else counts.get(name, 0)
        text = f"{name or 'all'} {count:,}"
        if i:
            line.append(Cell(f" {look.dot} ", "dim"))
        line.append(Cell(f"[{text}]", "strong") if name == chosen else Cell(text, "" if count else "dim"))
    return line


def newest_of(count: int) -> Cell:
    """Which letter of a group is shown beside it."""
    return Cell(f"The newest of {counted(count, 'letter')}. Enter lists them.", "dim")


# ---- one letter


def happened(detail: LetterDetail, now: datetime) -> list[Line]:
    """What went wrong, in every attempt, and what was done about it."""
    letter = detail.letter
    by = claimant(letter)
    out: list[Line] = [
        [status_cell(letter.status.value), Cell("  in queue "), cell(letter.queue.value, "strong")],
        labelled("task", f"{letter.pipeline_id}/{label(letter.task_id, letter.map_index)}", "strong"),
        labelled("run", letter.run_id),
        labelled("letter", letter.id),
        labelled("failed", f"{stamp(letter.failed_at)} ({ago(letter.failed_at, now)})"),
        labelled("kind", f"{letter.kind.value} ({letter.error_type})", "bad"),
        *_alike(detail, now),
    ]
    if by is not None:
        out.append(labelled("worked on", f"by {by[0]} since {by[1]}", "warn"))
    if detail.below:
        out.append(labelled("held up", f"{counted(len(detail.below), 'task')} below: {', '.join(detail.below)}"))
    out += [[], *_block(letter.message, "bad")]
    out += _attempts(detail)
    if letter.history:
        out += [[], [Cell("What was done about it", "head")]]
        out += [_entry(each) for each in letter.history]
    if letter.requeued_as:
        out.append(labelled("went on as", letter.requeued_as))
    return out


def payload(letter: DeadLetter) -> list[Line]:
    """What it would be run again with."""
    out: list[Line] = []
    for title, values in (
        ("Parameters", letter.parameters),
        ("Config", letter.config),
        ("Retry policy", letter.retry_policy),
    ):
        if out:
            out.append([])
        out.append([Cell(title, "head")])
        out += _values(values)
    return out


def exported(letters: Sequence[Mapping[str, Any]]) -> str:
    """A file of letters. Only ASCII: it may be shown by anything."""
    return json.dumps({"letters": list(letters)}, indent=2, ensure_ascii=True, default=str) + "\n"


def file_name(ids: Sequence[str], now: datetime) -> str:
    """`letter-ID.json`, or `letters-12-20261119T020000Z.json`."""
    if len(ids) == 1:
        return f"letter-{ids[0]}.json"
    return f"letters-{len(ids)}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.json"


def shown(value: Any) -> str:
    """A value on one line, as JSON unless it is text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _alike(detail: LetterDetail, now: datetime) -> list[Line]:
    count, first = detail.alike.get("count", 0), detail.alike.get("first_seen")
    if count < 2 or not isinstance(first, datetime):
        return [labelled("seen", "once")]
    return [labelled("seen", f"{count:,} times, first {stamp(first)} ({ago(first, now)})")]


def _attempts(detail: LetterDetail) -> list[Line]:
    """The errors the letter keeps; tracebacks where the attempts are still known."""
    traces = {each.number: each.error.traceback for each in detail.attempts if each.error is not None}
    out: list[Line] = []
    told = None
    for each in detail.letter.errors:
        number = each.get("attempt")
        head = [Cell(f"Attempt {number}", "head"), Cell("  ")]
        out += [[], [*head, cell(f"{each.get('failed_at')}  {each.get('kind')} ({each.get('type')})", "dim")]]
        message = str(each.get("message", ""))
        out += [[Cell("the same", "dim")]] if message in (told, detail.letter.message) else _block(message)
        told = message
        trace = traces.get(number) if isinstance(number, int) else None
        if trace:
            out += _block(trace, "dim")
    return out


def _entry(entry: Mapping[str, Any]) -> Line:
    reason = f": {entry['reason']}" if entry.get("reason") else ""
    return [cell(f"{entry.get('at')}  ", "dim"), cell(f"{entry.get('actor')}  {entry.get('action')}{reason}")]


def _values(values: Mapping[str, Any]) -> list[Line]:
    if not values:
        return [[Cell("none", "dim")]]
    out: list[Line] = []
    for name, value in values.items():
        whole = shown(value)
        if not isinstance(value, str) and len(whole) > _LONG:
            whole = json.dumps(value, indent=2, ensure_ascii=False, default=str)
        if "\n" in whole:
            out.append([cell(name, "accent"), Cell(" =")])
            out += [[Cell("  "), *each] for each in _block(whole)]
        else:
            out.append([cell(name, "accent"), Cell(" = "), cell(whole)])
    return out


def _block(text: str, tone: str = "") -> list[Line]:
    found: list[Line] = [*lines(text.rstrip("\n"), tone)]
    if len(found) > _MOST_LINES:
        return [*found[:_MOST_LINES], [Cell(f"and {counted(len(found) - _MOST_LINES, 'more line')}", "dim")]]
    return found
