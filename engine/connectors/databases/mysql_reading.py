"""Reads of MySQL and MariaDB.

Law: a read has a connection of its own and is unbuffered: the server holds the result; who stops early hangs up.
Values are bound; a query stands as a subquery, so that it can only look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pymysql.cursors import SSCursor

from engine.connectors.databases import mysql_types as types
from engine.connectors.databases.binding import bound
from engine.connectors.databases.mysql_catalog import Catalog, Name, described_by, quoted
from engine.connectors.databases.mysql_errors import failures
from engine.connectors.databases.mysql_link import Link
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.rows import BYTES, Rows
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Selection
from engine.rules.watermarks import written

FIRST, MOST = 64, 20_000  # rows fetched at a time
_MARKERS = ("%(_penstock_after)s", "%(_penstock_upto)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, looked up."""

    schema: pa.Schema  # of all columns
    origin: str  # what stands after FROM
    values: dict[str, Any]
    table: Name | None


class Looking:
    """Looks at what a selection names."""

    def __init__(self, catalog: Catalog, id: str, selection: Selection) -> None:
        self._catalog, self._id, self._selection = catalog, id, selection
        self.what = f"table '{selection.table}'" if selection.table else "query"
        self.where = f"Connection '{id}', {self.what}"

    def asked(self) -> Asked:
        """The columns that are there, and where they come from."""
        selection = self._selection
        if selection.table:
            table = self._catalog.get(selection.table)
            fields = [each.field for each in self._catalog.columns(table)]
            return Asked(schema=pa.schema(fields), origin=table.sql, values={}, table=table)
        if not selection.query:
            raise ConfigurationError(f"Connection '{self._id}' is a database: name a `table` or a `query`.")
        query, values = bound(selection.query, selection.parameters, lambda name: f"%({name})s", percent=True)
        origin = f"({query}\n) AS q"
        wires = self._catalog.described(f"SELECT * FROM {origin} LIMIT 0", values)
        schema = pa.schema([types.field_of(each) for each in wires])
        return Asked(schema=schema, origin=origin, values=values, table=None)

    def candidates(self, asked: Asked | None = None) -> list[Candidate]:
        """Ways to read the table incrementally."""
        asked = asked or self.asked()
        indexed = self._catalog.indexed(asked.table) if asked.table else frozenset()
        unique = self._catalog.unique(asked.table) if asked.table else []
        return candidates(
            [
                Facts(field=each, indexed=each.name in indexed, primary=bool(unique) and unique[0] == [each.name])
                for each in asked.schema
            ]
        )

    def newest(self) -> Any:
        """The highest watermark there."""
        asked = self.asked()
        window = self.newness(asked)
        if window is None:
            return None
        column = quoted(window.field.name)
        query = f"SELECT {column} FROM {asked.origin} ORDER BY {column} DESC LIMIT 1"
        wires, rows = self._catalog.answer(query, asked.values)
        if not rows:
            return None
        return written(types.array_of([rows[0][0]], window.field, wires[0])[0].as_py())

    def newness(self, asked: Asked) -> Newness | None:
        """What the window is about; None for a full read."""
        if self._selection.window is None:
            return None
        return newness(self._selection.window, asked.schema, self.candidates(asked), self.where)

    def read(self, open_link: Callable[[], Link], uri: Callable[[Name], str], home: Name) -> Rows:
        """Open the read, on a connection of its own."""
        asked = self.asked()
        names = chosen(self._selection.columns, asked.schema.names, self.where)
        fields = [asked.schema.field(name) for name in names]
        window = self.newness(asked)
        query = f"SELECT {', '.join(_expression(each) for each in fields)} FROM {asked.origin}"
        values = dict(asked.values)
        if window is not None:
            must_have(window, names, self.where)
            condition, bounds = window.condition(quoted(window.field.name), _MARKERS)
            query += f" WHERE {condition}"
            values |= dict(zip((each[2:-2] for each in _MARKERS), bounds, strict=False))
        now = self._catalog.rows("SELECT UTC_TIMESTAMP(6)")[0][0]
        reach = Reach(window, datetime.fromisoformat(now).replace(tzinfo=UTC)) if window is not None else None
        most = min(MOST, int(self._selection.options.get("batch_rows") or MOST))
        link = open_link()
        return Rows(
            pa.schema(fields),
            self._batches(link, query, values, fields, most),
            dataset=f"{self._id}:{self._selection.object}",
            uri=uri(asked.table or home),
            reach=reach,
            close=link.hang_up,
            rows=most,
        )

    def _batches(
        self, link: Link, query: str, values: dict[str, Any], fields: Sequence[pa.Field], most: int
    ) -> Iterator[pa.RecordBatch]:
        schema, count = pa.schema(fields), min(FIRST, most)
        with failures(self._id, self.what):
            cursor = SSCursor(link)
            cursor.execute(query, values or None)
            wires = described_by(cursor)
        while True:
            with failures(self._id, self.what):
                rows = cursor.fetchmany(count)
            if not rows:
                return
            columns = [
                types.array_of(column, one, wire)
                for column, one, wire in zip(zip(*rows, strict=True), fields, wires, strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            yield batch
            # As many as make a batch of some megabytes, however wide the rows are.
            count = max(1, min(most, 4 * count, BYTES * batch.num_rows // max(batch.nbytes, 1)))


def _expression(one: pa.Field) -> str:
    """A column as it is selected. A FLOAT is written with six digits only, unless it is made a DOUBLE."""
    name = quoted(one.name)
    return f"{name} + 0e0 AS {name}" if pa.types.is_float32(one.type) else name


def scalar(catalog: Catalog, query: str, parameters: Mapping[str, Any]) -> Any:
    """The first cell of a query's first row."""
    text, values = bound(query, parameters, lambda name: f"%({name})s", percent=True)
    wires, rows = catalog.answer(f"SELECT * FROM ({text}\n) AS q LIMIT 1", values)
    if not rows:
        return None
    return types.array_of([rows[0][0]], types.field_of(wires[0]), wires[0])[0].as_py()
