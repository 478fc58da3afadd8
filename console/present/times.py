"""Times and amounts as people read them. Pure: `now` comes in as an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def span(seconds: float | None) -> str:
    """`41 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return ""
    if seconds < 0:
        return "-" + span(-seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    left = int(seconds)
    if left < 60:
        return f"{left} s"
    for i, (unit, size) in enumerate(_UNITS):
        if left >= size:
            smaller, small = _UNITS[i + 1] if i + 1 < len(_UNITS) else ("s", 1)
            rest = left % size // small
            return f"{left // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{left} s"


def brief(seconds: float | None) -> str:
    """A span for narrow columns: `41s`, `3m20`, `2h05`, `3d04`."""
    if seconds is None:
        return ""
    left = int(max(seconds, 0))
    if left < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{left}s"
    if left < 3_600:
        return f"{left // 60}m{left % 60:02d}"
    if left < 86_400:
        return f"{left // 3_600}h{left % 3_600 // 60:02d}"
    return f"{left // 86_400}d{left % 86_400 // 3_600:02d}"


def ago(at: datetime | None, now: datetime) -> str:
    """`12 s ago`, in minutes and more after one; the future is `in 3 min`."""
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    if seconds < -1:
        return f"in {coarse(-seconds)}"
    return f"{coarse(seconds)} ago"


def coarse(seconds: float) -> str:
    """One unit: what moves seldom."""
    left = int(max(seconds, 0))
    for unit, size in _UNITS:
        if left >= size:
            return f"{left // size} {unit}"
    return f"{left} s"


def moment(at: datetime | None, now: datetime) -> str:
    """UTC: the time today, else day and time; the year where it is another."""
    if at is None:
        return ""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%m-%d %H:%M}" if at.year == now.year else f"{at:%Y-%m-%d}"


def stamp(at: datetime | None) -> str:
    """UTC to the second, as cards show it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at is not None else ""


def between(start: datetime | None, end: datetime | None, now: datetime) -> float | None:
    """Seconds from start to end, or to now while it goes on."""
    return ((end or now) - start).total_seconds() if start is not None else None


def since(text: str) -> timedelta | None:
    """`30s`, `10m`, `2h`, `3d`, `1w` as a length of time; None when it is none."""
    units = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = units.get(text[len(number) :])
    if unit is None or not number.isdigit() or len(number) > 6:
        return None
    return timedelta(seconds=int(number) * unit)


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 run`, `12,345 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(count: float | None) -> str:
    """`1.2 MB`."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return ""
