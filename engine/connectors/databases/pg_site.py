"""PostgreSQL as a place to load into.

Law: see site.Site. Rows go in by COPY, within the transaction that publishes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.pg_binary import Binary
from engine.connectors.databases.pg_catalog import Catalog
from engine.connectors.databases.pg_copy import text_of
from engine.connectors.databases.pg_link import Link
from engine.connectors.databases.pg_types import type_for
from engine.dataflow.kinds import limited
from engine.model.errors import ConfigurationError
from engine.ports.stream import RawText

_NOT_COMPARED = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})


class PgSite:
    """See engine.connectors.databases.site.Site."""

    row_id = "ctid"
    direct = True
    sequence = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    same = "IS NOT DISTINCT FROM"
    overriding = "OVERRIDING SYSTEM VALUE"
    aged = "loaded_at < CURRENT_TIMESTAMP - INTERVAL '90 days'"

    def __init__(self, link: Link, address: str) -> None:
        self.id = link.id
        self._link, self._address = link, address
        self._catalog = Catalog(link)

    def marker(self, number: int) -> str:
        return f"${number}"

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._link.rows(statement, values)

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._link.run(statement, values)

    def begin(self) -> None:
        self._link.begin()

    def commit(self) -> None:
        self._link.commit()

    def rollback(self) -> None:
        self._link.rollback()

    def failures(self, what: str) -> AbstractContextManager[None]:
        return self._link.failures(what)

    def find(self, given: str) -> Name | None:
        return self._catalog.find(given)

    def named(self, given: str) -> Name:
        return self._catalog.named(given)

    def missing(self, given: str) -> Exception:
        return self._catalog.missing(given)

    def fields(self, table: Name) -> list[pa.Field]:
        return [plan.field for plan in self._catalog.plans(table, writable=True)]

    def limited(self, table: Name) -> list[pa.Field]:
        """The columns that can be written, with what the server asks of their values."""
        limits = self._catalog.limits(table)
        return [
            limited(one, required=limits[one.name][0], length=limits[one.name][1]) for one in self.fields(table)
        ]

    def definitions(self, table: Name) -> dict[str, str]:
        return self._catalog.definitions(table)

    def definition(self, one: pa.Field, *, key: bool = False) -> str:
        if (kept := self._catalog.kept_of(one.name)) is not None:
            raise ConfigurationError(
                f"Connection '{self.id}': the column's name '{one.name}' is too long: PostgreSQL keeps {kept} "
                "bytes of a name. Give it a shorter one in `columns`."
            )
        return type_for(one)

    def comparable(self, column: str, definition: str) -> str:
        return f"{column}::text" if definition in _NOT_COMPARED else column

    def tables(self, schema: str, prefix: str) -> list[str]:
        found = self.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND starts_with(tablename, $2)", [schema, prefix]
        )
        return [row[0] for row in found]

    def temporary(self, table: str) -> Name:
        return Name("pg_temp", table)

    def alone(self, table: Name) -> None:
        self.rows(
            "SELECT pg_advisory_xact_lock(hashtext('penstock'), $1::int)", [zlib.crc32(table.sql.encode()) >> 1]
        )

    def lock(self, table: Name) -> None:
        self.run(f"LOCK TABLE {table.sql} IN SHARE ROW EXCLUSIVE MODE")

    def clear(self, table: Name) -> None:
        """TRUNCATE, unless it may not be: then DELETE, which foreign keys and rights look at row by row."""
        may = self.rows(
            "SELECT c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'TRUNCATE') AND NOT EXISTS "
            "(SELECT 1 FROM pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f') "
            "FROM pg_class c WHERE c.oid = $1::regclass",
            [table.sql],
        )
        self.run(f"TRUNCATE {table.sql}" if may[0][0] else f"DELETE FROM {table.sql}")

    def write(self, into: Name, columns: Sequence[str], batches: Iterable[pa.RecordBatch], where: str) -> int:
        types = self._catalog.base_types(into)
        binary = Binary(batches, [types.get(each, "") for each in columns])
        done = self._copy(into, columns, "FORMAT binary", binary.blocks()) if binary else 0
        if binary and binary.whole:
            return done
        return done + self._copy(into, columns, "FORMAT csv", text_of(binary.left))

    def write_text(self, into: Name, text: RawText) -> int:
        """Delimited text into a table, as the server reads it: how many rows."""
        options = ["FORMAT csv", f"DELIMITER {_literal(text.delimiter)}", f"QUOTE {_literal(text.quote)}"]
        options += [f"ESCAPE {_literal(text.escape or text.quote)}", f"NULL {_literal(text.null)}"]
        options += ["ENCODING 'UTF8'"]
        return self._copy(into, text.columns, ", ".join(options), text.blocks)

    def _copy(self, into: Name, columns: Sequence[str], options: str, blocks: Iterable[Any]) -> int:
        listed = ", ".join(quoted(each) for each in columns)
        statement = f"COPY {into.sql} ({listed}) FROM STDIN ({options})"
        watch = self._link.watch
        with self._link.wire.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                for block in blocks:
                    with watch.waiting():
                        copy.write(block)
            return max(cursor.rowcount, 0)

    def settled(self, table: Name, keys: Sequence[str]) -> None:
        """Of a table that was never analysed the server may think that it has one row, and go through all of it
        for each row of the other. Of a wide table the other columns would take longer than the load."""
        asked = "SELECT 1 FROM pg_class WHERE oid = $1::regclass AND relkind = 'r' AND reltuples <= 0"
        if self.rows(asked, [table.sql]):
            self.run(f"ANALYZE {table.sql} ({', '.join(quoted(each) for each in keys)})")

    def uri(self, table: Name) -> str:
        database = self._link.wire.info.dbname
        return f"{self._address}/{quote(database)}/{quote(table.schema)}.{quote(table.table)}"


def _literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
