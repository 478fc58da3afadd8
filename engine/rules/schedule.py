"""Which slots of a schedule are due, which are not, and why. Pure: the caller brings the time and the watermark.

Words:
- a **slot** is an instant at which the cron fires, within start_date and end_date (both included);
- a run made for a slot has `logical_date` = the slot; its data interval ends there and begins at the slot before
  that was not blacked out, so the intervals of consecutive runs leave no hole (`data_interval`);
- the **watermark** (`last_slot`) is state: every slot up to and with it has been decided, for good. It is stored in
  the transaction that makes the runs; only `due` and the `watermark_after_*` rules move it, and never backwards.

After downtime, `catchup: true` makes every missed slot due, one by one and oldest first; `catchup: false` makes
only the latest due, late as it may be, and says how many were passed over. Runs that nobody asked for are never
made: when a schedule is first seen, resumed or edited with `catchup: false`, what lies before that moment is not
due.

A blackout is a matter of the slot, not of the moment it is decided: a slot inside is skipped and named, a slot
outside is due even if the engine is late. A blacked-out slot is not made up for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from engine.model.schedule import Blackout, Schedule
from engine.rules.cron import (
    CronExpression,
    fires_with_notes,
    next_fire,
    next_fires,
    parse_cron,
    previous_fire,
    zone,
)

DEFAULT_LIMIT = 100  # slots decided at a time, so that one decision stays one small transaction
_COUNT_CAP = 1000  # passed-over slots are counted up to here; the figure is for people
_SEARCH_CAP = 2000  # steps over blackouts in search of a slot outside: years of daily ones
_TICK = timedelta(microseconds=1)
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackedOut:
    """A slot that a blackout keeps from firing."""

    slot: datetime
    blackout: Blackout

    @property
    def sentence(self) -> str:
        """For people and events."""
        return f"slot {_iso(self.slot)} is inside the blackout {self.blackout} and is skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSlots:
    """One decision. Store `watermark` with it, in the same transaction, whenever it differs from the one given."""

    fire: tuple[datetime, ...] = ()  # make a run for each, in this order
    blacked_out: tuple[BlackedOut, ...] = ()  # skipped, to be named
    passed_over: int = 0  # missed slots that `catchup: false` leaves out; at most 1,000 are counted
    watermark: datetime | None = None
    more: bool = False  # the limit cut it short: decide again with the new watermark
    catching_up: bool = False  # several slots were missed: see `overlap`


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingSlot:
    """A slot to come, for `schedule next`."""

    at: datetime
    local: datetime
    note: str | None  # what a clock change does to it
    blackout: Blackout | None  # what keeps it from firing


def due(
    schedule: Schedule,
    last_slot: datetime | None,
    now: datetime,
    *,
    paused: bool = False,
    limit: int = DEFAULT_LIMIT,
) -> DueSlots:
    """The slots to be decided at `now` (SCH-06, SCH-07).

    `last_slot` is the stored watermark; None means the schedule is seen for the first time. A `now` behind the
    watermark (the machine's clock was put back) makes nothing due, so no slot fires twice.
    """
    if paused or not schedule.enabled:
        return DueSlots(watermark=last_slot)
    mark = initial_watermark(schedule, now) if last_slot is None else last_slot
    first, until = _bounds(schedule, mark, now)
    if first >= until:
        return DueSlots(watermark=mark)
    decide = _every_missed if schedule.catchup else _latest_missed
    return decide(schedule, mark, first, until, limit)


def initial_watermark(schedule: Schedule, now: datetime) -> datetime:
    """Where a schedule begins that was never decided: at its start_date to catch up, otherwise now."""
    if schedule.catchup and schedule.start_date is not None:
        return schedule.start_date - _TICK
    return now


def watermark_after_resume(schedule: Schedule, last_slot: datetime | None, now: datetime) -> datetime:
    """Resuming fires what was missed only with `catchup: true` (PEERS 21)."""
    if last_slot is None:
        return initial_watermark(schedule, now)
    return last_slot if schedule.catchup else max(last_slot, now)


def watermark_after_edit(old: Schedule, new: Schedule, last_slot: datetime | None, now: datetime) -> datetime:
    """An edit never makes a time due at which nothing was scheduled then (PEERS 21).

    With `catchup: false` the new schedule begins now. With `catchup: true` too, unless the old one, catching up as
    well, still owed slots because the engine was down or the schedule paused: then the new one goes on from where
    the old one stopped. A schedule that was not enabled owed nothing. An edit that leaves the schedule as it was is
    none.
    """
    if last_slot is None:
        return initial_watermark(new, now)
    if old == new:
        return last_slot
    owed = old.catchup and next_wake(old, last_slot, until=now) is not None
    return last_slot if new.catchup and owed else max(last_slot, now)


def resume_consequence(
    schedule: Schedule, last_slot: datetime | None, now: datetime, *, limit: int = DEFAULT_LIMIT
) -> DueSlots:
    """What a resume at `now` would fire, to be shown before it does; `more` means these are only the first."""
    mark = watermark_after_resume(schedule, last_slot, now)
    consequence = due(schedule, mark, now, limit=limit)
    if schedule.catchup or last_slot is None or not schedule.enabled:
        return consequence
    cron, tz = _parsed(schedule)
    first, until = _bounds(schedule, last_slot, now)
    return DueSlots(watermark=mark, passed_over=_count(cron, tz, first, until))


def next_wake(schedule: Schedule, after: datetime, *, until: datetime | None = None) -> datetime | None:
    """The next slot after `after`, at which `due` has something to decide; blacked-out ones too, to be named."""
    if not schedule.enabled:
        return None
    cron, tz = _parsed(schedule)
    first, last = _bounds(schedule, after, until or schedule.end_date)
    return next(next_fires(cron, tz, first, last), None)


def next_run_time(schedule: Schedule, after: datetime) -> datetime | None:
    """The next slot after `after` that will fire (SCH-10); None when there is none, or blackouts leave none."""
    tz = zone(schedule.timezone)
    slot = next_wake(schedule, after)
    for _ in range(_SEARCH_CAP):
        hit = blackout_at(schedule, slot) if slot else None
        if slot is None or hit is None:
            return slot
        end = _edge(slot, hit.end, tz, forward=True)  # straight to the blackout's end, not slot by slot
        slot = next_wake(schedule, max(slot, end - _TICK))
    return None


def upcoming(schedule: Schedule, after: datetime) -> Iterator[UpcomingSlot]:
    """The slots after `after`, with what becomes of them (PEERS 22)."""
    cron, tz = _parsed(schedule)
    first, until = _bounds(schedule, after, schedule.end_date)
    for fire in fires_with_notes(cron, tz, first, until) if schedule.enabled else ():
        hit = blackout_at(schedule, fire.at)
        yield UpcomingSlot(at=fire.at, local=fire.local, note=fire.note, blackout=hit)


def slots_between(schedule: Schedule, first: datetime, last: datetime) -> Iterator[datetime]:
    """Every fire from `first` to `last`, both included, whatever the schedule's bounds: for a backfill."""
    cron, tz = _parsed(schedule)
    return (slot for slot in next_fires(cron, tz, first - _TICK, last) if blackout_at(schedule, slot) is None)


def data_interval(schedule: Schedule, slot: datetime) -> tuple[datetime, datetime]:
    """The stretch of data a run stands for: from the fire before to the slot itself, which is its logical date.

    A blacked-out slot is no fire, so the next run's interval covers it. `slot` may be any instant, such as the
    logical date of a run made by hand.
    """
    cron, tz = _parsed(schedule)
    before = nearest = previous_fire(cron, tz, slot)
    for _ in range(_SEARCH_CAP):
        hit = blackout_at(schedule, before) if before else None
        if before is None or hit is None:
            break
        start = _edge(before, hit.start, tz, forward=False)
        before = previous_fire(cron, tz, min(before, start))
    else:
        before = nearest  # every slot of a year is blacked out: there is no fire to begin at
    return before or slot, slot


def blackout_at(schedule: Schedule, slot: datetime) -> Blackout | None:
    """The blackout that a slot falls into, read on the local clock (SCH-04)."""
    if not schedule.blackout:
        return None
    shown = slot.astimezone(zone(schedule.timezone)).time()
    return next((blackout for blackout in schedule.blackout if _inside(blackout, shown)), None)


def bound_instant(value: date | datetime, timezone: str, *, last: bool = False) -> datetime:
    """A start_date or end_date as written, as the instant the model keeps.

    A bare date begins at its local midnight; as the last day (`last`) it counts in full. A time without an offset
    is local time.
    """
    tz = zone(timezone)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=tz)).astimezone(UTC)
    if last:
        return datetime.combine(value + timedelta(days=1), time(), tz).astimezone(UTC) - _TICK
    return datetime.combine(value, time(), tz).astimezone(UTC)


def scheduled_run_id(pipeline_id: str, slot: datetime, profile: str | None = None) -> str:
    """The id of the run of a slot: the same whoever computes it, so that a slot cannot fire twice (SCH-06)."""
    stamp = f"{slot.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    parts = ["scheduled", pipeline_id, stamp, *([profile] if profile else [])]
    return "__".join(_UNFIT.sub(lambda found: f"-{ord(found[0]):x}", part) for part in parts)


def _parsed(schedule: Schedule) -> tuple[CronExpression, ZoneInfo]:
    return parse_cron(schedule.cron), zone(schedule.timezone)


def _bounds(schedule: Schedule, after: datetime, until: datetime | None) -> tuple[datetime, datetime]:
    """(exclusive start, inclusive end) of the slots that may be looked at."""
    forever = datetime.max.replace(tzinfo=UTC)
    first = after if schedule.start_date is None else max(after, schedule.start_date - _TICK)
    return first, min(until or forever, schedule.end_date or forever)


def _every_missed(schedule: Schedule, mark: datetime, first: datetime, until: datetime, limit: int) -> DueSlots:
    cron, tz = _parsed(schedule)
    # One more than the limit is taken in one go, so that the last part of a catch-up is never a single slot that
    # would look like an ordinary one.
    slots = list(islice(next_fires(cron, tz, first, until), limit + 2))
    more = len(slots) > limit + 1
    decided = slots[:limit] if more else slots
    fire, skipped = _sorted_out(schedule, decided)
    return DueSlots(
        fire=fire,
        blacked_out=skipped,
        watermark=decided[-1] if decided else mark,
        more=more,
        catching_up=len(decided) > 1,
    )


def _latest_missed(schedule: Schedule, mark: datetime, first: datetime, until: datetime, _limit: int) -> DueSlots:
    cron, tz = _parsed(schedule)
    upcoming_slot = next_fire(cron, tz, first)
    if upcoming_slot is None or upcoming_slot > until:
        return DueSlots(watermark=mark)
    latest = previous_fire(cron, tz, until + _TICK) or upcoming_slot
    fire, skipped = _sorted_out(schedule, [latest])
    return DueSlots(
        fire=fire,
        blacked_out=skipped,
        passed_over=_count(cron, tz, first, latest - _TICK),
        watermark=latest,
    )


def _sorted_out(schedule: Schedule, slots: list[datetime]) -> tuple[tuple[datetime, ...], tuple[BlackedOut, ...]]:
    hits = [(slot, blackout_at(schedule, slot)) for slot in slots]
    skipped = tuple(BlackedOut(slot=slot, blackout=hit) for slot, hit in hits if hit is not None)
    return tuple(slot for slot, hit in hits if hit is None), skipped


def _count(cron: CronExpression, tz: ZoneInfo, after: datetime, until: datetime) -> int:
    return sum(1 for _ in islice(next_fires(cron, tz, after, until), _COUNT_CAP))


def _inside(blackout: Blackout, shown: time) -> bool:
    if blackout.start < blackout.end:
        return blackout.start <= shown < blackout.end
    return shown >= blackout.start or shown < blackout.end


def _edge(slot: datetime, edge: time, tz: ZoneInfo, *, forward: bool) -> datetime:
    """The nearest instant from the slot on (or back) at which the local clock shows this time.

    The slot itself where the clock is changed in between, since then it may leave the blackout in between as well.
    """
    local = slot.astimezone(tz)
    reach = (0, 1) if forward else (0, -1)
    found = [datetime.combine(local.date() + timedelta(days=n), edge, tz) for n in reach]
    near = next(
        (at for at in found if (at.astimezone(UTC) > slot if forward else at.astimezone(UTC) <= slot)), local
    )
    return near.astimezone(UTC) if near.utcoffset() == local.utcoffset() else slot


def _iso(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
