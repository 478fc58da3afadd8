"""Times as they are typed: a moment, or a stretch such as `90s`, `30m`, `24h`, `7d`, `2w`.

Law: a number without a unit is refused, never guessed; what is more than ten years is no stretch but a slip.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from engine.model.errors import RequestError

_SPAN = re.compile(r"(?P<count>\d{1,9}(?:\.\d{1,6})?)\s*(?P<unit>ms|s|m|h|d|w)\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_LONGEST = timedelta(days=3660)


def moment(text: str | None, option: str) -> datetime | None:
    """An ISO 8601 date or time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RequestError(
            f"{option} takes a date such as 2026-11-19 or 2026-11-19T02:00Z, not '{text[:40]}'."
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def span(text: str, option: str) -> timedelta:
    """How long."""
    match = _SPAN.match(text.strip())
    seconds = float(match["count"]) * _UNITS[match["unit"]] if match else -1.0
    if not 0 <= seconds <= _LONGEST.total_seconds():
        raise RequestError(f"{option} takes a time such as 30s, 90m, 2h or 7d, not '{text[:40]}'.")
    return timedelta(seconds=seconds)


def since(text: str, option: str, now: datetime) -> datetime:
    """The moment so long ago, or the date or time itself."""
    if _SPAN.match(text.strip()):
        return now - span(text, option)
    try:
        found = moment(text, option)
    except RequestError:
        found = None
    if found is None:
        raise RequestError(
            f"{option} takes a time such as 30m, 24h or 7d, or a date such as 2026-11-19T02:00Z, not '{text[:40]}'."
        )
    return found
