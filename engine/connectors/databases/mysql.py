"""MySQL and MariaDB, read from and written to.

Law: see mysql_link for the session. Config: {url} or {host, port, socket, database, user, password}; {ssl: true |
false, ssl_ca, ssl_cert, ssl_key}; {timeout_seconds} without a word from the server. Reading is unbuffered; loading
is LOAD DATA from memory where the server allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from engine.connectors.databases import mysql_saga as saga
from engine.connectors.databases.mysql_catalog import Catalog, Name
from engine.connectors.databases.mysql_errors import failures
from engine.connectors.databases.mysql_ledger import Ledger
from engine.connectors.databases.mysql_link import Link, opened, settings
from engine.connectors.databases.mysql_loading import Loading, column_sql, create
from engine.connectors.databases.mysql_reading import Looking, scalar
from engine.connectors.databases.mysql_replace import replace
from engine.connectors.databases.newness import chosen
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Reading, Selection
from engine.ports.stream import RawText, Stream


def connect(connection: Connection, root: Path) -> MySql:
    """A connector for a `mysql` or `mariadb` connection."""
    return MySql(connection, root)


class MySql:
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self._connection = connection
        self._id = connection.id
        self._config = settings(connection, root)
        self._opened: Link | None = None

    def test(self) -> str:
        """Ask for its version and who we are."""
        with failures(self._id):
            row = self._catalog.rows("SELECT version(), current_user()")[0]
        name = "MariaDB" if "MariaDB" in row[0] else "MySQL"
        return f"{name} {row[0].split('-')[0]} answers as user '{row[1]}'."

    def close(self) -> None:
        link, self._opened = self._opened, None
        if link is not None:
            with failures(self._id):
                link.close()

    @property
    def _link(self) -> Link:
        if self._opened is None:
            with failures(self._id):
                self._opened = opened(self._id, self._config)
        return self._opened

    @property
    def _catalog(self) -> Catalog:
        return Catalog(self._link, self._id, str(self._config["database"]))

    def _uri(self, name: Name) -> str:
        host, port = self._config.get("host") or "127.0.0.1", self._config.get("port") or 3306
        return f"{self._connection.type}://{host}:{port}/{quote(name.database)}/{quote(name.table)}"

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        with failures(self._id):
            return scalar(self._catalog, query, parameters)

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        with failures(self._id):
            names = self._catalog.tables()
        return [each for each in names if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with failures(self._id):
            looking = Looking(self._catalog, self._id, selection)
            schema = looking.asked().schema
        return pa.schema([schema.field(name) for name in chosen(selection.columns, schema.names, looking.where)])

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        with failures(self._id):
            return Looking(self._catalog, self._id, selection).candidates()

    def newest(self, selection: Selection) -> Any:
        with failures(self._id):
            return Looking(self._catalog, self._id, selection).newest()

    def read(self, selection: Selection) -> Reading:
        with failures(self._id):
            looking = Looking(self._catalog, self._id, selection)
            home = Name(str(self._config["database"]), "query")
            return looking.read(lambda: opened(self._id, self._config), self._uri, home)

    # Destination

    def modes(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def target_schema(self, target: str) -> pa.Schema | None:
        with failures(self._id, f"table '{target}'"):
            found = self._catalog.find(target)
            columns = self._catalog.columns(found) if found else ()
        return pa.schema([each.field for each in columns if not each.generated]) if found else None

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        with failures(self._id, f"table '{target}'"):
            if self._catalog.find(target) is None:
                create(self._catalog, self._catalog.name(target), schema, keys)

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        with failures(self._id, f"table '{target}'"):
            found = self._catalog.find(target)
            if found is None:
                return
            there = {each.field.name for each in self._catalog.columns(found)}
            for each in fields:
                if each.name not in there:
                    self._catalog.run(f"ALTER TABLE {found.sql} ADD COLUMN {column_sql(each)}")

    def ledger(self, token: str, target: str) -> Loaded | None:
        with failures(self._id, f"table '{target}'"):
            return self._entered(target).get(token)

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        with failures(self._id, f"table '{target}'"):
            return self._entered(target).newest(scope)

    def _entered(self, target: str) -> Ledger:
        name = self._catalog.find(target) or self._catalog.name(target)
        return Ledger(self._catalog, name, self._uri(name))

    def load(self, stream: Stream, order: Order) -> Loaded:
        loading = self._loading(order)
        return replace(loading, stream) if order.mode is Mode.REPLACE else loading.load(stream)

    def _loading(self, order: Order) -> Loading:
        with failures(self._id, f"table '{order.target}'"):
            return Loading(self._link, self._catalog, self._id, self._uri, order)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None  # LOAD DATA bends what does not fit: rows come through Arrow

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        return saga.stage(self._loading(order), stream)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        return saga.publish(self._loading(order), staged)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        saga.undo(self._loading(order), staged)

    def discard(self, staged: Mapping[str, Any]) -> None:
        with failures(self._id):
            saga.discard(self._catalog, staged)
