"""Entries of the audit trail as rows and cards. A row keeps the entry: the details are what it is opened for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from console.present.cells import Cell, Line, cell, cut, labelled, lines
from console.present.columns import Column
from console.present.filters import Facts
from console.present.times import ago, counted, moment, stamp
from console.theme import Look
from engine.model.event import AuditEntry

FIELDS = ("who", "address", "action", "kind", "resource", "type", "result", "message")
_LONGEST = 20_000  # characters of one detail that are shown


class Verified(NamedTuple):
    """What walking the trail said, and when."""

    valid: bool
    checked: int
    first_bad: int | None
    message: str
    at: datetime


def number(entry: AuditEntry) -> int:
    """Its place in the trail."""
    return entry.seq or 0


def natural(entry: AuditEntry) -> int:
    """Newest first."""
    return -number(entry)


def message(entry: AuditEntry) -> str:
    """What came of it, in one line."""
    said = entry.details.get("message")
    if isinstance(said, str) and said:
        return said[:300]
    return ", ".join(f"{name}={_short(value)}" for name, value in entry.details.items())[:300]


def about(entry: AuditEntry) -> str:
    """What it was done to; a command without an object, such as stopping the engine, names its kind alone."""
    named = "" if entry.resource_id == "None" else f" {entry.resource_id}"
    return entry.resource_type.lower() + named


def facts(entry: AuditEntry) -> Facts:
    """What a filter sees."""
    fields = {
        "who": entry.actor.name,
        "address": entry.actor.address or "",
        "action": entry.action,
        "kind": entry.resource_type,
        "resource": entry.resource_id,
        "type": entry.event_type,
        "result": entry.result,
        "message": message(entry),
    }
    return fields, entry.at


def result(entry: AuditEntry, look: Look) -> Cell:
    """A glyph and a word before it is a colour."""
    names = {"SUCCESS": ("SUCCESS", "ok"), "FAILURE": ("FAILED", "bad"), "PARTIAL": ("RETRYING", "warn")}
    state, tone = names.get(entry.result, ("PENDING", "warn"))
    return Cell(f"{look.chars.state(state)} {cell(entry.result.lower()).text}", tone)


def columns(look: Look) -> list[Column[AuditEntry]]:
    """The table of the trail."""
    return [
        Column(
            name="seq", title="no", width=7, right=True, rank=4,
            cell=lambda e, now: Cell(str(number(e)), "dim"),
        ),
        Column(
            name="at", title="at UTC", width=11, cell=lambda e, now: Cell(moment(e.at, now)), sort=lambda e: e.at
        ),
        Column(
            name="who", title="who", width=18, grow=1, middle=True, cell=lambda e, now: cell(e.actor.name,
            "strong"),
            sort=lambda e: e.actor.name,
        ),
        Column(
            name="action", title="did", width=16, cell=lambda e, now: cell(e.action), sort=lambda e: e.action
        ),
        Column(
            name="resource", title="to", width=18, grow=2, middle=True, sort=lambda e: (e.resource_type,
            e.resource_id),
            cell=lambda e, now: cell(about(e)),
        ),
        Column(
            name="result", title="result", width=9, rank=5, cell=lambda e, now: result(e, look),
            sort=lambda e: e.result,
        ),
        Column(
            name="message", title="message", width=20, grow=3, rank=8,
            cell=lambda e, now: cell(message(e), "dim"),
        ),
    ]  # fmt: skip


def card(entry: AuditEntry, now: datetime, look: Look) -> list[Line]:
    """Everything about one entry."""
    out: list[Line] = [
        [cell(f"{number(entry)} {entry.action}", "strong"), Cell("  "), result(entry, look)],
        labelled("at", f"{stamp(entry.at)} UTC ({ago(entry.at, now)})"),
        labelled("who", entry.actor.name),
        labelled("from", entry.actor.address or "this machine"),
    ]
    if entry.actor.session:
        out.append(labelled("session", entry.actor.session))
    out += [
        labelled("to", about(entry)),
        labelled("kind", entry.event_type),
    ]
    if entry.details:
        out += [[], [Cell("details", "head")]]
        for name, value in entry.details.items():
            out += _detail(name, value)
    out += [
        [],
        [Cell("chain", "head")],
        labelled("hash", entry.hash),
        labelled("follows", entry.previous_hash),
    ]
    return out


def _detail(name: str, value: Any) -> list[Line]:
    if isinstance(value, Mapping | list) and value:
        text = cut(json.dumps(value, indent=2, ensure_ascii=False, default=str), _LONGEST)
        return [[cell(f"{name}:", "dim")], *([Cell("  "), *line] for line in lines(text))]
    return [[cell(f"{name}: ", "dim"), cell(_short(value, _LONGEST))]]


def _short(value: Any, most: int = 80) -> str:
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))[:most]


def verdict(found: Verified | None, look: Look, *, going: bool) -> Line:
    """Whether the chain holds, as of when."""
    if going:
        return [Cell(f" walking the whole trail{look.ellipsis}", "dim")]
    if found is None:
        return [Cell(" The chain has not been verified since the console opened; V does it.", "dim")]
    if found.valid:
        glyph = look.chars.state("SUCCESS")
        text = f" {glyph} the chain holds: {counted(found.checked, 'entry', 'entries')}, verified {stamp(found.at)}"
        return [Cell(text, "ok")]
    return [Cell(f" {look.chars.state('FAILED')} the chain is broken: ", "bad"), cell(found.message, "bad")]
