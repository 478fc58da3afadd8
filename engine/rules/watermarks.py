"""The values of watermarks: written down with their type, read back, compared (INC-03).

Law: pure. A value that was written down is read back as it was, to the microsecond and the last digit. Only values
of one type are compared; a source whose watermark changes its type is told so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.model.dataset import Strategy
from engine.model.errors import DataQualityError, RequestError

Value = Mapping[str, Any]  # {"type": ..., "value": ...}


def written(value: Any) -> dict[str, Any] | None:
    """A value as plain JSON with its type; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool | list | dict):
        return {"type": "json", "value": value}
    if isinstance(value, datetime):
        return {"type": "timestamp" if value.tzinfo else "datetime", "value": _iso(value)}
    if isinstance(value, date):
        return {"type": "date", "value": value.isoformat()}
    if isinstance(value, Decimal):
        return {"type": "decimal", "value": str(value)}
    if isinstance(value, int):
        return {"type": "integer", "value": value}
    if isinstance(value, float):
        return {"type": "float", "value": value}
    return {"type": "string", "value": str(value)}


def read(value: Value | None) -> Any:
    """The value itself."""
    if value is None:
        return None
    kind, inner = value["type"], value["value"]
    if kind in ("timestamp", "datetime"):
        return datetime.fromisoformat(inner)
    if kind == "date":
        return date.fromisoformat(inner)
    if kind == "lsn":
        high, _, low = inner.partition("/")  # a place in PostgreSQL's log
        return (int(high, 16) << 32) + int(low, 16)
    return Decimal(inner) if kind == "decimal" else inner


def oldest(values: Iterable[Value | None]) -> Value | None:
    """The least of several; None, which is the beginning, is the least of all."""
    found: Value | None = None
    for at, value in enumerate(values):
        if value is None:
            return None
        if at == 0 or (found is not None and newer(found, value)):
            found = value
    return found


def newer(one: Value | None, other: Value | None) -> bool:
    """Whether `one` is after `other`."""
    if one is None or other is None:
        return one is not None
    mine, theirs = read(one), read(other)
    if comparable(one, other):
        return bool(mine > theirs)
    raise DataQualityError(
        f"The watermark was a {other['type']} and is now a {one['type']}; the two cannot be compared. "
        "If the column has changed for good, reset it with `penstock watermarks reset`."
    )


def comparable(one: Value, other: Value) -> bool:
    """Whether the order of the two means anything."""
    numbers = {"integer", "float", "decimal"}
    if one["type"] in numbers and other["type"] in numbers:
        return True
    return bool(one["type"] == other["type"] and one["type"] != "json")


def looked_back(value: Value | None, seconds: float) -> Value | None:
    """The value, moved back by the lookback window; what is no time stays where it is (INC-05)."""
    if value is None or seconds <= 0 or value["type"] not in ("timestamp", "datetime"):
        return value
    try:
        return written(read(value) - timedelta(seconds=seconds))
    except OverflowError:
        return None  # before time began


def shown(value: Value | None) -> str | None:
    """A value as people read and type it; `typed` reads it back."""
    if value is None:
        return None
    inner = value["value"]
    return inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)


def typed(text: str, like: Value | None, strategy: Strategy) -> dict[str, Any]:
    """What somebody typed, as a value of the type that the watermark has; RequestError when it is none."""
    kind = like["type"] if like is not None else _usual(text, strategy)
    try:
        return {"type": kind, "value": _parsed(text.strip(), kind)}
    except (ValueError, ArithmeticError) as error:
        raise RequestError(f"'{text[:80]}' is no {kind}, which this watermark is. {_EXAMPLES[kind]}") from error


_EXAMPLES = {
    "timestamp": "Write 2026-03-01T02:00:00Z.",
    "datetime": "Write 2026-03-01T02:00:00, without a zone.",
    "date": "Write 2026-03-01.",
    "decimal": "Write 12.50.",
    "integer": "Write 1200.",
    "float": "Write 0.5.",
    "json": "Write JSON.",
    "string": "",
}


def _usual(text: str, strategy: Strategy) -> str:
    """Of a watermark that is at the beginning."""
    if strategy is Strategy.TIMESTAMP:
        return "timestamp"
    whole = text.strip().lstrip("-").isdecimal()
    return "integer" if strategy is Strategy.ID and whole else "string"


def _parsed(text: str, kind: str) -> Any:
    if kind in ("timestamp", "datetime"):
        at = datetime.fromisoformat(text)
        if kind == "datetime" and at.tzinfo is not None:
            raise ValueError(text)
        return _iso(at if kind == "datetime" or at.tzinfo else at.replace(tzinfo=UTC))
    if kind == "date":
        return date.fromisoformat(text).isoformat()
    if kind == "decimal":
        number = Decimal(text)
        if not number.is_finite():
            raise ValueError(text)
        return str(number)
    if kind == "float":
        if not math.isfinite(float(text)):
            raise ValueError(text)
        return float(text)
    if kind == "json":
        return json.loads(text)
    return int(text) if kind == "integer" else text


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
