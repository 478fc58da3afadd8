"""Snowflake, read from and written to.

Law: see snowflake_link for the session. Config: {account, user, password or private_key (PEM) with
private_key_passphrase, database, schema, warehouse, role}; {host, port, protocol} where they are not the account's;
{timeout_seconds}. Rows come as Arrow batches and go as Parquet files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from engine.connectors.databases import snowflake_saga as saga
from engine.connectors.databases import snowflake_types as types
from engine.connectors.databases.binding import bound
from engine.connectors.databases.naming import OWN
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.rows import ROWS, Rows
from engine.connectors.databases.snowflake_catalog import Catalog, Ledger, Name, named, quoted
from engine.connectors.databases.snowflake_link import failures, opened, rows, settings
from engine.connectors.databases.snowflake_loading import Loading, create
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Reading, Selection
from engine.ports.stream import RawText, Stream
from engine.rules.watermarks import written

# With this among the values the driver formats every query, and % is always written twice.
_ALWAYS: dict[str, Any] = {"_penstock": 0}
_MARKERS = ("%(_penstock_after)s", "%(_penstock_upto)s")


def _formatted(names: str) -> str:
    """Quoted names as they stand in a query that the driver formats."""
    return names.replace("%", "%%")


def connect(connection: Connection, root: Path) -> Snowflake:
    """A connector for a `snowflake` connection."""
    return Snowflake(connection, root)


class Snowflake:
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self._id = connection.id
        self._settings = settings(connection, root)
        self._opened: Any = None

    @property
    def _link(self) -> Any:
        if self._opened is None:
            with failures(self._id):
                self._opened = opened(self._settings)
        return self._opened

    @property
    def _catalog(self) -> Catalog:
        return Catalog(self._link, self._id)

    def _uri(self, name: Name) -> str:
        schema = name.schema or str(self._settings.get("schema", "PUBLIC"))
        path = "/".join(quote(each, safe="") for each in (self._settings["database"], schema, name.table))
        return f"snowflake://{self._settings['account']}/{path}"

    def test(self) -> str:
        """Ask for its version and who we are."""
        with failures(self._id):
            row = rows(self._link, "SELECT current_version(), current_user()")[0]
        return f"Snowflake {row[0]} answers as user '{row[1]}'."

    def close(self) -> None:
        link, self._opened = self._opened, None
        if link is not None:
            with failures(self._id):
                link.close()

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        text, values = bound(query, parameters, lambda name: f"%({name})s", percent=True)
        with failures(self._id):
            found = rows(self._link, f"SELECT * FROM ({text}\n) AS q LIMIT 1", _ALWAYS | values)
        return found[0][0] if found else None

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        with failures(self._id):
            names = [each for each in self._catalog.tables() if not each.startswith(OWN)]
        return [each for each in names if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with failures(self._id):
            _, schema, _ = self._asked(selection)
        where = f"Connection '{self._id}', {selection.object}"
        return pa.schema([schema.field(name) for name in chosen(selection.columns, schema.names, where)])

    def _asked(self, selection: Selection) -> tuple[str, pa.Schema, dict[str, Any]]:
        """What stands after FROM, its columns, the values that are bound in it."""
        if selection.table:
            origin, values = _formatted(self._catalog.get(selection.table).sql), _ALWAYS
        elif selection.query:
            text, values = bound(selection.query, selection.parameters, lambda name: f"%({name})s", percent=True)
            origin, values = f"({text}\n) AS q", _ALWAYS | values
        else:
            raise ConfigurationError(f"Connection '{self._id}' is a database: name a `table` or a `query`.")
        return origin, pa.schema(self._catalog.fields(origin, values)), values

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        with failures(self._id):
            _, schema, _ = self._asked(selection)
            keys: list[str] = []
            if selection.table:
                name = self._catalog.get(selection.table)
                keys = [str(row[4]) for row in rows(self._link, f"SHOW PRIMARY KEYS IN TABLE {name.sql}")]
        return candidates([Facts(field=each, primary=keys == [each.name]) for each in schema])

    def newest(self, selection: Selection) -> Any:
        with failures(self._id):
            origin, schema, values = self._asked(selection)
            window = self._newness(selection, schema)
            if window is None:
                return None
            found = rows(self._link, f"SELECT max({_formatted(quoted(window.field.name))}) FROM {origin}", values)
        return written(found[0][0]) if found else None

    def _newness(self, selection: Selection, schema: pa.Schema) -> Newness | None:
        if selection.window is None:
            return None
        where = f"Connection '{self._id}', {selection.object}"
        return newness(selection.window, schema, self.candidates(selection), where)

    def read(self, selection: Selection) -> Reading:
        with failures(self._id):
            origin, schema, values = self._asked(selection)
            where = f"Connection '{self._id}', {selection.object}"
            names = chosen(selection.columns, schema.names, where)
            window = self._newness(selection, schema)
            values = dict(values)
            query = f"SELECT {_formatted(', '.join(quoted(each) for each in names))} FROM {origin}"
            if window is not None:
                must_have(window, names, where)
                condition, bounds = window.condition(_formatted(quoted(window.field.name)), _MARKERS)
                query += f" WHERE {condition}"
                values |= dict(zip((each[2:-2] for each in _MARKERS), bounds, strict=False))
            found = self._catalog.find(selection.table) if selection.table else None
            now = (
                rows(self._link, "SELECT current_timestamp()")[0][0].astimezone(UTC)
                if window
                else datetime.now(UTC)
            )
        fields = [schema.field(name) for name in names]
        return Rows(
            pa.schema(fields),
            self._batches(query, values, fields),
            dataset=f"{self._id}:{selection.object}",
            uri=self._uri(found or Name("", "query")),
            reach=Reach(window, now.astimezone(UTC)) if window is not None else None,
            rows=int(selection.options.get("batch_rows") or ROWS),
        )

    def _batches(self, query: str, values: dict[str, Any], fields: Sequence[pa.Field]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema(fields)
        with failures(self._id), self._link.cursor() as cursor:
            cursor.execute(query, values or None)
            for table in cursor.fetch_arrow_batches():
                for batch in table.to_batches():
                    columns = [
                        types.as_field(column, one) for column, one in zip(batch.columns, fields, strict=True)
                    ]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)

    # Destination

    def modes(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def target_schema(self, target: str) -> pa.Schema | None:
        with failures(self._id, f"table '{target}'"):
            found = self._catalog.find(target)
            return pa.schema(self._catalog.fields(found.sql)) if found else None

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        with failures(self._id, f"table '{target}'"):
            if self._catalog.find(target) is None:
                create(self._link, named(target), list(schema), keys)

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        with failures(self._id, f"table '{target}'"):
            found = self._catalog.find(target)
            if found is None:
                return
            for each in fields:
                column = f"{quoted(each.name)} {types.type_for(each)}"
                rows(self._link, f"ALTER TABLE {found.sql} ADD COLUMN IF NOT EXISTS {column}")

    def ledger(self, token: str, target: str) -> Loaded | None:
        with failures(self._id, f"table '{target}'"):
            return self._entered(target).get(token)

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        with failures(self._id, f"table '{target}'"):
            return self._entered(target).newest(scope)

    def _entered(self, target: str) -> Ledger:
        name = self._catalog.find(target) or named(target)
        return Ledger(self._catalog, name, self._uri(name))

    def _loading(self, order: Order) -> Loading:
        with failures(self._id, f"table '{order.target}'"):
            return Loading(self._catalog, self._id, self._uri, order)

    def load(self, stream: Stream, order: Order) -> Loaded:
        return self._loading(order).load(stream)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None  # rows go as Parquet, whose types are exact

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        return saga.stage(self._loading(order), stream)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        return saga.publish(self._loading(order), staged)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        saga.undo(self._loading(order), staged)

    def discard(self, staged: Mapping[str, Any]) -> None:
        with failures(self._id):
            saga.discard(self._link, staged)
