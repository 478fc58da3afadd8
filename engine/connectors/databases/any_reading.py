"""Reads of any database that SQLAlchemy speaks to.

Law: rows come by a server-side cursor where the dialect has one, some thousands at a time. A query stands as a
subquery, so that it can only look; its values are bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from engine.connectors.databases.any_link import Link
from engine.connectors.databases.any_types import column_of, field_for, guessed
from engine.connectors.databases.binding import bound
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.rows import BYTES, ROWS, Rows
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Selection
from engine.rules.watermarks import written

_FETCHED = 1_000
_GLIMPSE = 200  # rows that tell the types of a query
_BOUNDS = ("penstock_first", "penstock_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, looked up."""

    fields: Sequence[pa.Field]  # of the columns that are handed out
    all: Sequence[pa.Field]
    origin: str  # what stands after FROM
    values: dict[str, Any]
    table: sa.Table | None

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(list(self.fields))


class Looking:
    """Looks at what a selection names."""

    def __init__(self, link: Link, selection: Selection) -> None:
        self._link, self._selection = link, selection
        self.what = f"table '{selection.table}'" if selection.table else "query"
        self.where = f"Connection '{link.id}', {self.what}"

    def asked(self) -> Asked:
        """The selection's columns and where they come from."""
        selection = self._selection
        if selection.table:
            table = self._link.table(selection.table)
            fields = [field_for(each.name, each.type, nullable=bool(each.nullable)) for each in table.columns]
            origin = self._link.quoted_table(table)
            return Asked(fields=self._wanted(fields), all=fields, origin=origin, values={}, table=table)
        if not selection.query:
            raise ConfigurationError(f"Connection '{self._link.id}' is a database: name a `table` or a `query`.")
        query, values = bound(selection.query, selection.parameters, _marked)
        origin = f"({_escaped(query)}\n) q"
        fields = self._glimpse(origin, values)
        return Asked(fields=self._wanted(fields), all=fields, origin=origin, values=values, table=None)

    def _glimpse(self, origin: str, values: dict[str, Any]) -> list[pa.Field]:
        with self._link.looking() as wire:
            result = wire.execute(_statement(f"SELECT q.* FROM {origin}"), values)
            names = list(result.keys())
            rows = result.fetchmany(_GLIMPSE)
            result.close()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"{self.where} has two columns named '{twice[0]}'; rename one with AS.")
        return [guessed(name, [row[at] for row in rows]) for at, name in enumerate(names)]

    def _wanted(self, fields: Sequence[pa.Field]) -> Sequence[pa.Field]:
        known = {one.name: one for one in fields}
        return [known[name] for name in chosen(self._selection.columns, list(known), self.where)]

    def candidates(self) -> list[Candidate]:
        """Ways to read the table incrementally."""
        asked = self.asked()
        first, primary = self._link.indexed(asked.table) if asked.table is not None else (set(), [])
        facts = [Facts(field=one, indexed=one.name in first, primary=primary == [one.name]) for one in asked.all]
        return candidates(facts)

    def _newness(self, asked: Asked) -> Newness | None:
        if self._selection.window is None:
            return None
        return newness(self._selection.window, pa.schema(list(asked.all)), self.candidates(), self.where)

    def newest(self) -> Any:
        """The highest watermark there."""
        asked = self.asked()
        window = self._newness(asked)
        if window is None:
            return None
        statement = f"SELECT max({self._column(window.field.name)}) FROM {asked.origin}"
        with self._link.looking() as wire:
            found = wire.execute(_statement(statement), asked.values).scalar()
        return written(column_of([found], window.field, self.where)[0].as_py())

    def read(self, close: Callable[[], None]) -> Rows:
        """Open the read; `close` is called with it."""
        asked = self.asked()
        window = self._newness(asked)
        columns = ", ".join(self._column(one.name) for one in asked.fields)
        query, values = f"SELECT {columns} FROM {asked.origin}", dict(asked.values)
        if window is not None:
            must_have(window, asked.schema.names, self.where)
            markers = [_marked(each) for each in _BOUNDS]
            condition, bounds = window.condition(self._column(window.field.name), markers)
            query, values = f"{query} WHERE {condition}", values | dict(zip(_BOUNDS, bounds, strict=False))
        batches = self._batches(query, values, asked.schema)

        def ended() -> None:
            batches.close()
            close()

        own = f"/{asked.table.fullname}" if asked.table is not None else ""
        return Rows(
            asked.schema,
            batches,
            dataset=f"{self._link.id}:{self._selection.object}",
            uri=f"{self._link.address}{own}",
            reach=Reach(window, datetime.now(UTC)) if window is not None else None,
            close=ended,
            rows=int(self._selection.options.get("batch_rows") or ROWS),
        )

    def _column(self, name: str) -> str:
        return _escaped(self._link.quoted(name))

    def _batches(self, query: str, values: dict[str, Any], schema: pa.Schema) -> Any:
        return _batches(self._link, query, values, schema, self.where, self.what)


def _batches(
    link: Link, query: str, values: dict[str, Any], schema: pa.Schema, where: str, what: str
) -> Iterator[pa.RecordBatch]:
    with link.looking(what) as wire:
        streaming = wire.execution_options(stream_results=True, max_row_buffer=_FETCHED)
        result = streaming.execute(_statement(query), values)
        step = _FETCHED
        try:
            while True:
                rows = result.fetchmany(step)
                if not rows:
                    return
                cells = zip(*rows, strict=True)
                columns = [column_of(each, one, where) for each, one in zip(cells, schema, strict=True)]
                batch = pa.RecordBatch.from_arrays(columns, schema=schema)
                step = max(1, min(_FETCHED * 10, BYTES // max(1, batch.nbytes // batch.num_rows)))
                yield batch
        finally:
            try:
                result.close()
            except SQLAlchemyError:
                pass  # the connection is gone


def _marked(name: str) -> str:
    return f"\0{name}\0"


def _escaped(text: str) -> str:
    """SQLAlchemy takes every :name for a value: those that are none are escaped, ours are marked."""
    return text.replace("\\:", ":").replace(":", "\\:")


def _statement(text: str) -> sa.TextClause:
    parts = text.split("\0")
    return sa.text("".join(f":{part}" if at % 2 else part for at, part in enumerate(parts)))
