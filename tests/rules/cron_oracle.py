"""What the cron law says, found the slow way: every UTC minute is looked at in its zone.

Written without croniter: its own field parser, its own idea of gaps and overlaps (minutes the local clock
jumps over, minutes it has shown before). Nothing of `engine.rules.cron` is used.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {
    3: {name.lower(): n for n, name in enumerate(calendar.month_abbr) if name},
    4: dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True)),
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))

ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Atlantic/Azores",
    "Africa/Casablanca", "Africa/Cairo", "Asia/Beirut", "Asia/Gaza", "Asia/Jerusalem", "Asia/Tehran",
    "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Kolkata", "Australia/Lord_Howe", "Australia/Sydney",
    "Australia/Adelaide", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Apia", "Pacific/Kwajalein",
    "Antarctica/Troll", "America/New_York", "America/St_Johns", "America/Havana", "America/Caracas",
    "America/Sao_Paulo", "America/Santiago", "America/Asuncion", "America/Nuuk",
)  # fmt: skip

# Where the last changes are long past, or an older one is stranger: the year to look for them in.
STRANGE_YEARS = {
    "Asia/Kathmandu": (1985, 1986),  # 15 minutes forward, once
    "Asia/Pyongyang": (2015, 2018),  # 30 minutes back, and forward again
    "Asia/Kolkata": (2024,),  # none
    "Asia/Tehran": (2021,),
    "Pacific/Apia": (2010, 2011),  # 30 December 2011 did not happen
    "Pacific/Kwajalein": (1993,),  # nor did 21 August 1993
    "America/St_Johns": (2006,),  # at one minute past midnight
    "America/Caracas": (2007, 2016),
    "America/Sao_Paulo": (2018,),
}

EXPRESSIONS = (
    # fixed times
    "0 0 * * *", "30 0 * * *", "15 1 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "45 2 * * *",
    "0 3 * * *", "59 23 * * *", "30 23 * * *", "0 1,2,3 * * *", "15 1,2,3 * * *", "0,30 2 * * *",
    "0,20,40 1,2 * * *", "10 0-5 * * *", "5 0,1 * * *", "0-5 2 * * *", "50-59 1 * * *", "0 22-2 * * *",
    "55-5 0 * * *", "1 0 * * *", "0 12 * * *", "30 4,16 * * *", "0 0,6,12,18 * * *", "44,45,46 2,3 * * *",
    "29,30,31 1,2 * * *",
    # fixed times on some days
    "30 2 * * 0", "30 2 * * SUN", "0 2 * * 7", "30 1 * * 6,0", "30 2 * * 1-5", "0 0 * * sat-mon", "0 0 1 * *",
    "30 2 1 * *", "30 2 L * *", "0 0 31 * *", "30 2 29 2 *", "0 2 * 3 *", "30 2 * MAR,OCT *", "0 1 * 4-11 *",
    "30 2 13 * 5", "30 2 1 * 0", "0 0 1,15 * 3", "30 2 */2 * *", "30 2 */2 * 0", "30 2 25-31 3 *",
    "30 2 25-31 10 0", "0 2 * * sun#2", "0 2 * * 0#1", "30 1 * * 0#4", "30 1 * * L0", "0 3 8-14 3 *",
    "0 0 1 1 *", "30 0 31 12 *", "0 0 * * fri", "15 0 30 12 *", "0 0 24-31 * *",
    # every so often
    "0 * * * *", "30 * * * *", "59 * * * *", "0,30 * * * *", "15,45 * * * *", "*/5 * * * *", "*/7 * * * *",
    "*/15 * * * *", "*/20 * * * *", "*/30 * * * *", "0-10 * * * *", "5/15 * * * *", "0 */2 * * *",
    "0 */3 * * *", "30 */2 * * *", "30 1-23/2 * * *", "0 2/4 * * *", "*/15 2 * * *", "*/15 1-3 * * *",
    "*/20 1-3 * * *", "*/10 0 * * *", "*/30 23 * * *", "* 2 * * *", "* 1 * * *", "* 0 * * *",
    "0-30/10 2 * * *", "0 0-23 * * *", "0-59 2 * * *", "30 0-23 * * *", "*/15 * * * 0", "0 * * * 1-5",
    "*/30 */2 * * *", "*/30 1-3 * * sun", "0 */6 1 * *", "15 * 1,15 * 0", "0 */1 * * *", "*/1 2 * * *",
    "*/45 * * * *", "0 9-17/2 * * *", "*/17 0-4 * * *", "*/12 * 25-31 3,10 *", "*/30 2 * * 7",
    "5-55/10 1,2 * * *", "0 0/12 * * *", "*/59 * * * *", "20 */5 * * *",
)  # fmt: skip


@dataclass(frozen=True)
class Window:
    """One stretch of time in one zone."""

    zone: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.zone} {self.start:%Y-%m-%dT%H:%MZ}/{self.end:%Y-%m-%dT%H:%MZ}"


def parse_field(text: str, place: int) -> set[int]:
    low, high = BOUNDS[place]
    values: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        names = NAMES.get(place, {})
        begin = low if first == "*" else names.get(first) if first in names else int(first)
        assert begin is not None
        if dash:
            end = names[last] if last in names else int(last)
        else:
            end = high if step or first == "*" else begin
        if end < begin:
            end += high - low + 1  # round the corner: 22-2
        for value in range(begin, end + 1, int(step or 1)):
            values.add(value if value <= high else (value - low) % (high - low + 1) + low)
    return values


class Expression:
    """Five fields, matched against a local date and a minute of the day."""

    def __init__(self, text: str) -> None:
        minute, hour, self.dom, month, self.dow = text.lower().split()
        self.minutes = parse_field(minute, 0)
        self.hours = parse_field(hour, 1)
        self.months = parse_field(month, 3)
        named = [("*" not in field and "/" not in field) for field in (minute, hour)]
        self.fixed = all(named) and len(self.minutes) < 60 and len(self.hours) < 24
        self.times = {h * 60 + m for h in self.hours for m in self.minutes}

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = self._by_month(day), self._by_week(day)
        if by_month is None or by_week is None:
            return bool((by_month is None or by_month) and (by_week is None or by_week))
        return by_month or by_week

    def _by_month(self, day: date) -> bool | None:
        if self.dom == "l":
            return day.day == calendar.monthrange(day.year, day.month)[1]
        days = parse_field(self.dom, 2)
        return None if len(days) == 31 else day.day in days

    def _by_week(self, day: date) -> bool | None:
        weekday = day.isoweekday() % 7
        if "#" in self.dow:
            name, _, nth = self.dow.partition("#")
            return weekday in parse_field(name, 4) and (day.day - 1) // 7 + 1 == int(nth)
        if self.dow.startswith("l"):
            return weekday == int(self.dow[1:]) and (day + timedelta(days=7)).month != day.month
        days = parse_field(self.dow, 4)
        return None if len(days) == 7 else weekday in days


@dataclass(frozen=True)
class Minute:
    """One wall-clock minute and the instant that shows it, or (`lost`) the end of the gap it fell into."""

    at: datetime
    day: date
    time: int
    again: bool  # the clock has shown it before
    lost: bool  # the clock never shows it


@lru_cache(maxsize=8)
def walk(window: Window) -> tuple[Minute, ...]:
    """All minutes of the window. It starts a day early, to know what the clock has shown before."""
    tz = ZoneInfo(window.zone)
    seen: set[datetime] = set()
    minutes: list[Minute] = []
    instant = window.start - timedelta(days=1)
    shown = instant.astimezone(tz).replace(tzinfo=None) - MINUTE
    while instant <= window.end:
        wall = instant.astimezone(tz).replace(tzinfo=None)
        jumped = shown + MINUTE
        while jumped < wall and instant >= window.start:
            minutes.append(Minute(instant, jumped.date(), jumped.hour * 60 + jumped.minute, False, True))
            jumped += MINUTE
        if instant >= window.start:
            minutes.append(Minute(instant, wall.date(), wall.hour * 60 + wall.minute, wall in seen, False))
        seen.add(wall)
        shown = wall
        instant += MINUTE
    return tuple(minutes)


def fires(text: str, window: Window) -> list[datetime]:
    """When the expression fires within the window, both ends included."""
    expression = Expression(text)
    days: dict[date, bool] = {}
    found: list[datetime] = []
    for minute in walk(window):
        if minute.time not in expression.times or (
            (minute.again or minute.lost) and not _counts(minute, expression)
        ):
            continue
        if minute.day not in days:
            days[minute.day] = expression.on(minute.day)
        if days[minute.day] and (not found or found[-1] != minute.at):
            found.append(minute.at)
    return found


def _counts(minute: Minute, expression: Expression) -> bool:
    return expression.fixed if minute.lost else not expression.fixed


def changes(zone: str, years: tuple[int, ...]) -> list[tuple[datetime, str]]:
    """The clock changes of these years, to the hour before, and whether each is a gap or an overlap."""
    tz = ZoneInfo(zone)
    found = []
    for year in years:
        hour = datetime(year, 1, 1, tzinfo=UTC)
        offset = hour.astimezone(tz).utcoffset()
        while hour.year == year:
            now = hour.astimezone(tz).utcoffset()
            assert now is not None
            assert offset is not None
            if now != offset:
                found.append((hour, "gap" if now > offset else "overlap"))
            offset = now
            hour += timedelta(hours=1)
    return found


@lru_cache(maxsize=64)
def windows(zone: str, years: tuple[int, ...] | None = None) -> tuple[Window, ...]:
    """36 hours either side of one gap and one overlap of the zone; of every change in `years`, if given."""
    found = changes(zone, years or STRANGE_YEARS.get(zone, (2024, 2023)))
    picked = found if years else list({kind: (at, kind) for at, kind in found}.values())
    around = [at for at, _ in picked] or [datetime(2024, 2, 29, tzinfo=UTC)]
    half = timedelta(hours=36)
    return tuple(Window(zone, at - half, at + half) for at in around)
