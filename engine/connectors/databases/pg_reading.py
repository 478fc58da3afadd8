"""Reads of PostgreSQL.

Law: a read is one COPY or one ADBC statement in a read-only transaction, streamed: the server sends as fast as rows
are taken. A query stands as a subquery, so that it can only look; its values are written into it as literals by the
driver, which COPY asks for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
import pyarrow as pa

from engine.connectors.databases.binding import bound
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.pg_adbc import by_adbc
from engine.connectors.databases.pg_catalog import Catalog
from engine.connectors.databases.pg_copy import lines, rows_of
from engine.connectors.databases.pg_link import Link, Login
from engine.connectors.databases.pg_types import Plan
from engine.connectors.databases.pgcdc import Changes, as_logged, schema_for
from engine.connectors.databases.rows import ROWS, Rows
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Selection
from engine.rules.watermarks import written

_BOUNDS = ("first", "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, looked up."""

    plans: Sequence[Plan]  # of the columns that are handed out
    all: Sequence[Plan]
    origin: str  # what stands after FROM; all literals are in it
    table: Name | None
    captured: bool = False  # changes are read, not rows

    @property
    def schema(self) -> pa.Schema:
        return schema_for(self.plans) if self.captured else pa.schema([plan.field for plan in self.plans])


class Looking:
    """Looks at what a selection names."""

    def __init__(self, link: Link, login: Login, selection: Selection) -> None:
        self._link, self._login, self._selection = link, login, selection
        self._catalog = Catalog(link)
        self.what = f"table '{selection.table}'" if selection.table else "query"
        self.where = f"Connection '{link.id}', {self.what}"

    def asked(self) -> Asked:
        """The selection's columns and where they come from."""
        selection = self._selection
        if selection.table:
            table = self._catalog.get(selection.table)
            plans = self._catalog.plans(table)
            plans = as_logged(plans) if self._captures else plans
            wanted = self._wanted(plans)
            return Asked(plans=wanted, all=plans, origin=table.sql, table=table, captured=self._captures)
        if not selection.query:
            raise ConfigurationError(f"Connection '{self._link.id}' is a database: name a `table` or a `query`.")
        query, values = bound(
            selection.query, selection.parameters, lambda name: f"%({name})s", percent=True, standard=True
        )
        query = self._with_literals(query, values)
        plans = self._catalog.query_plans(query)
        return Asked(plans=self._wanted(plans), all=plans, origin=f"({query}\n) AS q", table=None)

    def _with_literals(self, query: str, values: Any) -> str:
        return psycopg.ClientCursor(self._link.wire).mogrify(query, values)

    def _wanted(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        known = {plan.field.name: plan for plan in plans}
        return [known[name] for name in chosen(self._selection.columns, list(known), self.where)]

    def candidates(self) -> list[Candidate]:
        """Ways to read the table incrementally."""
        asked = self.asked()
        first, primary = self._catalog.indexed(asked.table) if asked.table else (set(), [])
        return candidates(
            [
                Facts(
                    field=plan.field,
                    indexed=plan.field.name in first,
                    primary=primary == [plan.field.name],
                )
                for plan in asked.all
            ]
        )

    def newest(self) -> Any:
        """The highest watermark there."""
        if self._captures:
            return {"type": "lsn", "value": self._link.rows("SELECT pg_current_wal_flush_lsn()::text")[0][0]}
        asked = self.asked()
        window = self._newness(asked)
        if window is None:
            return None
        return written(self._link.rows(f"SELECT max({quoted(window.field.name)}) FROM {asked.origin}")[0][0])

    def _newness(self, asked: Asked) -> Newness | None:
        if self._selection.window is None:
            return None
        schema = pa.schema([plan.field for plan in asked.all])
        return newness(self._selection.window, schema, self.candidates(), self.where)

    def read(self, close: Callable[[], None]) -> Rows | Changes:
        """Open the read; `close` is called with it."""
        asked = self.asked()
        if self._captures:
            return self._changes(asked, close)
        window = self._newness(asked)
        columns = ", ".join(f"{plan.expression} AS {quoted(plan.field.name)}" for plan in asked.plans)
        query, reach = f"SELECT {columns} FROM {asked.origin}", None
        if window is not None:
            must_have(window, asked.schema.names, self.where)
            column = quoted(window.field.name).replace("%", "%%")
            condition, values = window.condition(column, [f"%({each})s" for each in _BOUNDS])
            query += " WHERE " + self._with_literals(condition, dict(zip(_BOUNDS, values, strict=False)))
            reach = Reach(window, self._link.rows("SELECT now()")[0][0])
        rows = int(self._selection.options.get("batch_rows") or ROWS)
        batches = self._batches(query, asked.schema)

        def ended() -> None:
            batches.close()  # a COPY that is under way ends before anybody else gets the connection
            close()

        return Rows(
            asked.schema,
            batches,
            dataset=f"{self._link.id}:{self._selection.object}",
            uri=self._uri(asked),
            reach=reach,
            close=ended,
            rows=rows,
        )

    def _changes(self, asked: Asked, close: Callable[[], None]) -> Changes:
        if asked.table is None or self._selection.window is None:
            raise ConfigurationError(f"{self.where}: changes are captured from a `table`.")
        return Changes(
            self._link,
            asked.table,
            asked.plans,
            self._selection,
            self._selection.window,
            uri=self._uri(asked),
            first=self._batches,
            close=close,
        )

    @property
    def _captures(self) -> bool:
        window = self._selection.window
        return window is not None and window.strategy is Strategy.CDC

    def _uri(self, asked: Asked) -> str:
        database = f"{self._login.address}/{quote(self._link.wire.info.dbname)}"
        table = asked.table
        return f"{database}/{quote(table.schema)}.{quote(table.table)}" if table else database

    def _batches(self, query: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        fast = importlib.util.find_spec("adbc_driver_postgresql") is not None
        if fast and self._selection.options.get("adbc", self._login.adbc):
            return by_adbc(self._login, query, schema, self.what, self._milliseconds)
        return by_copy(self._link, query, schema, self.what, self._milliseconds)

    @property
    def _milliseconds(self) -> int:
        """How long the statement may take; 0 is as long as it does."""
        return int(float(self._selection.options.get("timeout_seconds") or 0) * 1000)


def by_copy(
    link: Link, query: str, schema: pa.Schema, what: str, milliseconds: int = 0
) -> Generator[pa.RecordBatch, None, None]:
    """Rows by COPY TO STDOUT, within so many milliseconds."""
    where = f"Connection '{link.id}', {what}"
    with link.failures(what):
        link.begin("READ ONLY")
        try:
            link.run(f"SET LOCAL statement_timeout = {milliseconds}")
            with (
                link.wire.cursor() as cursor,
                cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)".encode()) as copy,
            ):
                yield from rows_of(_blocks(link, copy), schema, where)
        finally:
            link.rollback()


def _blocks(link: Link, copy: Any) -> Iterator[bytes]:
    blocks = lines(iter(copy.read, b""))
    while True:
        with link.watch.waiting():
            block = next(blocks, None)
        if block is None:
            return
        yield block
