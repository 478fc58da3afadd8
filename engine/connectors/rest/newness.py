"""What is new at an endpoint: the incremental read of a web service (SRC-07, INC-02).

Law: what the server is asked for is narrowed where it can be, and what it sends is looked at all the same: a
server that ignores the parameter gives no row twice. Ways: a column's highest value (timestamp, id), the last
cursor, or the validators ETag and Last-Modified, whose 304 says that nothing is new. The watermark never passes
the server's own clock, and never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.kinds import fingerprint, kind_of
from engine.dataflow.records import type_named
from engine.model.dataset import DataKind, Strategy
from engine.model.errors import ConfigurationError
from engine.ports.connector import Fetched
from engine.ports.source import Candidate, Seen, Window
from engine.rules.watermarks import looked_back, newer, read, written

_TIMES = ("updated_at", "modified_at", "last_modified", "updated", "modified", "updatedAt", "modifiedAt",
          "lastModified", "changed_at", "timestamp", "created_at", "createdAt", "created")  # fmt: skip
_IDS = ("id", "ID", "Id")


class Newness:
    """One incremental read."""

    def __init__(
        self, window: Window, options: Mapping[str, Any], where: str, state: Mapping[str, Any] | None
    ) -> None:
        self._window, self._options, self._where = window, options, where
        given = state or {}
        self.strategy = Strategy(given["strategy"]) if given else window.strategy
        self.column = str(given.get("column") or window.column or "")
        self._highest: Any = given.get("highest")  # {"type", "value"}
        self._validators: dict[str, Any] = dict(given.get("validators") or {})
        self._now = datetime.now(UTC)
        if self.by_validators:
            self.strategy = Strategy.CURSOR

    @property
    def by_validators(self) -> bool:
        """Whether the server is asked for a 304."""
        return bool(self._options.get("if_modified_since"))

    @property
    def by_column(self) -> bool:
        """Whether a column's values tell what is new."""
        return self.strategy in (Strategy.TIMESTAMP, Strategy.ID) and bool(self.column)

    @property
    def kept(self) -> Mapping[str, Any]:
        """What the last run left for strategy cursor: a cursor or validators."""
        after = self._window.after
        value = after.get("value") if isinstance(after, Mapping) and after.get("type") == "json" else None
        return value if isinstance(value, Mapping) else {}

    def state(self) -> dict[str, Any] | None:
        """For a checkpoint."""
        if self.strategy is None:
            return None
        return {
            "strategy": self.strategy.value,
            "column": self.column,
            "highest": self._highest,
            "validators": self._validators,
        }

    def parameters(self) -> dict[str, str]:
        """The parameter that takes the watermark, moved back by the lookback."""
        name = self._options.get("watermark_parameter")
        bound = looked_back(self._window.after, self._window.lookback_seconds)
        if not name or bound is None or bound["type"] == "json":
            return {}
        value = read(bound)
        if isinstance(value, datetime):
            return {str(name): value.isoformat().replace("+00:00", "Z")}
        return {str(name): str(value)}

    def headers(self) -> dict[str, str]:
        """What makes the server answer 304 where nothing is new."""
        if not self.by_validators:
            return {}
        names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
        return {names[key]: str(value) for key, value in self.kept.items() if key in names and value}

    def first_answer(self, fetched: Fetched) -> None:
        """Its clock, and what to ask with next time."""
        self._now = _date(fetched) or self._now
        if self.by_validators and fetched.status != 304:
            found = {"etag": fetched.headers.get("etag"), "modified": fetched.headers.get("last-modified")}
            self._validators = {key: value for key, value in found.items() if value}

    def columns_kept(self) -> list[pa.Field]:
        """The columns of the last answer: a 304 has none."""
        kept = self.kept.get("columns")
        return [type_named(str(text), name) for name, text in kept.items()] if isinstance(kept, Mapping) else []

    def choose(self, records: Sequence[Mapping[str, Any]], cursors: bool) -> None:
        """Settle on a way, by looking at the first records."""
        if self.column and self.strategy is None:
            self.strategy = Strategy.ID if _whole(records, self.column) else Strategy.TIMESTAMP
        if self.strategy is Strategy.CURSOR or self.by_column or not records:
            self._refuse_untimely(records)
            return
        for one in candidates(records, cursors):
            if self.strategy in (None, one.strategy):
                self.strategy, self.column = one.strategy, one.column
                return
        names = ", ".join(list(records[0])[:12])
        raise ConfigurationError(
            f"{self._where} has no field that tells what is new; name one in `incremental.column`. It has {names}."
        )

    def _refuse_untimely(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Texts that are no ISO 8601 have an order of their own, which is not that of time."""
        values = [each.get(self.column) for each in records if each.get(self.column) is not None]
        texts = any(isinstance(each, str) for each in values)
        if self.strategy is Strategy.TIMESTAMP and texts and not _times(records, self.column):
            raise ConfigurationError(
                f"{self._where}: the field '{self.column}' has texts that are no times as ISO 8601 writes them, so "
                "it cannot be read by time. Name another in `incremental.column`, or take `strategy: id`."
            )

    def timed(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the column's texts are to be read as times."""
        return self.strategy is Strategy.TIMESTAMP and _times(records, self.column)

    def only_new(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are new; their highest value is remembered."""
        if not self.by_column or not batch.num_rows:
            return batch
        if self.column not in batch.schema.names:
            raise ConfigurationError(
                f"{self._where} has no field '{self.column}' any more, by which it is read incrementally. Name "
                "another in `incremental.column` and reset with `penstock watermarks reset`."
            )
        column = batch.column(self.column)
        kept = batch.filter(self._mask(column))
        self._remember(kept.column(self.column))
        return kept

    def _mask(self, column: pa.Array) -> pa.Array:
        missing = self._window.nulls == "include"
        wanted = pc.is_valid(column) if not missing else pa.array([True] * len(column))
        after = self._window.after
        bound = looked_back(after, self._window.lookback_seconds)
        if bound is not None:
            # What lies just at the bound was seen, unless the bound was moved back.
            compare = pc.greater_equal if bound != after else pc.greater
            wanted = pc.and_(wanted, pc.fill_null(compare(column, self._scalar(bound, column.type)), missing))
        if self._window.upto is not None:
            below = pc.less_equal(column, self._scalar(self._window.upto, column.type))
            wanted = pc.and_(wanted, pc.fill_null(below, missing))
        return wanted

    def _scalar(self, value: Mapping[str, Any], type: pa.DataType) -> pa.Scalar:
        try:
            found = pa.scalar(read(value))
            if pa.types.is_temporal(found.type) is not pa.types.is_temporal(type):
                raise TypeError(type)  # Arrow would take a time for its number of microseconds
            return found.cast(type)
        except (pa.ArrowException, TypeError, KeyError, ValueError):
            raise ConfigurationError(
                f"{self._where}: the watermark is a {str(value.get('type'))[:20]}, the field '{self.column}' is "
                f"{type}. If the field has changed for good, reset it with `penstock watermarks reset`."
            ) from None

    def _remember(self, column: pa.Array) -> None:
        if pa.types.is_timestamp(column.type) and column.type.tz:
            # A time that is still to come would hide what is changed before it.
            column = column.filter(pc.less_equal(column, pa.scalar(self._now, column.type)))
        found = written(pc.max(column).as_py())
        if found is not None and newer(found, self._highest):
            self._highest = found

    def seen(self, schema: pa.Schema, cursor: tuple[str, str] | None) -> Seen | None:
        """The new watermark, for what was handed out."""
        strategy = self.strategy or self._window.strategy or Strategy.CURSOR
        value = self._highest if self.by_column else None
        if self.by_validators and self._validators:
            value = {"type": "json", "value": {**self._validators, "columns": _texts(schema)}}
        elif strategy is Strategy.CURSOR and cursor is not None:
            value = {"type": "json", "value": {"cursor": cursor[1], "parameter": cursor[0]}}
        elif self.by_column and value is not None and self._window.after is not None:
            value = value if newer(value, self._window.after) else None
        limit = written(self._now) if strategy is Strategy.TIMESTAMP else None
        return Seen(
            strategy=strategy, column=self.column, value=value, fingerprint=fingerprint(schema), limit=limit
        )


def candidates(records: Sequence[Mapping[str, Any]], cursors: bool) -> list[Candidate]:
    """Ways to tell what is new, from some records, the best first."""
    found = [
        Candidate(strategy=Strategy.TIMESTAMP, column=name, reason=f"'{name}' is a time in every record looked at.")
        for name in _TIMES
        if _times(records, name)
    ]
    if cursors:
        found.append(Candidate(strategy=Strategy.CURSOR, column="", reason="The endpoint hands out cursors."))
    found += [
        Candidate(
            strategy=Strategy.ID, column=name, reason=f"'{name}' is a whole number in every record looked at."
        )
        for name in _IDS
        if _whole(records, name)
    ]
    return found


def _whole(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    return bool(records) and all(type(each.get(name)) is int for each in records)


def _times(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [each.get(name) for each in records if each.get(name) is not None]
    try:
        return bool(values) and all(isinstance(each, str) and datetime.fromisoformat(each) for each in values)
    except ValueError:
        return False


def _texts(schema: pa.Schema) -> dict[str, str]:
    return {
        one.name: f"decimal({one.type.precision},{one.type.scale})"
        if kind_of(one) is DataKind.DECIMAL
        else kind_of(one).value
        for one in schema
    }


def _date(fetched: Fetched) -> datetime | None:
    try:
        moment = parsedate_to_datetime(fetched.headers.get("date", ""))
    except (ValueError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
