"""When a cron expression fires, in any time zone, on any day of the year.

croniter knows the fields; this module knows the clock. croniter is only ever asked for wall-clock times of a
day that has no clock changes, and the law below says which instants those wall-clock times are:

- a time that exists once fires once;
- **in a gap** (the clock is put forward) a fixed time fires once, at the gap's end; any other does not fire;
- **in an overlap** (the clock is put back) a fixed time fires once, the first time; any other fires both
  times.

A *fixed time* is one whose minute and hour fields both name their values: numbers, lists, ranges; no `*`, no
step, not all values. So `30 2 * * *` never gets lost and never runs twice, while `*/15 * * * *` and `@hourly`
keep their rhythm in elapsed time.

Expressions have 5 fields, or 6 with seconds **last** (as croniter has them), or are a preset. Day of month
and day of week are joined by "or" when both are restricted. `L`, `15W`, `MON#2` and `L5` are understood;
hashed (`H`) and random (`R`) values are refused, since the same schedule has to fire at the same times on
every machine. Minutes are what is promised; seconds are accepted (C-15). Nothing is searched beyond the years
1900 to 2200.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIELDS = ("minute", "hour", "day of month", "month", "day of week", "second")
_LIMITS = ("0-59", "0-23", "1-31, L or 15W", "1-12 or JAN-DEC", "0-7 or SUN-SAT, MON#2, L5", "0-59")
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001  a wall-clock time has no zone
_TICK = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_PLAIN = re.compile(r"[a-z0-9*/,\-#?]+")
_HASHED = re.compile(r"(?:^|,)[hr](?:$|[,(/])")
_ONE_VALUE_RANGE = re.compile(r"(?:^|,)(\w+)-\1(?:$|[,/#])")


class CronError(ValueError):
    """An expression that is none; the message says which field, and what would do."""


class TimezoneError(ValueError):
    """A time zone nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronExpression:
    """A parsed expression; only `parse_cron` makes one."""

    text: str  # as it was written
    fields: str  # 5 or 6 fields in lower case, presets written out
    fixed: bool  # whether it names fixed times, which no clock change may lose or double

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One instant at which an expression fires."""

    at: datetime  # aware UTC
    local: datetime  # the same in the schedule's zone
    note: str | None = None  # what a clock change has to do with it, for people


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name; raises TimezoneError."""
    try:
        return ZoneInfo(name)
    except (
        ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ) as error:  # OSError: a folder of zones, such as `Europe`
        raise TimezoneError(
            f"unknown time zone {name!r}; write an IANA name such as Europe/Berlin or UTC"
        ) from error


@lru_cache(maxsize=4096)  # pure, and asked for the same few expressions at every wake-up
def parse_cron(text: str) -> CronExpression:
    """The expression, checked to have sound fields and to fire at all; raises CronError."""
    fields = _split(text)
    for place, field in enumerate(fields):
        _check_field(text, place, field)
    joined = " ".join(fields)
    if next(_walls(joined, _ANY_DAY), None) is None:
        raise CronError(
            f"cron {text!r} never fires: no date has day of month {fields[2]!r}, month {fields[3]!r} "
            f"and day of week {fields[4]!r}"
        )
    return CronExpression(text=text, fields=joined, fixed=_names_values(joined))


def _split(text: str) -> list[str]:
    lowered = text.strip().lower()
    if lowered.startswith("@") and lowered not in PRESETS:
        raise CronError(f"unknown cron preset {text!r}; there are {', '.join(PRESETS)}")
    fields = PRESETS.get(lowered, lowered).split()
    if len(fields) not in (5, 6):
        raise CronError(
            f"cron {text!r} has {len(fields)} fields; it takes 5 (minute, hour, day of month, month, "
            "day of week), 6 with seconds last, or a preset such as @daily"
        )
    return fields


def _check_field(text: str, place: int, field: str) -> None:
    """Each field is tried alone among stars, so that the one that is wrong can be named."""
    from croniter import CroniterError, croniter

    where = f"cron {text!r}: {FIELDS[place]} {field!r}"
    if _HASHED.search(field):
        raise CronError(f"{where} is hashed or random; write fixed values, so that every machine fires alike")
    twin = _ONE_VALUE_RANGE.search(field)
    if twin:
        raise CronError(f"{where} is a range of one value; write {twin[1]!r} for that value, or * for all")
    stars = ["*"] * max(5, place + 1)
    stars[place] = field
    try:
        if not _PLAIN.fullmatch(field):
            raise ValueError(field)
        croniter.expand(" ".join(stars))
    except (CroniterError, ValueError, KeyError) as error:
        raise CronError(f"{where} is not valid; it takes {_LIMITS[place]}, with * , - and /") from error


def _names_values(fields: str) -> bool:
    """Whether minute and hour both name values, and not all of them."""
    from croniter import croniter

    expanded = croniter.expand(fields)[0]
    return "/" not in "".join(fields.split()[:2]) and "*" not in (*expanded[0], *expanded[1])


def next_fires(
    cron: CronExpression, tz: tzinfo, after: datetime, until: datetime | None = None
) -> Iterator[datetime]:
    """Every instant it fires after `after`, up to and with `until`: aware UTC, strictly increasing."""
    return (fire.at for fire in fires_with_notes(cron, tz, after, until))


def next_fire(cron: CronExpression, tz: tzinfo, after: datetime) -> datetime | None:
    """The first instant it fires after `after`."""
    return next(next_fires(cron, tz, after), None)


def previous_fire(cron: CronExpression, tz: tzinfo, before: datetime) -> datetime | None:
    """The last instant it fired before `before`.

    Going back by wall-clock times finds a place to start from; what happened since is then read forwards,
    because around an overlap wall-clock times and instants are not in the same order.
    """
    for wall in _walls_back(cron.fields, _wall(before, tz) + _SECOND):
        start = min(_instants(wall, tz))
        last = deque(next_fires(cron, tz, start - _TICK, before - _TICK), maxlen=1)
        if last:
            return last[0]
    return None


def fires_with_notes(
    cron: CronExpression, tz: tzinfo, after: datetime, until: datetime | None = None
) -> Iterator[Fire]:
    """As `next_fires`, with what a clock change does to each."""
    latest = after
    for fire in _in_order(cron, tz, after, until):
        if until is not None and fire.at > until:
            return
        if fire.at > latest:  # a time moved to a gap's end may meet one that stands there by itself
            latest = fire.at
            yield fire


def _in_order(cron: CronExpression, tz: tzinfo, after: datetime, until: datetime | None) -> Iterator[Fire]:
    """Fires from a little before `after`; never out of order, sometimes one twice.

    Walls ascend, and so do the instants they first stand for. Second passes of an overlap come later than
    first passes of later walls, so they wait in `second` until their time has come.
    """
    second: deque[Fire] = deque()
    lost: list[datetime] = []  # walls in a gap that do not fire
    for wall in _walls(cron.fields, _first_wall(tz, after)):
        one, other = _instants(wall, tz)
        if until is not None and min(one, other) > until:
            break
        if one > other and not cron.fixed:
            lost.append(wall)
            continue
        fire = _first_pass(wall, one, other, tz, lost)
        while second and second[0].at <= fire.at:
            yield second.popleft()
        yield fire
        lost = []
        if one < other and not cron.fixed:
            second.append(_fire(other, tz, f"second of two {_clock(wall)}"))
    yield from second


def _first_pass(wall: datetime, one: datetime, other: datetime, tz: tzinfo, lost: list[datetime]) -> Fire:
    if one < other:
        return _fire(one, tz, f"first of two {_clock(wall)}")
    if one > other:
        end = _change(tz, other, one)
        day = "" if wall.date() == _wall(end, tz).date() else f"{wall:%Y-%m-%d} "
        return _fire(end, tz, f"moved from {day}{_clock(wall)} by the clock change")
    if lost:
        span = _clock(lost[0]) if len(lost) == 1 else f"{_clock(lost[0])} to {_clock(lost[-1])}"
        return _fire(one, tz, f"the clock change skips {span} before it")
    return _fire(one, tz, None)


def _fire(at: datetime, tz: tzinfo, note: str | None) -> Fire:
    return Fire(at=at, local=at.astimezone(tz), note=note)


def _clock(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"


def _wall(instant: datetime, tz: tzinfo) -> datetime:
    return instant.astimezone(tz).replace(tzinfo=None)


def _instants(wall: datetime, tz: tzinfo) -> tuple[datetime, datetime]:
    """The instants of a wall-clock time read by the rule before and by the rule after a clock change.

    Equal: it exists once. Ascending: it exists twice, these are they. Descending: it does not exist, and the
    end of the gap lies between them (PEP 495).
    """
    one = wall.replace(tzinfo=tz, fold=0).astimezone(UTC)
    return one, wall.replace(tzinfo=tz, fold=1).astimezone(UTC)


def _first_wall(tz: tzinfo, after: datetime) -> datetime:
    """The earliest wall-clock time that is still to come after this instant."""
    wall = _wall(after, tz).replace(microsecond=0)
    one, other = _instants(wall, tz)
    if one < other:  # in an overlap the clock will be, or has been, put back to where the overlap begins
        return _wall(_change(tz, one, other), tz)
    return wall


def _change(tz: tzinfo, before: datetime, after: datetime) -> datetime:
    """The second at which the clock is changed between two instants."""
    low, high = int(before.timestamp()), int(after.timestamp())
    offset = before.astimezone(tz).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, tz).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _walls(fields: str, start: datetime) -> Iterator[datetime]:
    """Naive wall-clock times from `start` on that the fields match."""
    from croniter import CroniterBadDateError, croniter

    clock = croniter(fields, start - _SECOND)
    try:
        while (wall := clock.get_next(datetime)).year <= _LAST_YEAR:
            yield wall
    except CroniterBadDateError:
        return


def _walls_back(fields: str, start: datetime) -> Iterator[datetime]:
    """Naive wall-clock times before `start` that the fields match, latest first."""
    from croniter import CroniterBadDateError, croniter

    clock = croniter(fields, start)
    try:
        while (wall := clock.get_prev(datetime)).year >= _FIRST_YEAR:
            yield wall
    except CroniterBadDateError:
        return
