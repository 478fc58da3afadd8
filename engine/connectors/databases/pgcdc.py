"""Changes of a PostgreSQL table as rows, from the server's own log.

Law: the first read hands out the table as it is, as inserts; each later one what was committed since, transaction
by transaction in the order of their commits. Rows that changed while the first read went on come again with the
next: load them by key (`mode: merge`, `delete_when: _deleted`). Nothing is confirmed to the server before a
watermark that covers it has been committed: a repeated read repeats its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.pg_catalog import Catalog
from engine.connectors.databases.pg_copy import column_of
from engine.connectors.databases.pg_link import Link
from engine.connectors.databases.pg_slot import Slot, default_name, shown
from engine.connectors.databases.pg_types import Plan
from engine.connectors.databases.pgoutput import (
    UNCHANGED,
    Begin,
    Change,
    Commit,
    Relation,
    Truncate,
    message,
)
from engine.dataflow.kinds import INSTANT, columns_of, field, fingerprint
from engine.model.dataset import DataKind, DatasetTouch, Direction, Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Seen, Selection, Window
from engine.ports.stream import RawText
from engine.rules.watermarks import read as value_of

_EXTRA = pa.schema(
    [
        pa.field("_op", pa.string()),
        pa.field("_lsn", pa.string()),
        pa.field("_xid", pa.int64()),
        pa.field("_at", INSTANT),
        pa.field("_deleted", pa.bool_()),
    ]
)
_ROWS = 5_000
_BYTES = 4 << 20
_MOST = 1_000_000  # changes in one read; it ends with a whole transaction


def as_logged(plans: Sequence[Plan]) -> list[Plan]:
    """The same columns as the log has them: arrays, composites and money are text there."""
    return [
        Plan(f"{quoted(plan.field.name)}::text", field(plan.field.name, DataKind.STRING))
        if plan.expression.startswith("to_json(") or "::numeric" in plan.expression
        else plan
        for plan in plans
    ]


def schema_for(plans: Sequence[Plan]) -> pa.Schema:
    """The columns of changes: a deleted row has its key only, so that any may be null."""
    return pa.schema([*(plan.field.with_nullable(True) for plan in plans), *_EXTRA])


@dataclass(frozen=True, slots=True)
class _Wanted:
    columns: frozenset[str]  # that are handed out
    key: frozenset[str]  # the table's primary key


@dataclass(frozen=True, slots=True)
class _Row:
    values: Mapping[str, Any]
    op: str
    begun: Begin


class Changes:
    """See engine.ports.source.Reading."""

    acknowledges = False  # staged rows are not yet where they belong: the slot moves with the committed watermark

    def __init__(
        self,
        link: Link,
        table: Name,
        plans: Sequence[Plan],
        selection: Selection,
        window: Window,
        *,
        uri: str,
        first: Callable[[str, pa.Schema], Generator[pa.RecordBatch, None, None]],
        close: Callable[[], None],
    ) -> None:
        self._link, self._table, self._plans = link, table, plans
        self._selection, self._window = selection, window
        self._uri, self._first, self._close = uri, first, close
        name = default_name(table)
        options = selection.options
        self._slot = Slot(link, table, str(options.get("slot") or name), str(options.get("publication") or name))
        self.schema = schema_for(plans)
        self._fingerprint = fingerprint(pa.schema([plan.field for plan in Catalog(link).plans(table)]))
        types = Catalog(link).definitions(table)
        self._padded = {each for each, told in types.items() if told.startswith("character(")}
        self._wanted = _Wanted(frozenset(self.schema.names), frozenset(Catalog(link).indexed(table)[1]))
        self._rows = 0
        self._reached = 0
        self._after = value_of(window.after) if window.after is not None else None
        self._slot.ready()
        if self._after is None:
            self._reached = self._slot.made_anew()
            self._batches: Iterator[pa.RecordBatch] = self._as_it_is()
        else:
            self._slot.moved_to(self._after)
            self._batches = self._since()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def _as_it_is(self) -> Iterator[pa.RecordBatch]:
        columns = ", ".join(f"{plan.expression} AS {quoted(plan.field.name)}" for plan in self._plans)
        lsn = shown(self._reached)
        extra = f"'insert'::text AS _op, '{lsn}'::text AS _lsn, NULL::int8 AS _xid, now() AS _at, false AS _deleted"
        query = f"SELECT {columns}, {extra} FROM {self._table.sql}"
        for batch in self._first(query, self.schema):
            self._rows += batch.num_rows
            yield batch

    def _since(self) -> Iterator[pa.RecordBatch]:
        upto = int(self._link.rows("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")[0][0])
        most = int(self._selection.options.get("max_changes") or _MOST)
        held, size, changes = [], 0, 0
        for row in self._changes(upto, most):
            held.append(row)
            changes += 1
            size += sum(len(value) for value in row.values.values() if isinstance(value, str))
            if len(held) >= _ROWS or size >= _BYTES:
                yield self._batch(held)
                held, size = [], 0
        if held:
            yield self._batch(held)
        if changes < most:
            # Everything up to here was looked at: what other tables wrote need not be kept for this slot.
            self._reached = max(self._reached, upto, self._after or 0)

    def _changes(self, upto: int, most: int) -> Iterator[_Row]:
        relations: dict[int, Relation] = {}
        begun: Begin | None = None
        for data in self._messages(upto, most):
            found = message(data)
            if isinstance(found, Relation):
                relations[found.id] = found
            elif isinstance(found, Begin):
                begun = found
            elif isinstance(found, Commit):
                self._reached = max(self._reached, found.end)
            elif begun is None or begun.lsn < (self._after or 0):
                continue  # it was handed out before the server was told so
            elif isinstance(found, Truncate):
                raise ConfigurationError(
                    f"{self._slot.where}: table '{self._table.table}' was truncated, which is no change of rows; "
                    "reset the watermark with `penstock watermarks reset` to read it anew."
                )
            elif isinstance(found, Change):
                yield from _rows(found, relations[found.relation], begun, self._wanted)

    def _messages(self, upto: int, most: int) -> Iterator[bytes]:
        statement = (
            "SELECT data FROM pg_logical_slot_peek_binary_changes($1, $2::text::pg_lsn, $3, 'proto_version', '1', "
            "'publication_names', $4)"
        )
        values = [self._slot.name, shown(upto), most, quoted(self._slot.publication)]
        with self._link.failures(f"table '{self._table.table}'"), self._link.wire.cursor() as cursor:
            found = cursor.stream(statement.encode(), values, binary=True)
            while True:
                with self._link.watch.waiting():
                    row = next(found, None)
                if row is None:
                    return
                yield bytes(row[0])

    def _batch(self, rows: Sequence[_Row]) -> pa.RecordBatch:
        where = f"Connection '{self._link.id}', table '{self._table.table}'"
        cells = [
            column_of(self._texts(one.name, rows), one, where)
            for one in self.schema
            if one.name not in _EXTRA.names
        ]
        extra: list[Any] = [
            [row.op for row in rows],
            [shown(row.begun.lsn) for row in rows],
            [row.begun.xid for row in rows],
            [row.begun.at for row in rows],
            [row.op == "delete" for row in rows],
        ]
        cells += [pa.array(values, one.type) for values, one in zip(extra, _EXTRA, strict=True)]
        self._rows += len(rows)
        return pa.RecordBatch.from_arrays(cells, schema=self.schema)

    def _texts(self, name: str, rows: Sequence[_Row]) -> list[str | None]:
        values = [row.values.get(name) for row in rows]
        if name in self._padded:
            return [None if each is None else each.rstrip(" ") for each in values]
        return values

    def touches(self) -> Sequence[DatasetTouch]:
        return [
            DatasetTouch(
                direction=Direction.READ,
                dataset=f"{self._link.id}:{self._selection.object}",
                uri=self._uri,
                rows=self._rows,
                columns=columns_of(self.schema),
                transformation="extract:cdc",
            )
        ]

    def seen(self) -> Seen:
        moved = self._after is None or self._reached > self._after
        value = {"type": "lsn", "value": shown(self._reached)} if moved and self._reached else None
        return Seen(strategy=Strategy.CDC, column="", value=value, fingerprint=self._fingerprint)

    def position(self) -> Any:
        return None

    def raw(self) -> RawText | None:
        return None

    def acknowledge(self) -> None:
        """The slot is moved by the next read, to the watermark that was committed."""

    def close(self) -> None:
        close, self._close = self._close, lambda: None
        ending = getattr(self._batches, "close", None)
        if ending is not None:
            ending()
        close()


def _rows(change: Change, relation: Relation, begun: Begin, wanted: _Wanted) -> Iterator[_Row]:
    """A change as one row, or as two where it changed the key."""
    old = dict(zip(relation.columns, change.old or (), strict=False))
    if change.op == "delete":
        kept = old if change.whole else {name: old[name] for name in relation.keys}
        yield _Row(kept, "delete", begun)
        return
    new = dict(zip(relation.columns, change.new or (), strict=True))
    for name, value in new.items():
        if value is UNCHANGED and name in wanted.columns:
            if not change.whole or old[name] is UNCHANGED:
                raise _not_in_the_log(name)
            new[name] = old[name]
    # With a full identity every column is told as if it were of the key.
    keys = (wanted.key or relation.keys) if change.whole else relation.keys
    if change.op == "update" and change.old is not None and any(old[name] != new[name] for name in keys):
        yield _Row(old if change.whole else {name: old[name] for name in keys}, "delete", begun)
    yield _Row(new, change.op, begun)


def _not_in_the_log(column: str) -> ConfigurationError:
    return ConfigurationError(
        f"Column '{column}' has a large value that an update left as it was, and the server's log does not repeat "
        "it; run ALTER TABLE ... REPLICA IDENTITY FULL, then `penstock watermarks reset` to read the table anew; "
        "or leave the column out with `columns`."
    )
