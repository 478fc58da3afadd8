"""DuckDB files, read from and written to through Arrow.

Law: see duckdb_session for its bounds. Config: {path, memory_mb, threads, row_order, timeout_seconds}; a relative
path is below the workspace. `row_order: any` lets two threads write rows of every width, in whatever order.
Delimited text comes through Arrow, too: DuckDB's own reader rounds 1.5 to an integer without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from engine.connectors.databases import duckdb_saga as saga
from engine.connectors.databases.binding import bound
from engine.connectors.databases.duckdb_catalog import Catalog, shown
from engine.connectors.databases.duckdb_catalog import target as named
from engine.connectors.databases.duckdb_ledger import Ledger
from engine.connectors.databases.duckdb_loading import Loading, create, uri_of
from engine.connectors.databases.duckdb_reading import Looking
from engine.connectors.databases.duckdb_session import STATEMENT_SECONDS, Session
from engine.connectors.databases.duckdb_types import columns_sql
from engine.connectors.databases.naming import quoted
from engine.dataflow.kinds import limited
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Reading, Selection
from engine.ports.stream import RawText, Stream


def connect(connection: Connection, root: Path) -> DuckDb:
    """A connector for a `duckdb` connection."""
    return DuckDb(connection, root)


class DuckDb:
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self._session = Session(connection, root)
        self._made_by_loading = connection.direction != "in"
        self._seconds = float(connection.config.get("timeout_seconds", STATEMENT_SECONDS))

    def test(self) -> str:
        """Count the tables."""
        if not self._session.there() and self._made_by_loading:
            return f"DuckDB {duckdb.__version__} will make {self._session.path} with the first load."
        link = self._session.looking()
        with self._session.failures(), self._session.within(link, self._seconds):
            tables = len(Catalog(link, self._session.id).tables())
        return f"DuckDB {duckdb.__version__} opens {self._session.path}: {tables} table(s)."

    def close(self) -> None:
        self._session.close()

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        link = self._session.looking()
        text, values = bound(query, parameters, lambda name: f"${name}")
        with self._session.failures(), self._session.within(link, self._seconds):
            row = link.execute(f"SELECT * FROM ({text}\n) AS q LIMIT 1", values).fetchone()
        return None if row is None else row[0]

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        link = self._session.looking()
        with self._session.failures():
            names = [shown(each) for each in Catalog(link, self._session.id).tables()]
        return [each for each in names if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with self._session.failures():
            return Looking(self._session, selection).asked().schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        with self._session.failures():
            return Looking(self._session, selection).candidates()

    def newest(self, selection: Selection) -> Any:
        with self._session.failures():
            return Looking(self._session, selection).newest()

    def read(self, selection: Selection) -> Reading:
        with self._session.in_turn(), self._session.failures():
            return Looking(self._session, selection).read()

    # Destination

    def modes(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def target_schema(self, target: str) -> pa.Schema | None:
        if not self._session.there():
            return None
        with self._session.failures(f"table '{target}'"):
            catalog = Catalog(self._session.writing(), self._session.id)
            found = catalog.find(target)
            if found is None:
                return None
            required = catalog.required(found)
            fields = [plan.field for plan in catalog.plans(found)]
            return pa.schema([limited(each, required=each.name in required) for each in fields])

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        with self._session.failures(f"table '{target}'"):
            link = self._session.writing()
            if Catalog(link, self._session.id).find(target) is None:
                create(link, named(target), schema, keys)

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        with self._session.failures(f"table '{target}'"):
            link = self._session.writing()
            table = Catalog(link, self._session.id).get(target)
            schema = pa.schema([each.with_nullable(True) for each in fields])
            for column in columns_sql(schema, [quoted(each.name) for each in fields], ()):
                link.execute(f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {column}")

    def ledger(self, token: str, target: str) -> Loaded | None:
        with self._session.in_turn():
            return self._entered(target).get(token) if self._session.there() else None

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        return self._entered(target).newest(scope) if self._session.there() else None

    def _entered(self, target: str) -> Ledger:
        with self._session.failures(f"table '{target}'"):
            link = self._session.writing()
            name = Catalog(link, self._session.id).find(target) or named(target)
            return Ledger(link, name, uri_of(self._session, name))

    def load(self, stream: Stream, order: Order) -> Loaded:
        with self._session.in_turn():
            return Loading(self._session, order).load(stream)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        with self._session.in_turn():
            return saga.stage(self._session, stream, order)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        with self._session.in_turn():
            return saga.publish(self._session, staged, order)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        with self._session.in_turn():
            saga.undo(self._session, staged, order)

    def discard(self, staged: Mapping[str, Any]) -> None:
        with self._session.in_turn():
            saga.discard(self._session, staged)
