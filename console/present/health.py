"""Checks and connections as rows and cards, and what checks said since the console opened.

Law: pure. History is what was looked at while the view was open, and it says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from console.present import circuits
from console.present.cells import Cell, Line, cell, labelled
from console.present.columns import Column
from console.present.times import ago, counted, moment, size, stamp
from console.theme import Look, state_tone
from engine.client.machine import EngineProcess
from engine.client.values import Lease
from engine.model.breaker import Breaker

_KEPT = 240  # looks remembered: an hour at one each quarter of a minute
_STRIP = 24
_MOST_CHANGES = 12
_ORDER = ("unhealthy", "degraded", "healthy")
_GLYPHS = {"healthy": "SUCCESS", "degraded": "RETRYING", "unhealthy": "FAILED"}


class Seen(NamedTuple):
    """One answer of one check."""

    at: datetime
    status: str
    message: str
    metrics: Mapping[str, Any]


class CheckRow(NamedTuple):
    """One check."""

    component: str
    order: int
    history: tuple[Seen, ...]  # oldest first, never empty

    @property
    def last(self) -> Seen:
        """What it says now."""
        return self.history[-1]


@dataclass(slots=True)
class History:
    """What the checks said since the console opened."""

    seen: dict[str, deque[Seen]] = field(default_factory=dict)

    def add(self, found: Mapping[str, Any], at: datetime) -> list[CheckRow]:
        """One more look; the rows as they are now."""
        rows = []
        for order, each in enumerate(found["checks"]):
            kept = self.seen.setdefault(each["component"], deque(maxlen=_KEPT))
            kept.append(Seen(at, each["status"], each["message"], each["metrics"]))
            rows.append(CheckRow(each["component"], order, tuple(kept)))
        return rows


class ConnectionRow(NamedTuple):
    """A connection, and what its last test said."""

    id: str
    type: str
    direction: str
    pool: str
    rate: str
    ok: bool | None  # None: not tested, or nothing can test it
    said: str
    tested_at: datetime | None
    config: Mapping[str, Any]
    guarded: bool = False  # whether it has a circuit breaker
    breaker: Breaker | None = None  # what that remembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the head tells besides the checks."""

    leader: Lease | None = None
    standby: Sequence[EngineProcess] = ()
    stored_bytes: int | None = None
    looked: bool = False


# ---- rows


def connection_row(shown: Mapping[str, Any], breaker: Breaker | None = None) -> ConnectionRow:
    """As the client shows a connection: secrets are references."""
    guarded = shown["circuit"]["state"] != circuits.OFF
    limit = shown["rate_limit"]
    rate = f"{limit['per_second']:g}/s" if limit else ""
    return ConnectionRow(
        shown["id"], shown["type"], shown["direction"], shown["pool"] or "", rate, None, "", None, shown["config"],
        guarded, breaker if guarded else None,
    )  # fmt: skip


def tested(row: ConnectionRow, answer: tuple[bool, str] | None, at: datetime) -> ConnectionRow:
    """What its test said."""
    if answer is None:
        return row._replace(ok=None, said="nothing in this version can test it", tested_at=at)
    return row._replace(ok=answer[0], said=answer[1], tested_at=at)


# ---- tables


def status(name: str, look: Look) -> Cell:
    """A glyph and a word before it is a colour."""
    return Cell(f"{look.chars.state(_GLYPHS.get(name, 'PENDING'))} {cell(name).text}", state_tone(name))


def check_columns(look: Look) -> list[Column[CheckRow]]:
    """The checks, worst first."""
    return [
        Column(
            name="status", title="status", width=11, cell=lambda r, now: status(r.last.status, look),
            sort=lambda r: _rank(r.last.status),
        ),
        Column(
            name="component", title="check", width=13,
            cell=lambda r, now: cell(r.component, "strong"), sort=lambda r: r.component,
        ),
        Column(name="message", title="says", width=24, grow=4, cell=lambda r, now: cell(r.last.message)),
        Column(
            name="history", title="since opened", width=16, rank=5,
            cell=lambda r, now: Cell(troubled(r), _worst_tone(r)),
        ),
    ]  # fmt: skip


def natural_check(row: CheckRow) -> tuple[int, int]:
    """Worst first, then as they are checked."""
    return _rank(row.last.status), row.order


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else 0


def _letter(name: str) -> str:
    return {"healthy": ".", "degraded": "d", "unhealthy": "U"}.get(name, "?")


def troubled(row: CheckRow) -> str:
    """How often it was not well, since the console opened."""
    bad = sum(each.status != "healthy" for each in row.history)
    return counted(bad, "time") + " not well" if 0 < bad < 10 else "often not well" if bad else ""


def _worst_tone(row: CheckRow) -> str:
    worst = min((each.status for each in row.history), key=_rank)
    return "dim" if worst == "healthy" else state_tone(worst)


def connection_columns(look: Look) -> list[Column[ConnectionRow]]:
    """Connections and their last test."""
    return [
        Column(
            name="id", title="connection", width=16, grow=1,
            cell=lambda r, now: cell(r.id, "strong"), sort=lambda r: r.id,
        ),
        Column(name="type", title="type", width=10, cell=lambda r, now: cell(r.type), sort=lambda r: r.type),
        Column(name="direction", title="way", width=6, rank=7, cell=lambda r, now: cell(r.direction, "dim")),
        Column(name="pool", title="pool", width=13, rank=6, cell=lambda r, now: cell(r.pool, "dim")),
        Column(name="rate", title="rate", width=7, rank=8, cell=lambda r, now: cell(r.rate, "dim")),
        Column(
            name="circuit", title="circuit", width=11,
            cell=lambda r, now: circuits.state(r.guarded, r.breaker, now, look),
            sort=lambda r: r.breaker.state.value if r.breaker is not None else "",
        ),
        Column(
            name="failed", title="failed", width=9, rank=3,
            cell=lambda r, now: Cell(circuits.calls(r.breaker)),
        ),
        Column(
            name="retry", title="tried again", width=11, rank=2,
            cell=lambda r, now: Cell(circuits.again(r.breaker, now), "warn"),
        ),
        Column(
            name="answers", title="answers", width=13,
            cell=lambda r, now: _answers(r, look), sort=lambda r: str(r.ok),
        ),
        Column(
            name="at", title="tested", width=9, rank=5,
            cell=lambda r, now: Cell(moment(r.tested_at, now), "dim"),
        ),
        Column(name="said", title="said", width=16, grow=3, rank=4, cell=lambda r, now: cell(r.said)),
    ]  # fmt: skip


def _answers(row: ConnectionRow, look: Look) -> Cell:
    if row.tested_at is None:
        return Cell("not tested", "dim")
    if row.ok is None:
        return Cell("cannot tell", "dim")
    return Cell(
        f"{look.chars.state('SUCCESS' if row.ok else 'FAILED')} {'yes' if row.ok else 'no'}",
        "ok" if row.ok else "bad",
    )


# ---- head and cards


def head(checks: Sequence[CheckRow], around: Around, now: datetime, look: Look) -> list[Line]:
    """How it is as a whole; who leads, since when, who stands by."""
    worst = min((each.last.status for each in checks), key=_rank, default="")
    bad = [each.component for each in checks if each.last.status != "healthy"]
    first: list[Cell] = [Cell(" "), status(worst, look) if worst else Cell("checking" + look.ellipsis, "dim")]
    if bad:
        first.append(cell(": " + ", ".join(bad)))
    if checks:
        first.append(Cell(f"   looked at {checks[0].last.at:%H:%M:%S}", "dim"))
    if around.stored_bytes is not None:
        first.append(Cell(f"   state {size(around.stored_bytes)}"))
    tier = next((each.last.metrics.get("tier") for each in checks if each.component == "sandbox"), None)
    if tier is not None:
        first.append(cell(f"   sandbox {tier}"))
    return [first, _engine_line(around, now, look)]


def _engine_line(around: Around, now: datetime, look: Look) -> list[Cell]:
    held = around.leader
    if not around.looked:
        return []
    if held is None:
        line = [Cell(f" {look.chars.state('FAILED')} no engine leads", "bad")]
    else:
        what = {"engine": "engine leads", "command": "one command leads"}.get(held.scope, "`penstock run` leads")
        text = f" {look.chars.state('RUNNING')} {what} since {moment(held.acquired_at, now)}"
        line = [Cell(f"{text} ({ago(held.acquired_at, now).removesuffix(' ago')})", "ok")]
        line.append(
            cell(f", pid {held.pid} of {held.user}@{held.host}, started by {held.started_by}, epoch {held.epoch}")
        )
    if around.standby:
        pids = ", ".join(str(each.pid) for each in around.standby)
        return [*line, cell(f"   standing by here: {pids}")]
    return [*line, Cell("   nobody stands by here", "dim")]


def check_card(row: CheckRow, now: datetime) -> list[Line]:
    """One check: figures with their range, and when its answer changed."""
    last = row.last
    out: list[Line] = [[cell(row.component, "strong"), Cell(f"  {last.status}", state_tone(last.status))]]
    out += [[cell(last.message)], labelled("looked at", stamp(last.at))]
    if last.metrics:
        out += [[], [Cell("figures", "head")]]
        out += [_metric(name, value, row.history) for name, value in last.metrics.items()]
    strip = "".join(_letter(each.status) for each in row.history[-_STRIP:])
    out += [[], [Cell("since the console opened", "head")]]
    out.append(
        [Cell(strip, "strong"), Cell(f"  {counted(len(row.history), 'look')}; d degraded, U unhealthy", "dim")]
    )
    return out + _changes(row.history)


def _metric(name: str, value: Any, history: Sequence[Seen]) -> Line:
    numbers = [each.metrics[name] for each in history if _numeric(each.metrics.get(name))]
    line = [cell(f"{name} ", "dim"), cell(_number(value), "strong")]
    if numbers and min(numbers) != max(numbers):
        line.append(Cell(f"  {_number(min(numbers))} to {_number(max(numbers))}", "dim"))
    return line


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 100_000 else str(value)


def _changes(history: Sequence[Seen]) -> list[Line]:
    changed = [later for sooner, later in zip((None, *history), history, strict=False) if _differs(sooner, later)]
    return [
        [Cell(f"{each.at:%H:%M:%S} ", "dim"), Cell(f"{each.status} ", state_tone(each.status)), cell(each.message)]
        for each in reversed(changed[-_MOST_CHANGES:])
    ]


def _differs(sooner: Seen | None, later: Seen) -> bool:
    return sooner is None or sooner.status != later.status


def connection_card(row: ConnectionRow, now: datetime, look: Look) -> list[Line]:
    """One connection as written; secrets are the references they are."""
    out: list[Line] = [
        [cell(row.id, "strong"), Cell("  "), _answers(row, look)],
        labelled("type", row.type),
        labelled("way", row.direction),
    ]
    if row.pool or row.rate:
        out.append(labelled("limits", f"{row.pool} {row.rate}".strip()))
    out += circuits.card(row.guarded, row.breaker, now, look)
    if row.tested_at is not None:
        out += [labelled("tested", stamp(row.tested_at)), labelled("said", row.said)]
    out += [[], [Cell("config", "head")]]
    return out + [[cell(f"{name}: ", "dim"), cell(value)] for name, value in row.config.items()]
