"""An explanation as lines, and what can be done about it as deeds. Pure.

Law: a deed is a command of the explanation, read as whoever typed it would mean it; what cannot be done from the
console is still named, with its command.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from console.present.cells import Cell, Line, cell, labelled
from console.present.columns import Column
from console.present.states import state_cell
from console.present.times import ago, stamp
from console.theme import Look, state_tone
from engine.client.names import label

if TYPE_CHECKING:
    from engine.client.values import Action, Explanation

_ENDED = ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")
_OPTIONS_WITH_VALUES = ("--attempt", "--reason", "--set")


class Deed(NamedTuple):
    """One thing that can be done: a row to press Enter on."""

    place: int
    label: str
    command: str
    about: str  # the task it is about; empty: the run
    verb: str  # retry, mark, cancel, logs, why, show, "dlq show", "dlq requeue", ...
    names: tuple[str, ...]  # what it names: the run and tasks, a letter, a connection


def sentences(found: Explanation, now: datetime) -> list[Line]:
    """Sentence, since, until, holders, details; of a run, the tasks that are the reason for it."""
    lines: list[Line] = [[cell(found.sentence, state_tone(found.state))]]
    if found.since is not None:
        lines.append(labelled("since", f"{stamp(found.since)} ({ago(found.since, now)})"))
    if found.expected is not None:
        lines.append(labelled("until", f"{stamp(found.expected)} ({ago(found.expected, now)})"))
    if found.state not in _ENDED:  # of what has ended the sentence names them
        lines += [labelled("held by", each) for each in found.holders]
    lines += [[Cell("- ", "dim"), cell(each)] for each in found.details]
    return lines


def told(found: Explanation, now: datetime, look: Look) -> list[Line]:
    """All of it."""
    lines = sentences(found, now)
    for cause in found.causes:
        lines += [[], _head(cause, look), *sentences(cause, now)]
    return lines


def title(found: Explanation, look: Look) -> list[Cell]:
    """`✗ FAILED  load  LogicError`."""
    return [Cell(" "), *_head(found, look)]


def _head(found: Explanation, look: Look) -> list[Cell]:
    name = found.run_id if found.task_id is None else label(found.task_id, found.map_index)
    code = [] if found.code == found.state else [Cell("  "), cell(found.code, "dim")]
    return [state_cell(found.state, look), Cell("  "), cell(name, "strong"), *code]


def deeds(found: Explanation) -> list[Deed]:
    """What can be done: for the causes first, then for the whole; each command once."""
    seen: dict[str, Deed] = {}
    for each in (*found.causes, found):
        about = "" if each.task_id is None else label(each.task_id, each.map_index)
        for action in each.actions:
            seen.setdefault(action.command, _deed(len(seen), action, about))
    return list(seen.values())


def _deed(place: int, action: Action, about: str) -> Deed:
    try:
        words = shlex.split(action.command)
    except ValueError:  # a name with a lone quote: it can be read, and copied
        words = []
    words = words[1:] if words[:1] == ["penstock"] else []
    take = 2 if words[:1] in (["dlq"], ["connections"]) else 1
    return Deed(place, action.label, action.command, about, " ".join(words[:take]), _names(words[take:]))


def _names(words: Sequence[str]) -> tuple[str, ...]:
    """Without options."""
    names: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _OPTIONS_WITH_VALUES:
            skip = True
        elif not word.startswith("-"):
            names.append(word)
    return tuple(names)


def deed_columns() -> list[Column[Deed]]:
    """The table of deeds."""
    return [
        Column(
            name="label", title="what can be done", width=30, grow=2,
            cell=lambda d, now: cell(d.label, "strong"),
        ),
        Column(name="about", title="task", width=14, rank=5, middle=True, cell=lambda d, now: cell(d.about)),
        Column(
            name="command", title="the same on the command line", width=28, grow=3, rank=3,
            cell=lambda d, now: cell(d.command, "dim"),
        ),
    ]  # fmt: skip
