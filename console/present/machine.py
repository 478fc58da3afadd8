"""Processes and slots as rows and cards: what runs on this machine, and who holds what others wait for.

Law: pure. Figures are rounded to what is shown, so that what merely wavers paints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from console.present.cells import Cell, Line, cell, labelled
from console.present.columns import Column
from console.present.times import ago, brief, counted, stamp
from console.theme import Look
from engine.client.machine import WORKERS, EngineProcess, LiveAttempt, PoolUse
from engine.client.values import Lease

_MOST_HOLDERS = 200
_BARS = 10
_LEAST_PERCENT = 3  # less wavers with every look of an idle process


class ProcessRow(NamedTuple):
    """A live attempt, or an engine."""

    key: str
    kind: str  # attempt, leader, standby
    name: str
    run_id: str
    pid: int | None
    host: str | None
    rss_bytes: int | None
    cpu_percent: float | None  # of one CPU, between two looks
    cpu_seconds: float | None
    since: datetime | None
    processes: int | None
    attempt: LiveAttempt | None


def process_rows(
    attempts: Sequence[LiveAttempt],
    engines: Sequence[EngineProcess],
    leader: Lease | None,
    before: Mapping[str, ProcessRow],
    seconds: float | None,
) -> list[ProcessRow]:
    """Engines, then attempts; CPU is the share of one CPU since the look before."""
    rows = [
        ProcessRow(
            f"engine {each.pid}", "leader" if each.leads else "standby",
            "engine that leads" if each.leads else "engine standing by", "", each.pid, each.host,
            each.rss_bytes, None,
            each.cpu_seconds, leader.acquired_at if each.leads and leader is not None else None, None, None,
        )
        for each in engines
    ]  # fmt: skip
    rows += [
        ProcessRow(
            each.token, "attempt", f"{each.pipeline_id} {each.task}", each.run_id, each.pid, each.host,
            each.rss_bytes,
            None, each.cpu_seconds, each.since, each.processes, each,
        )
        for each in attempts
    ]  # fmt: skip
    return [each._replace(cpu_percent=_share(each, before.get(each.key), seconds)) for each in rows]


def _share(row: ProcessRow, before: ProcessRow | None, seconds: float | None) -> float | None:
    if before is None or before.cpu_seconds is None or row.cpu_seconds is None or not seconds:
        return None
    share = round(100 * (row.cpu_seconds - before.cpu_seconds) / seconds)
    return float(share) if share >= _LEAST_PERCENT else 0.0


def without_noise(row: ProcessRow) -> ProcessRow:
    """The row without what no cell shows, so that an equal look paints nothing."""
    attempt = replace(row.attempt, rss_bytes=None, cpu_seconds=None, heartbeat_at=None) if row.attempt else None
    used = row.cpu_seconds
    if used is not None:
        used = round(used, 1) if used < 10 else float(int(used))
    return row._replace(rss_bytes=_rounded(row.rss_bytes), cpu_seconds=used, attempt=attempt)


def _rounded(count: int | None) -> int | None:
    return None if count is None else round(count / 1_000_000) * 1_000_000


def process_columns(look: Look) -> list[Column[ProcessRow]]:
    """Attempts and engines."""
    return [
        Column(
            name="pid", title="pid", width=8, right=True,
            cell=lambda r, now: Cell(_pid(r)), sort=lambda r: r.pid,
        ),
        Column(
            name="name", title="process", width=24, grow=2, middle=True,
            cell=lambda r, now: cell(r.name, "strong" if r.attempt else "accent"), sort=lambda r: r.name,
        ),
        Column(
            name="rss", title="memory", width=9, right=True, cell=lambda r, now: Cell(_memory(r.rss_bytes)),
            sort=lambda r: -(r.rss_bytes or 0),
        ),
        Column(
            name="cpu", title="cpu", width=6, right=True, sort=lambda r: -(r.cpu_percent or 0.0),
            cell=lambda r, now: Cell(_percent(r.cpu_percent)),
        ),
        Column(
            name="age", title="age", width=8, right=True, sort=lambda r: r.since, cell=lambda r,
            now: Cell(_age(r, now)),
        ),
        Column(
            name="used", title="cpu time", width=8, rank=6, right=True, sort=lambda r: -(r.cpu_seconds or 0.0),
            cell=lambda r, now: Cell(brief(r.cpu_seconds)),
        ),
        Column(
            name="tree", title="procs", width=5, rank=7, right=True,
            cell=lambda r, now: Cell(str(r.processes or ""), "dim"),
        ),
        Column(
            name="run", title="run", width=18, grow=1, rank=5, middle=True,
            cell=lambda r, now: cell(r.run_id, "dim"),
        ),
    ]  # fmt: skip


def natural_process(row: ProcessRow) -> tuple[int, float, str]:
    """Engines first, then what runs longest."""
    rank = ("leader", "standby", "attempt").index(row.kind)
    return rank, row.since.timestamp() if row.since else 0.0, row.key


def _pid(row: ProcessRow) -> str:
    if row.pid is None:
        return "starting" if row.attempt is not None and row.attempt.state == "SUBMITTED" else "engine"
    return str(row.pid)


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.0f} %" if share else f"<{_LEAST_PERCENT} %"


def _memory(count: int | None) -> str:
    """Whole megabytes: what wavers below that is nobody's business and would be repainted."""
    return "" if count is None else f"{round(count / 1_000_000):,} MB"


def _age(row: ProcessRow, now: datetime) -> str:
    return ago(row.since, now).removesuffix(" ago") if row.since else ""


def pool_columns(look: Look) -> list[Column[PoolUse]]:
    """Workers and pools."""
    return [
        Column(
            name="pool", title="pool", width=18, grow=1,
            cell=lambda p, now: cell(p.name, "strong"), sort=lambda p: p.name,
        ),
        Column(
            name="used", title="in use", width=8, right=True, sort=lambda p: -len(p.holders),
            cell=lambda p, now: Cell(_used(p), _fullness(p)),
        ),
        Column(name="bar", title="", width=_BARS + 2, rank=6, cell=lambda p, now: Cell(_bar(p), _fullness(p))),
        Column(
            name="waiting", title="waiting", width=7, right=True, sort=lambda p: -p.waiting,
            cell=lambda p, now: Cell(str(p.waiting or ""), "warn"),
        ),
        Column(name="rate", title="rate", width=9, rank=5, cell=lambda p, now: Cell(_rate(p), "dim")),
        Column(
            name="holders", title="held by", width=20, grow=4, rank=4,
            cell=lambda p, now: cell(", ".join(p.holders[:20])),
        ),
    ]  # fmt: skip


def natural_pool(pool: PoolUse) -> tuple[bool, str]:
    """Workers first, then by name."""
    return pool.name != WORKERS, pool.name


def _used(pool: PoolUse) -> str:
    return f"{len(pool.holders)}/{pool.slots}" if pool.slots is not None else str(len(pool.holders))


def _fullness(pool: PoolUse) -> str:
    if pool.slots is None or len(pool.holders) < pool.slots:
        return "run" if pool.holders else "dim"
    return "warn"


def _bar(pool: PoolUse) -> str:
    if not pool.slots:
        return ""
    filled = min(_BARS, -(-_BARS * len(pool.holders) // pool.slots))
    return "[" + "#" * filled + "." * (_BARS - filled) + "]"


def _rate(pool: PoolUse) -> str:
    return f"{pool.per_second:g}/s" if pool.per_second else ""


def process_card(row: ProcessRow, now: datetime) -> list[Line]:
    """One attempt or engine."""
    out: list[Line] = [[cell(row.name, "strong")], labelled("pid", _pid(row))]
    if row.host is not None:
        out.append(labelled("machine", f"{row.host}: what it uses cannot be seen from here", "warn"))
    elif row.pid is not None and row.rss_bytes is None:
        out.append(labelled("process", "gone, or hidden from this user", "warn"))
    out += [
        labelled("memory", _memory(row.rss_bytes)),
        labelled("cpu", f"{_percent(row.cpu_percent)} of one CPU" if row.cpu_percent is not None else ""),
        labelled("cpu time", brief(row.cpu_seconds)),
    ]
    if row.since is not None:
        out.append(labelled("since", stamp(row.since)))
    if row.attempt is not None:
        out += [
            labelled("attempt", row.attempt.number),
            labelled("state", row.attempt.state),
            labelled("processes", row.attempt.processes or ""),
            labelled("newest", row.attempt.command),
            labelled("heartbeat", ago(row.attempt.heartbeat_at, now) or "none yet"),
            labelled("run", row.run_id),
            [],
            [Cell("Enter goes to the run, where it can be cancelled.", "dim")],
        ]
    return out


def pool_card(pool: PoolUse) -> list[Line]:
    """One pool, with everybody who holds a slot of it."""
    slots = "no limit of slots" if pool.slots is None else counted(pool.slots, "slot")
    out: list[Line] = [[cell(pool.name, "strong")], labelled("slots", f"{slots}, {len(pool.holders)} in use")]
    if pool.per_second:
        out.append(labelled("rate", f"{pool.per_second:g} starts per second, burst {pool.burst}"))
    out.append(labelled("waiting", counted(pool.waiting, "queued task"), "warn" if pool.waiting else ""))
    if pool.holders:
        out += [[], [Cell("held by", "head")], *([cell(each)] for each in pool.holders[:_MOST_HOLDERS])]
    if len(pool.holders) > _MOST_HOLDERS:
        out.append([Cell(f"and {len(pool.holders) - _MOST_HOLDERS} more", "dim")])
    return out
