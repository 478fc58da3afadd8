"""Reads of a SQLite file.

Law: rows are fetched some thousands at a time and never held. A query stands as a subquery, so that it can only
look; its values are bound. Times are text of whatever spelling: the file is asked for a little more than the
window, and what is beyond it is left out here, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.databases.binding import bound
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.rows import BYTES, ROWS, Rows
from engine.connectors.databases.sqlite_catalog import Catalog
from engine.connectors.databases.sqlite_link import Link
from engine.connectors.databases.sqlite_types import column_of
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Selection
from engine.rules.watermarks import written

_FETCHED = 1_000
_DAYS = "CASE typeof({0}) WHEN 'integer' THEN {0} / 86400.0 + 2440587.5 ELSE julianday({0}) END"
_SLACK = 2.0 / 86_400  # days: julianday counts milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, looked up."""

    fields: Sequence[pa.Field]  # of the columns that are handed out
    all: Sequence[pa.Field]
    origin: str  # what stands after FROM
    values: dict[str, Any]
    table: Name | None

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(list(self.fields))


class Looking:
    """Looks at what a selection names."""

    def __init__(self, link: Link, file: Path, selection: Selection) -> None:
        self._link, self._file, self._selection = link, file, selection
        self._catalog = Catalog(link)
        self.what = f"table '{selection.table}'" if selection.table else "query"
        self.where = f"Connection '{link.id}', {self.what}"

    def asked(self) -> Asked:
        """The selection's columns and where they come from."""
        selection = self._selection
        if selection.table:
            table = self._catalog.get(selection.table)
            fields = self._catalog.fields(table)
            return Asked(fields=self._wanted(fields), all=fields, origin=table.sql, values={}, table=table)
        if not selection.query:
            raise ConfigurationError(f"Connection '{self._link.id}' is a database: name a `table` or a `query`.")
        query, values = bound(selection.query, selection.parameters, lambda name: f":{name}", standard=True)
        fields = self._catalog.query_fields(query, values)
        origin = f"({query}\n) AS q"
        return Asked(fields=self._wanted(fields), all=fields, origin=origin, values=values, table=None)

    def _wanted(self, fields: Sequence[pa.Field]) -> Sequence[pa.Field]:
        known = {one.name: one for one in fields}
        return [known[name] for name in chosen(self._selection.columns, list(known), self.where)]

    def candidates(self) -> list[Candidate]:
        """Ways to read the table incrementally."""
        asked = self.asked()
        first, primary = self._catalog.indexed(asked.table) if asked.table else (set(), [])
        facts = [Facts(field=one, indexed=one.name in first, primary=primary == [one.name]) for one in asked.all]
        return candidates(facts)

    def _newness(self, asked: Asked) -> Newness | None:
        if self._selection.window is None:
            return None
        schema = pa.schema(list(asked.all))
        return newness(self._selection.window, schema, self.candidates(), self.where)

    def newest(self) -> Any:
        """The highest watermark there."""
        asked = self.asked()
        window = self._newness(asked)
        if window is None:
            return None
        column = quoted(window.field.name)
        order = _days(column) if window.strategy is Strategy.TIMESTAMP else column
        statement = f"SELECT {column} FROM {asked.origin} WHERE {column} IS NOT NULL ORDER BY {order} DESC LIMIT 1"
        found = self._link.rows(statement, asked.values)
        return written(column_of([found[0][0]], window.field, self.where)[0].as_py()) if found else None

    def read(self, close: Callable[[], None]) -> Rows:
        """Open the read; `close` is called with it."""
        asked = self.asked()
        window = self._newness(asked)
        columns = ", ".join(quoted(one.name) for one in asked.fields)
        query, values = f"SELECT {columns} FROM {asked.origin}", dict(asked.values)
        if window is not None:
            must_have(window, asked.schema.names, self.where)
            condition, more = _condition(window)
            query, values = f"{query} WHERE {condition}", values | more
        own = f"#{asked.table.table}" if asked.table else ""
        return Rows(
            asked.schema,
            self._batches(query, values, asked.schema, window),
            dataset=f"{self._link.id}:{self._selection.object}",
            uri=f"{self._file.as_uri().replace('file:', 'sqlite:', 1)}{own}",
            reach=Reach(window, datetime.now(UTC)) if window is not None else None,
            close=close,
            rows=int(self._selection.options.get("batch_rows") or ROWS),
        )

    def _batches(
        self, query: str, values: dict[str, Any], schema: pa.Schema, window: Newness | None
    ) -> Iterator[pa.RecordBatch]:
        with self._link.failures(self.what):
            cursor = self._link.wire.execute(query, values)
        step = _FETCHED
        while True:
            with self._link.failures(self.what):
                rows = cursor.fetchmany(step)
            if not rows:
                return
            cells = zip(*rows, strict=True)
            columns = [column_of(list(each), one, self.where) for each, one in zip(cells, schema, strict=True)]
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            step = max(1, min(_FETCHED * 10, BYTES // max(1, batch.nbytes // batch.num_rows)))  # wide rows are few
            yield batch if window is None or window.strategy is not Strategy.TIMESTAMP else window.within(batch)


def _days(column: str) -> str:
    return _DAYS.format(column)


def _condition(window: Newness) -> tuple[str, dict[str, Any]]:
    names = ("penstock_first", "penstock_second")
    column = quoted(window.field.name)
    if window.strategy is not Strategy.TIMESTAMP:
        condition, bounds = window.condition(column, [f":{each}" for each in names])
        return condition, dict(zip(names, bounds, strict=False))
    # Texts are compared as days, a little too generously; Newness.within is exact.
    low, high = window.bounds()
    parts, values = [], {}
    for name, sign, slack, bound_ in ((names[0], ">=", -_SLACK, low), (names[1], "<=", _SLACK, high)):
        if bound_ is not None:
            parts.append(f"{_days(column)} {sign} julianday(:{name}) + {slack!r}")
            values[name] = str(bound_)
    condition = " AND ".join(parts) or f"{column} IS NOT NULL"
    if window.window.nulls == "include":
        return (f"(({condition}) OR {column} IS NULL)" if parts else "1 = 1"), values
    return condition, values
