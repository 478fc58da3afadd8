"""What is new in a table: which column tells, what the query asks for, how far the rows reach.

Law: a watermark is never beyond the source's own clock and never before the one the read began at. Rows equal to
the watermark are read again where there is a lookback; without one, only what is greater. A column that is gone or
has changed its kind since the watermark was committed is told, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.kinds import fingerprint, kind_of
from engine.model.dataset import DataKind, Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Seen, Window
from engine.rules.watermarks import looked_back, newer, read, written

_CHANGED = re.compile(r"(updated|modified|changed|last_?(update|change|modif)|mtime|sync)", re.IGNORECASE)
_MADE = re.compile(r"(created|inserted|loaded|recorded|timestamp|event_?(time|at)|_at$|_ts$)", re.IGNORECASE)
_TIMES = frozenset({DataKind.TIMESTAMP, DataKind.DATE})
_NUMBERS = frozenset({DataKind.INTEGER, DataKind.DECIMAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a column besides its field."""

    field: pa.Field
    indexed: bool = False  # the first column of an index
    primary: bool = False  # the primary key by itself


def candidates(columns: Sequence[Facts]) -> list[Candidate]:
    """Ways to read a table incrementally, the best first (SRC-07)."""
    ranked = [(_rank(each), at, each) for at, each in enumerate(columns)]
    wanted = sorted((rank, at, each) for rank, at, each in ranked if rank is not None) if ranked else []
    return [_candidate(each) for _, _, each in wanted]


def _rank(one: Facts) -> tuple[int, int] | None:
    kind, name = kind_of(one.field), str(one.field.name)
    safe = (0 if one.indexed or one.primary else 1) + (1 if one.field.nullable else 0)
    if kind is DataKind.TIMESTAMP and _CHANGED.search(name):
        return 0, safe
    if kind is DataKind.INTEGER and one.primary:
        return 1, 0
    if kind is DataKind.TIMESTAMP and _MADE.search(name):
        return 2, safe
    return None


def _candidate(one: Facts) -> Candidate:
    name = str(one.field.name)
    traits = [*(["indexed"] if one.indexed else []), *([] if one.field.nullable else ["never null"])]
    told = f" ({', '.join(traits)})" if traits else ""
    if kind_of(one.field) is DataKind.INTEGER:
        reason = f"'{name}' is the primary key, a number: new rows have a higher one, changed rows are not seen."
        return Candidate(strategy=Strategy.ID, column=name, reason=reason)
    said = "says when a row was last changed" if _CHANGED.search(name) else "says when a row was made"
    return Candidate(strategy=Strategy.TIMESTAMP, column=name, reason=f"'{name}'{told} {said}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newness:
    """A window on one table or query, with the column that it is about."""

    window: Window
    strategy: Strategy
    field: pa.Field
    schema_mark: str  # fingerprint of the source's columns

    def condition(self, column: str, markers: Sequence[str]) -> tuple[str, list[Any]]:
        """A condition for WHERE and its values; `column` quoted, `markers` where the first and second are bound."""
        parts: list[str] = []
        values: list[Any] = []
        after = self._from()
        if after is not None:
            parts.append(f"{column} {'>=' if self._looks_back else '>'} {markers[0]}")
            values.append(self._bound(after))
        if self.window.upto is not None:
            parts.append(f"{column} <= {markers[len(values)]}")
            values.append(self._bound(self.window.upto))
        if self.window.nulls == "include":
            return (f"(({' AND '.join(parts)}) OR {column} IS NULL)", values) if parts else ("1 = 1", [])
        return (" AND ".join(parts) if parts else f"{column} IS NOT NULL"), values

    def bounds(self) -> tuple[Any, Any]:
        """Where the window begins and ends, as the column is compared."""
        after, upto = self._from(), self.window.upto
        return None if after is None else self._bound(after), None if upto is None else self._bound(upto)

    def within(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are in the window, for a source whose comparison is not as exact."""
        column = batch.column(batch.schema.get_field_index(self.field.name))
        low, high = self.bounds()
        wanted = pa.repeat(pa.scalar(True), batch.num_rows)
        if low is not None:
            above = pc.greater_equal if self._looks_back else pc.greater
            wanted = pc.and_kleene(wanted, above(column, pa.scalar(low, column.type)))
        if high is not None:
            wanted = pc.and_kleene(wanted, pc.less_equal(column, pa.scalar(high, column.type)))
        missing = pc.is_null(column)
        if self.window.nulls == "include":
            return batch.filter(pc.or_kleene(missing, wanted))
        return batch.filter(pc.and_kleene(pc.invert(missing), wanted))

    @property
    def _looks_back(self) -> bool:
        return self.strategy is Strategy.TIMESTAMP and self.window.lookback_seconds > 0

    def _from(self) -> Any:
        if not self._looks_back:
            return self.window.after
        return looked_back(self.window.after, self.window.lookback_seconds)

    def _bound(self, value: Any) -> Any:
        """The value as the column is compared: with a zone or without one, as the column is."""
        found = read(value)
        if isinstance(found, str):
            found = _time(found, self.field.name)  # `initial` as it is written in a file
        if isinstance(found, datetime) and pa.types.is_timestamp(self.field.type):
            return _as(found, self.field.type.tz is not None, ZoneInfo(self.window.timezone))
        if isinstance(found, datetime) and pa.types.is_date(self.field.type):
            return found.date()
        return found


def _time(text: str, column: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The watermark of column '{column}' is no time; write 2026-01-31T12:00:00+00:00."
        ) from error


def _as(value: datetime, aware: bool, zone: ZoneInfo) -> datetime:
    """A time as an instant in UTC, or as the wall clock of the source's zone."""
    if aware:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=zone).astimezone(UTC)
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value


def chosen(columns: Sequence[str], there: Sequence[str], where: str) -> Sequence[str]:
    """The columns that are read: those that were named, or all. ConfigurationError for one that is not there."""
    for name in columns:
        if name not in there:
            near = get_close_matches(name, there, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(there[:20])}."
            raise ConfigurationError(f"{where} has no column '{name}'; {hint}")
    return columns or there


def newness(window: Window, schema: pa.Schema, found: Sequence[Candidate], where: str) -> Newness:
    """What the window is about. ConfigurationError when that is not clear."""
    if window.strategy not in (None, Strategy.TIMESTAMP, Strategy.ID):
        raise ConfigurationError(
            f"{where}: the strategy '{window.strategy}' is not for tables; use timestamp or id."
        )
    column = window.column or _best(window, found, schema, where)
    if column not in schema.names:
        raise _gone(window, column, schema, where)
    field = schema.field(column)
    kind = kind_of(field)
    strategy = window.strategy or (Strategy.TIMESTAMP if kind in _TIMES else Strategy.ID)
    if kind not in (_TIMES if strategy is Strategy.TIMESTAMP else _NUMBERS):
        wanted = "a timestamp or date" if strategy is Strategy.TIMESTAMP else "a number"
        raise ConfigurationError(
            f"{where}: column '{column}' is of kind {kind}; the strategy '{strategy}' needs {wanted}."
        )
    _same_kind(window, column, kind, where)
    return Newness(window=window, strategy=strategy, field=field, schema_mark=fingerprint(schema))


def must_have(asked: Newness, columns: Sequence[str], where: str) -> None:
    """The column that tells what is new has to be among those that are read."""
    if asked.field.name not in columns:
        raise ConfigurationError(
            f"{where}: `columns` leaves out '{asked.field.name}', which tells what is new; add it."
        )


def _best(window: Window, found: Sequence[Candidate], schema: pa.Schema, where: str) -> str:
    for each in found:
        if window.strategy in (None, each.strategy):
            return each.column
    raise ConfigurationError(
        f"{where}: no column tells what is new; name one in `incremental.column`. There are "
        f"{', '.join(schema.names[:30])}."
    )


def _gone(window: Window, column: str, schema: pa.Schema, where: str) -> ConfigurationError:
    if window.fingerprint and window.fingerprint != fingerprint(schema):
        return ConfigurationError(
            f"{where}: the watermark's column '{column}' is gone; there are {', '.join(schema.names[:30])}. "
            "Name another in `incremental.column` and reset with `penstock watermarks reset`."
        )
    near = get_close_matches(column, schema.names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(schema.names[:30])}."
    return ConfigurationError(f"{where}: there is no column '{column}' for `incremental`; {hint}")


_KINDS_OF_VALUES = {
    "timestamp": _TIMES,
    "datetime": _TIMES,
    "date": _TIMES,
    "string": _TIMES,  # `initial` as it is written in a file
    "integer": _NUMBERS,
    "float": _NUMBERS,
    "decimal": _NUMBERS,
}


def _same_kind(window: Window, column: str, kind: DataKind, where: str) -> None:
    after = window.after
    if after is not None and kind not in _KINDS_OF_VALUES.get(after["type"], frozenset()):
        raise ConfigurationError(
            f"{where}: column '{column}' is of kind {kind} now, and the watermark is of kind {after['type']}; "
            "if it has changed for good, reset with `penstock watermarks reset`."
        )


class Reach:
    """How far the rows that were handed out reach."""

    def __init__(self, asked: Newness, now: datetime) -> None:
        self._asked = asked
        self._limit = _limit(asked, now)
        self._highest: Any = None

    def saw(self, batch: pa.RecordBatch) -> None:
        """These rows were handed out. What lies in the source's future does not count."""
        column = batch.column(batch.schema.get_field_index(self._asked.field.name))
        if pa.types.is_timestamp(column.type) and column.type.unit != "us":
            column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        if self._limit is not None:
            column = column.filter(pc.fill_null(pc.less_equal(column, self._limit.cast(column.type)), False))
        highest = pc.max(column).as_py()
        if highest is not None and (self._highest is None or highest > self._highest):
            self._highest = highest

    def seen(self) -> Seen:
        """The new watermark; without a value where nothing is beyond the one before."""
        value = written(self._highest)
        after = self._asked.window.after
        beyond = value is not None and (after is None or _newer(value, after, self._asked))
        return Seen(
            strategy=self._asked.strategy,
            column=str(self._asked.field.name),
            value=value if beyond else None,
            fingerprint=self._asked.schema_mark,
            limit=written(self._limit.as_py()) if self._limit is not None else None,
        )


def _newer(value: Any, after: Any, asked: Newness) -> bool:
    if value["type"] == after["type"]:
        return newer(value, after)
    bound = asked._bound(after)
    return bool(read(value) > bound) if type(bound) is type(read(value)) else True


def _limit(asked: Newness, now: datetime) -> pa.Scalar | None:
    if asked.strategy is not Strategy.TIMESTAMP:
        return None
    zone = ZoneInfo(asked.window.timezone)
    if pa.types.is_date(asked.field.type):
        return pa.scalar(now.astimezone(zone).date(), asked.field.type)
    aware = asked.field.type.tz is not None
    return pa.scalar(_as(now, aware, zone), pa.timestamp("us", asked.field.type.tz))
