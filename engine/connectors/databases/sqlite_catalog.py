"""What a SQLite file holds: tables, columns, keys.

Law: a table is looked up before its name goes into a statement: SQLite takes a quoted name that is no column for a
text.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from engine.connectors.databases.naming import OWN, Name, no_table, quoted
from engine.connectors.databases.sqlite_link import Link
from engine.connectors.databases.sqlite_types import field_for, guessed
from engine.model.errors import ConfigurationError

_GLIMPSE = 200  # rows that tell the type of an expression


class Catalog:
    """Looks at one file."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def tables(self) -> list[str]:
        """Tables and views, without our own."""
        rows = self._link.rows(
            "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' ORDER BY name LIMIT 100000"
        )
        return [row[0] for row in rows if not row[0].startswith(OWN)]

    def find(self, given: str) -> Name | None:
        """The table of this name, which may begin with `main.`."""
        for wanted in (given, given.removeprefix("main.")):
            rows = self._link.rows(
                "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
                [wanted],
            )
            if rows:
                return Name("main", rows[0][0])
        return None

    def get(self, given: str) -> Name:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is None:
            raise self.missing(given)
        return found

    def missing(self, given: str) -> ConfigurationError:
        """There is no such table."""
        return no_table(self._link.id, given, self.tables())

    def columns(self, table: Name) -> list[tuple[str, str, bool, int, bool]]:
        """Name, declared type, whether it may be null, place in the primary key, whether it is generated."""
        rows = self._link.rows(f"PRAGMA {quoted(table.schema)}.table_xinfo({quoted(table.table)})")
        return [
            (name, declared or "", not required and not key, key, hidden in (2, 3))
            for _, name, declared, required, _, key, hidden in rows
            if hidden != 1
        ]

    def required(self, table: Name) -> frozenset[str]:
        """The columns that a row needs a value for, nothing else giving one."""
        rows = self._link.rows(f"PRAGMA {quoted(table.schema)}.table_info({quoted(table.table)})")
        return frozenset(
            name for _, name, _, needed, default, key in rows if needed and default is None and not key
        )

    def fields(self, table: Name, *, writable: bool = False) -> list[pa.Field]:
        """The columns of a table; of a view's expressions by what the first rows have."""
        columns = [each for each in self.columns(table) if not (writable and each[4])]
        fields = [field_for(name, declared, nullable=nullable) for name, declared, nullable, _, _ in columns]
        if all(declared for _, declared, *_ in columns):
            return fields
        seen = self._glimpse(f"SELECT * FROM {table.sql}", {})
        return [
            one if declared or one.name not in seen else guessed(one.name, seen[one.name])
            for one, (_, declared, *_) in zip(fields, columns, strict=True)
        ]

    def query_fields(self, query: str, values: dict[str, Any]) -> list[pa.Field]:
        """The columns of a query: as declared where they are a table's own, else by what the first rows have."""
        seen = self._glimpse(query, values)
        declared = self._declared(query, values)
        return [
            field_for(name, declared[name]) if declared.get(name) else guessed(name, seen[name]) for name in seen
        ]

    def _glimpse(self, query: str, values: dict[str, Any]) -> dict[str, list[Any]]:
        cursor = self._link.wire.execute(f"SELECT * FROM ({query}\n) LIMIT {_GLIMPSE}", values)
        names = [each[0] for each in cursor.description]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"Connection '{self._link.id}': the query has two columns named '{twice[0]}'; rename one with AS."
            )
        rows = cursor.fetchall()
        return {name: [row[at] for row in rows] for at, name in enumerate(names)}

    def _declared(self, query: str, values: dict[str, Any]) -> dict[str, str]:
        """Types as a view of the query has them; a view binds nothing, so that one with values has none."""
        if values:
            return {}
        view = Name("temp", f"{OWN}query")
        self._link.run(f"DROP VIEW IF EXISTS {view.sql}")
        self._link.run(f"CREATE TEMPORARY VIEW {quoted(view.table)} AS {query}")
        try:
            return {name: declared for name, declared, *_ in self.columns(view)}
        finally:
            self._link.run(f"DROP VIEW {view.sql}")

    def indexed(self, table: Name) -> tuple[set[str], list[str]]:
        """The first columns of indexes, and the columns of the primary key."""
        columns = sorted((key, name) for name, _, _, key, _ in self.columns(table) if key)
        primary = [name for _, name in columns]
        rows = self._link.rows(
            f"SELECT i.name FROM pragma_index_list({_text(table.table)}) AS l, pragma_index_info(l.name) AS i "
            "WHERE i.seqno = 0 AND l.partial = 0 AND i.name IS NOT NULL"
        )
        return {row[0] for row in rows} | set(primary[:1]), primary


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
