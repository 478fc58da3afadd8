"""Schedules as rows and cards: what fires when, what a clock change does to it, how full the coming days are.

Law: pure. Hours and days are UTC, as everywhere in the console; local times are named as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from console.present.cells import Cell, Line, cell, labelled
from console.present.columns import Column
from console.present.filters import Facts
from console.present.times import ago, counted, moment, span, stamp
from console.theme import Look
from engine.client.values import PipelineStatistics

FIELDS = ("state", "pipeline", "cron", "timezone", "policy", "reason")
DAYS = 7
_MOST_HINTS = 6
_CROWD = 4  # fires within one hour from which on it is shown as crowded
_POLICIES = {
    "ALLOW_CONCURRENT": "runs side by side",
    "SKIP_ON_RUNNING": "skips while one runs",
    "CANCEL_PREVIOUS": "cancels the one before",
    "QUEUE_SEQUENTIAL": "waits in line",
}


class ScheduleRow(NamedTuple):
    """One schedule as the table shows it."""

    pipeline_id: str
    state: str  # active, paused, off
    cron: str
    timezone: str
    policy: str
    catchup: bool
    next_fire: datetime | None
    clock: str  # the next clock change that does something to it
    skipped: int
    reason: str  # why it is paused and by whom, or why it skipped last
    known: Mapping[str, Any]  # everything that was read


class Fire(NamedTuple):
    """One slot to come."""

    at: datetime
    pipeline_id: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """The slots of all schedules over the coming days."""

    fires: Sequence[Fire] = ()
    cut: frozenset[str] = frozenset()  # fire too often to be counted to the end

    def of(self, pipeline_id: str) -> list[Fire]:
        """Those of one pipeline."""
        return [each for each in self.fires if each.pipeline_id == pipeline_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What was read about one schedule."""

    pipeline_id: str
    fires: Sequence[Mapping[str, Any]]
    consequence: str  # of a resume; empty while it is not paused
    statistics: PipelineStatistics
    max_active: int


def coming_of(found: Mapping[str, Any]) -> Coming:
    """The client's answer as values."""
    fires = tuple(Fire(instant(each["at"]), each["pipeline_id"], each["note"]) for each in found["fires"])
    return Coming(fires=fires, cut=frozenset(found["cut"]))


def instant(text: str) -> datetime:
    """A time of the client's JSON."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def rows(found: Mapping[str, Any], coming: Coming) -> list[ScheduleRow]:
    """The client's answer as rows."""
    noted: dict[str, str] = {}
    for fire in coming.fires:
        if fire.note:
            noted.setdefault(fire.pipeline_id, f"{fire.at.astimezone(UTC):%m-%d} {fire.note}")
    return [_row(each, noted.get(each["pipeline_id"], "")) for each in found["schedules"]]


def _row(known: Mapping[str, Any], clock: str) -> ScheduleRow:
    state = "off" if not known["enabled"] else "paused" if known["paused"] else "active"
    if known["paused"]:
        reason = f"{known['paused_by']}: {known['pause_reason']}"
    else:
        reason = known["last_skip_reason"] or ""
    following = known["next_fire"]
    return ScheduleRow(
        pipeline_id=known["pipeline_id"],
        state=state,
        cron=known["cron"],
        timezone=known["timezone"],
        policy=known["policy"],
        catchup=known["catchup"],
        next_fire=instant(following) if following else None,
        clock=clock,
        skipped=known["skipped"],
        reason=reason,
        known=known,
    )


def natural(row: ScheduleRow) -> tuple[int, float, str]:
    """What fires next first; then what is paused, then what is off."""
    rank = ("active", "paused", "off").index(row.state)
    return rank, row.next_fire.timestamp() if row.next_fire else float("inf"), row.pipeline_id


def facts(row: ScheduleRow) -> Facts:
    """What a filter sees."""
    fields = {
        "state": row.state,
        "pipeline": row.pipeline_id,
        "cron": row.cron,
        "timezone": row.timezone,
        "policy": row.policy,
        "reason": row.reason,
    }
    return fields, row.next_fire


def state_of(state: str, look: Look) -> Cell:
    """A glyph and a word before it is a colour."""
    glyphs = {"active": ("RUNNING", "ok"), "paused": ("WAITING", "warn"), "off": ("SKIPPED", "dim")}
    name, tone = glyphs[state]
    return Cell(f"{look.chars.state(name)} {state}", tone)


def _short(policy: str) -> str:
    return policy.partition("_")[0].lower()


def columns(look: Look) -> list[Column[ScheduleRow]]:
    """The table of schedules."""
    return [
        Column(
            name="state", title="state", width=8,
            cell=lambda r, now: state_of(r.state, look), sort=lambda r: r.state,
        ),
        Column(
            name="pipeline", title="pipeline", width=16, grow=2, middle=True,
            cell=lambda r, now: cell(r.pipeline_id, "strong"), sort=lambda r: r.pipeline_id,
        ),
        Column(
            name="next", title="next UTC", width=11, cell=lambda r, now: Cell(moment(r.next_fire, now)),
            sort=lambda r: r.next_fire,
        ),
        Column(name="in", title="in", width=9, rank=2, cell=lambda r, now: Cell(ago(r.next_fire, now))),
        Column(
            name="cron", title="cron", width=13, grow=1, rank=5,
            cell=lambda r, now: cell(r.cron), sort=lambda r: r.cron,
        ),
        Column(
            name="timezone", title="zone", width=13, rank=9, cell=lambda r, now: cell(r.timezone, "dim"),
            sort=lambda r: r.timezone,
        ),
        Column(
            name="policy", title="overlap", width=7, rank=7, cell=lambda r, now: cell(_short(r.policy), "dim"),
            sort=lambda r: r.policy,
        ),
        Column(
            name="catchup", title="catch", width=5, rank=8, cell=lambda r,
            now: Cell("yes" if r.catchup else "no", "dim"),
            sort=lambda r: not r.catchup,
        ),
        Column(
            name="skipped", title="skip", width=4, rank=4, right=True, sort=lambda r: -r.skipped,
            cell=lambda r, now: Cell(str(r.skipped) if r.skipped else "", "warn"),
        ),
        Column(name="clock", title="clock", width=10, grow=2, rank=6, cell=lambda r, now: cell(r.clock, "warn")),
        Column(name="reason", title="why", width=14, grow=3, rank=3, cell=lambda r, now: cell(r.reason)),
    ]  # fmt: skip


# ---- the card


def card(row: ScheduleRow, detail: Detail | None, coming: Coming, now: datetime, look: Look) -> list[Line]:
    """Everything about one schedule."""
    known = row.known
    out: list[Line] = [
        [cell(row.pipeline_id, "strong"), Cell("  "), state_of(row.state, look)],
        labelled("cron", f"{row.cron}  ({row.timezone})"),
        labelled("overlap", f"{row.policy}: {_POLICIES.get(row.policy, '')}"),
        labelled("catch up", "every missed slot, one by one" if row.catchup else "the latest missed slot alone"),
    ]
    if known["blackout"]:
        out.append(labelled("blackout", ", ".join(known["blackout"]) + " local"))
    out += [
        labelled(name, known[key]) for name, key in (("from", "start_date"), ("until", "end_date")) if known[key]
    ]
    if row.state == "off":
        out.append(labelled("off", "its definition says `enabled: false`", "warn"))
    if known["paused"]:
        since = instant(known["paused_at"]) if known["paused_at"] else None
        out.append(labelled("paused by", f"{known['paused_by']}, {stamp(since)} ({ago(since, now)})", "warn"))
        out.append(labelled("because", known["pause_reason"], "warn"))
    if known["last_slot"]:
        out.append(labelled("last slot", stamp(instant(known["last_slot"]))))
    if row.skipped:
        out.append(labelled("skipped", counted(row.skipped, "slot"), "warn"))
        out.append(labelled("last skip", known["last_skip_reason"]))
    if detail is not None:
        out += _told(detail, row, now)
    if row.state == "active":
        out += [[], *heat(coming.of(row.pipeline_id), now, f"fires by hour, the coming {DAYS} days, UTC")]
        out += collisions(row.pipeline_id, coming, now)
    return [*out, [], *heat(coming.fires, now, "all schedules")]


def _told(detail: Detail, row: ScheduleRow, now: datetime) -> list[Line]:
    out: list[Line] = []
    if detail.consequence:
        out.append(labelled("on resume", detail.consequence))
    known = detail.statistics
    if known.runs:
        rate = f"{100 * known.success_rate:.0f} % succeeded, " if known.success_rate is not None else ""
        took = f"{span(known.median_seconds)} by the median" if known.median_seconds is not None else ""
        slow = f", {span(known.p95_seconds)} at the 95th percentile" if known.p95_seconds is not None else ""
        out.append(labelled("runs", f"{counted(known.runs, 'run')}, {rate}{took}{slow}"))
    out += _too_long(detail, row)
    out += [[], [Cell("next fires", "head")], *fire_lines(detail.fires, now)]
    return out


def _too_long(detail: Detail, row: ScheduleRow) -> list[Line]:
    """Whether its runs take longer than its slots are apart."""
    slow = detail.statistics.p95_seconds
    times = [instant(each["at"]) for each in detail.fires if not each["blackout"]]
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(times)]
    if slow is None or not gaps or slow < min(gaps) * detail.max_active or row.policy == "ALLOW_CONCURRENT":
        return []
    text = f"slow runs take {span(slow)} and slots are {span(min(gaps))} apart: it {_POLICIES.get(row.policy, '')}"
    return [labelled("too close", text, "warn")]


def fire_lines(fires: Sequence[Mapping[str, Any]], now: datetime) -> list[Line]:
    """`11-19 02:00 UTC  03:00 local`, with what a clock change or a blackout does to it."""
    if not fires:
        return [[Cell("It does not fire again.", "warn")]]
    out: list[Line] = []
    for each in fires:
        at = instant(each["at"])
        local = datetime.fromisoformat(each["local"])
        day = (
            f"{at.astimezone(UTC):%a %m-%d %H:%M}"
            if at.year == now.year
            else f"{at.astimezone(UTC):%a %Y-%m-%d %H:%M}"
        )
        line = [Cell(day), Cell(f"  local {local:%H:%M%z}", "dim")]
        if each["note"]:
            line.append(cell(f"  {each['note']}", "warn"))
        if each["blackout"]:
            line.append(cell(f"  not fired: blackout {each['blackout']}", "warn"))
        out.append(line)
    return out


def heat(fires: Sequence[Fire], now: datetime, title: str) -> list[Line]:
    """A line per day, a digit per hour: how many fire in it; `+` more than nine."""
    counts = Counter((each.at.astimezone(UTC).date(), each.at.astimezone(UTC).hour) for each in fires)
    first = now.astimezone(UTC).date()
    out: list[Line] = [[Cell(title, "head")], [Cell(" " * 10 + "00     06     12     18", "dim")]]
    for day in (first + timedelta(days=n) for n in range(DAYS)):
        line = [Cell(f"{day:%a %m-%d} ", "dim")]
        for hour in range(24):
            count = counts[day, hour]
            text = "." if not count else str(count) if count < 10 else "+"
            tone = "dim" if not count else "bad" if count > 9 else "warn" if count >= _CROWD else "ok"
            line.append(Cell((" " if hour and not hour % 6 else "") + text, tone))
        out.append(line)
    return out


def collisions(pipeline_id: str, coming: Coming, now: datetime) -> list[Line]:
    """Who else fires in the same minute, most often first."""
    minutes: dict[datetime, set[str]] = {}
    for each in coming.fires:
        minutes.setdefault(each.at.replace(second=0, microsecond=0), set()).add(each.pipeline_id)
    own = [(at, others - {pipeline_id}) for at, others in sorted(minutes.items()) if pipeline_id in others]
    with_others = Counter(other for _, others in own for other in others)
    if not with_others:
        return [[], labelled("collisions", "nothing else fires in the same minutes")]
    out: list[Line] = [[], [Cell("collisions: fire in the same minute", "head")]]
    for other, count in sorted(with_others.items(), key=lambda each: (-each[1], each[0]))[:_MOST_HINTS]:
        first = next(at for at, others in own if other in others)
        text = f"  {count} of {counted(len(own), 'time')}, first {moment(first, now)}"
        out.append([cell(other, "strong"), Cell(text, "warn" if count == len(own) else "")])
    if len(with_others) > _MOST_HINTS:
        out.append([Cell(f"and {len(with_others) - _MOST_HINTS} more", "dim")])
    at, most = max(own, key=lambda each: len(each[1]))
    if len(most) > 1:
        out.append(
            [Cell(f"fullest minute {moment(at, now)}: {counted(len(most) + 1, 'pipeline')} at once", "warn")]
        )
    return out


def summary(found: Sequence[ScheduleRow], coming: Coming, now: datetime) -> Line:
    """Counts, and what comes next."""
    states = Counter(each.state for each in found)
    parts = [f"{states[name]} {name}" for name in ("active", "paused", "off") if states[name]]
    day = now + timedelta(hours=24)
    soon = sum(each.at <= day for each in coming.fires)
    line = [Cell(" " + ", ".join(parts)), Cell(f"   {counted(soon, 'fire')} in the next 24 h", "dim")]
    if coming.cut:
        line.append(cell("   not counted to the end: " + ", ".join(sorted(coming.cut)), "dim"))
    return line
