"""Any other database that SQLAlchemy speaks to, in a plain way.

Law: see any_link. Config: {url: dialect+driver://host/database}, {user, password},
{schema}, {connect_args}, {pool_size}. Rows go in by
batched inserts; upsert and merge are emulated in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from engine.connectors.databases import any_saga as saga
from engine.connectors.databases.any_link import Link
from engine.connectors.databases.any_loading import AddColumn, Loading, table_for
from engine.connectors.databases.any_reading import Looking
from engine.connectors.databases.any_types import field_for
from engine.connectors.databases.binding import bound
from engine.connectors.databases.rows import Rows
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Selection
from engine.ports.stream import RawText, Stream


def connect(connection: Connection, root: Path) -> AnySql:
    """A connector for a `sqlalchemy` connection."""
    return AnySql(connection)


class AnySql:
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection) -> None:
        self._link = Link(connection)

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        text, values = bound(query, parameters, lambda name: f"\0{name}\0")
        parts = [part if at % 2 else part.replace(":", "\\:") for at, part in enumerate(text.split("\0"))]
        statement = "".join(f":{part}" if at % 2 else part for at, part in enumerate(parts))
        with self._link.looking() as wire:
            result = wire.execute(sa.text(statement), values)
            row = result.first() if result.returns_rows else None
            return None if row is None else row[0]

    def test(self) -> str:
        """Count the tables."""
        tables = len(self._link.tables())
        return f"{self._link.engine.dialect.name} answers at {self._link.address}: {tables} table(s)."

    def close(self) -> None:
        self._link.engine.dispose()

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        return [each for each in self._link.tables() if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        return Looking(self._link, selection).asked().schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        return Looking(self._link, selection).candidates()

    def newest(self, selection: Selection) -> Any:
        return Looking(self._link, selection).newest()

    def read(self, selection: Selection) -> Rows:
        return Looking(self._link, selection).read(lambda: None)

    # Destination

    def modes(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def target_schema(self, target: str) -> pa.Schema | None:
        found = self._link.find(target)
        if found is None:
            return None
        columns = [each for each in found.columns if each.computed is None]
        return pa.schema([field_for(each.name, each.type, nullable=bool(each.nullable)) for each in columns])

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        if self._link.find(target) is None:
            with self._link.failures(f"table '{target}'"), self._link.engine.begin() as wire:
                table_for(target, list(schema), keys, self._link.schema).create(wire, checkfirst=True)

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        found = self._link.find(target)
        if found is None:
            return
        new = [each for each in fields if each.name not in found.columns]
        with self._link.failures(f"table '{target}'"), self._link.engine.begin() as wire:
            for each in new:
                wire.execute(AddColumn(found, each))

    def ledger(self, token: str, target: str) -> Loaded | None:
        with self._link.looking(f"table '{target}'") as wire:
            return Loading(self._link, Order(token=token, target=target)).ledger(wire).get(token)

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        with self._link.looking(f"table '{target}'") as wire:
            return Loading(self._link, Order(token="", target=target)).ledger(wire).newest(scope)

    def load(self, stream: Stream, order: Order) -> Loaded:
        return Loading(self._link, order).load(stream)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        return saga.stage(self._link, stream, order)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        return saga.publish(self._link, staged, order)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        saga.undo(self._link, staged, order)

    def discard(self, staged: Mapping[str, Any]) -> None:
        saga.discard(self._link, staged)
