"""A SQLite file as a place to load into.

Law: see site.Site. Rows are gathered in a table of the session, which keeps nobody waiting, and go into the file in
one short transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.databases import sqlite_types as types
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.sqlite_catalog import Catalog
from engine.connectors.databases.sqlite_link import Link
from engine.dataflow.kinds import limited

_ROWS = 10_000  # as Python values at a time


class SqliteSite:
    """See engine.connectors.databases.site.Site."""

    row_id = "rowid"
    direct = False
    sequence = "INTEGER PRIMARY KEY AUTOINCREMENT"
    same = "IS"
    overriding = ""
    aged = "loaded_at < datetime('now', '-90 days')"

    def __init__(self, link: Link, file: Path) -> None:
        self.id = link.id
        self._link, self._file = link, file
        self._catalog = Catalog(link)

    def marker(self, number: int) -> str:
        return f"?{number}"

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._link.rows(statement, values)

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._link.run(statement, values)

    def begin(self) -> None:
        self._link.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._link.run("COMMIT")

    def rollback(self) -> None:
        self._link.rollback()

    def failures(self, what: str) -> AbstractContextManager[None]:
        return self._link.failures(what)

    def find(self, given: str) -> Name | None:
        return self._catalog.find(given)

    def named(self, given: str) -> Name:
        return Name("main", given.removeprefix("main."))

    def missing(self, given: str) -> Exception:
        return self._catalog.missing(given)

    def fields(self, table: Name) -> list[pa.Field]:
        return self._catalog.fields(table, writable=True)

    def limited(self, table: Name) -> list[pa.Field]:
        """The columns that can be written, with what the table asks of their values."""
        required = self._catalog.required(table)
        return [limited(one, required=one.name in required) for one in self.fields(table)]

    def definitions(self, table: Name) -> dict[str, str]:
        return {name: declared for name, declared, *_ in self._catalog.columns(table)}

    def definition(self, one: pa.Field, *, key: bool = False) -> str:
        return types.definition(one, key=key)

    def comparable(self, column: str, definition: str) -> str:
        return column

    def tables(self, schema: str, prefix: str) -> list[str]:
        rows = self.rows(
            f"SELECT name FROM {quoted(schema)}.sqlite_master WHERE type = 'table' AND substr(name, 1, ?1) = ?2",
            [len(prefix), prefix],
        )
        return [row[0] for row in rows]

    def temporary(self, table: str) -> Name:
        return Name("temp", table)

    def alone(self, table: Name) -> None:
        """BEGIN IMMEDIATE has seen to it."""

    def lock(self, table: Name) -> None:
        """BEGIN IMMEDIATE has seen to it."""

    def clear(self, table: Name) -> None:
        self.run(f"DELETE FROM {table.sql}")

    def write(self, into: Name, columns: Sequence[str], batches: Iterable[pa.RecordBatch], where: str) -> int:
        listed, markers = ", ".join(quoted(each) for each in columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {into.sql} ({listed}) VALUES ({markers})"
        declared = self.definitions(into)
        rows = 0
        own = not self._link.wire.in_transaction
        for batch in batches:
            if own:
                self.run("BEGIN")  # of the session's own tables: the file is not locked
            for at in range(0, batch.num_rows, _ROWS):
                part = batch.slice(at, _ROWS)
                cells = [
                    types.values_of(column, declared[name], name, where)
                    for column, name in zip(part.columns, columns, strict=True)
                ]
                self._link.wire.executemany(statement, zip(*cells, strict=True))
            if own:
                self.run("COMMIT")
            rows += batch.num_rows
        return rows

    def settled(self, table: Name, keys: Sequence[str]) -> None:
        """SQLite indexes what it joins by itself."""

    def uri(self, table: Name) -> str:
        return f"{self._file.as_uri().replace('file:', 'sqlite:', 1)}#{table.table}"
