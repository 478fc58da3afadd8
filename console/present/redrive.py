"""What a preview says of dead letters that are about to be run again or discarded. Pure.

Law: it names what was gathered and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.present.cells import Cell, Line, cell
from console.present.letters import claimant
from console.present.times import counted, span
from engine.client.names import label
from engine.client.scalars import value as read_value
from engine.model.errors import RequestError
from engine.model.pipeline import Pipeline
from engine.model.run import DeadLetter

_MOST_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The letters, and what hangs on them."""

    letters: Sequence[DeadLetter]
    closed: int = 0  # chosen, and no longer open
    left: int = 0  # more than fit into one go
    below: Mapping[str, Sequence[str]] = field(default_factory=dict)  # run id -> tasks decided again
    unread: int = 0  # runs not looked at
    declared: Pipeline | None = None  # the definition the first one's run was made from
    seconds: float | None = None  # of work, by the medians


def named(found: Gathered) -> str:
    """One by its task, several by their number."""
    if len(found.letters) == 1:
        one = found.letters[0]
        return cell(f"{one.pipeline_id}/{label(one.task_id, one.map_index)}").text[:60]
    return counted(len(found.letters), "letter")


def touched(found: Gathered) -> list[Line]:
    """Every letter that is sent."""
    out: list[Line] = [
        [
            cell(f"{each.pipeline_id}/{label(each.task_id, each.map_index)}", "strong"),
            Cell("  "),
            cell(each.run_id, "dim"),
        ]
        for each in found.letters[:_MOST_LINES]
    ]
    if len(found.letters) > _MOST_LINES:
        out.append([Cell(f"and {len(found.letters) - _MOST_LINES:,} more", "dim")])
    return out


def changes(changed: Mapping[str, Any], before: Mapping[str, Any]) -> list[Line]:
    """`config.command = exit 0`, and below it what it was."""
    out: list[Line] = []
    for name, new in changed.items():
        was = before[name] if before[name] is not None else "each its own"
        out.append([cell(name, "accent"), Cell(" = "), cell(written(new) or "null", "strong")])
        out.append([Cell("  was ", "dim"), cell(was, "dim")])
    return out


def below(found: Gathered) -> list[Line]:
    """What follows by itself."""
    out: list[Line] = []
    for run_id, tasks in found.below.items():
        if tasks:
            where = f" ({run_id})" if len(found.below) > 1 else ""
            out.append([Cell("decided again below: ", "dim"), cell(", ".join(tasks)[:400]), cell(where, "dim")])
    if found.unread:
        out.append([Cell(f"and what {counted(found.unread, 'more run')} had skipped below", "dim")])
    return out or [[Cell("Nothing below was skipped because of it.", "dim")]]


def cost(found: Gathered) -> list[Line]:
    """Slots and time."""
    slots: Line = [Cell("slots       ", "dim"), Cell(counted(len(found.letters), "worker") + " at most")]
    if found.seconds is None:
        return [slots]
    return [slots, [Cell("cost        ", "dim"), Cell(f"about {span(found.seconds)} of work, by the median")]]


def warnings(found: Gathered, me: str, most: int) -> list[Line]:
    """Others at work, and what is left out."""
    out: list[Line] = []
    others = [by[0] for each in found.letters if (by := claimant(each)) is not None and by[0] != me]
    if others:
        who = ", ".join(dict.fromkeys(cell(each).text for each in others))
        out.append([Cell(f"{who} works on {counted(len(others), 'letter')}; the engine may refuse.", "warn")])
    if found.closed:
        out.append([Cell(f"{counted(found.closed, 'letter')} left out: closed meanwhile.", "warn")])
    if found.left:
        out.append([Cell(f"At most {most} letters in one go; there are more, do it again for the rest.", "warn")])
    return out


def written(value: Any) -> str:
    """A value as it is typed: bare where that reads back as the same text, else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str) and value and value == value.strip() and value.isprintable() and _bare(value):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isprintable() else json.dumps(value, ensure_ascii=True, default=str)


def _bare(text: str) -> bool:
    try:
        return bool(read_value(text) == text)
    except RequestError:
        return False
