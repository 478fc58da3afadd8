"""What a MySQL or MariaDB database holds: tables, columns, keys, and what ties a table to others.

Law: names are quoted by backticks, values bound. A missing table is a typed error with the nearest there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from engine.connectors.databases import mysql_types as types
from engine.connectors.databases.mysql_link import Link
from engine.model.errors import ConfigurationError

OWN = "_penstock_"


def quoted(name: str) -> str:
    """An identifier, whatever is in it."""
    if not name or "\0" in name:
        raise ConfigurationError("An empty name, or one with a NUL character, is no name of a table or column.")
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Name:
    """A table and the database it is in."""

    database: str
    table: str

    @property
    def sql(self) -> str:
        return f"{quoted(self.database)}.{quoted(self.table)}"

    def beside(self, table: str) -> Name:
        """Another table of the same database."""
        return Name(self.database, table)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, as it is read and written."""

    field: pa.Field
    wire: Any = None  # how the server describes it; None for one that is not there yet
    generated: bool = False

    @property
    def name(self) -> str:
        return str(self.field.name)

    @property
    def bits(self) -> bool:
        return self.wire is not None and types.is_bits(self.wire)


def described_by(cursor: Any) -> Sequence[Any]:
    """The columns of an answer as the wire describes them: flags and lengths, which the DB-API leaves out."""
    return list(cursor._result.fields)


class Catalog:
    """Looks through one connection."""

    def __init__(self, link: Link, id: str, database: str) -> None:
        self._link, self._id, self._database = link, id, database

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        with self._link.cursor() as cursor:
            cursor.execute(query, tuple(values) or None)
            return list(cursor.fetchall())

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """A statement without an answer: the rows it touched."""
        with self._link.cursor() as cursor:
            return int(cursor.execute(statement, tuple(values) or None))

    def name(self, given: str) -> Name:
        """A table by the name a config gives it: of the connection's database, or database.table."""
        database, dot, table = given.rpartition(".")
        return Name(database, table) if dot and database and table else Name(self._database, given)

    def find(self, given: str) -> Name | None:
        """The table of this name, if it is there."""
        for wanted in (Name(self._database, given), self.name(given)):
            if self.exists(wanted):
                return wanted
        return None

    def exists(self, name: Name) -> bool:
        """Whether there is such a table or view."""
        query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        return bool(self.rows(query, (name.database, name.table)))

    def get(self, given: str) -> Name:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is not None:
            return found
        there = self.tables()
        near = get_close_matches(given, there, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(there[:10]) or 'no tables'}."
        raise ConfigurationError(f"Connection '{self._id}' has no table '{given}'; {hint}")

    def tables(self) -> list[str]:
        """Tables and views of the connection's database, without our own."""
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name"
        return [row[0] for row in self.rows(query, (self._database,)) if not row[0].startswith(OWN)]

    def columns(self, table: Name) -> list[Column]:
        """A table's columns in its order."""
        json, generated, instants = self._json(table), self._generated(table), self._instants(table)
        wires = self.described(f"SELECT * FROM {table.sql} LIMIT 0")
        return [Column(types.field_of(each, json, instants), each, each.name in generated) for each in wires]

    def described(self, query: str, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The columns of a query as the wire describes them."""
        return self.answer(query, values)[0]

    def answer(
        self, query: str, values: Mapping[str, Any] | None = None
    ) -> tuple[Sequence[Any], list[tuple[Any, ...]]]:
        """A small answer: columns as the wire describes them, and rows."""
        with self._link.cursor() as cursor:
            cursor.execute(query, values or None)
            return described_by(cursor), list(cursor.fetchall())

    def _json(self, table: Name) -> frozenset[str]:
        """MariaDB's JSON is a text that is checked: which columns are."""
        if not self.rows(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = 'information_schema' "
            "AND table_name = 'CHECK_CONSTRAINTS'"
        ):
            return frozenset()
        try:
            found = self.rows(
                "SELECT check_clause FROM information_schema.check_constraints WHERE constraint_schema = %s "
                "AND table_name = %s",
                (table.database, table.table),
            )
        except Exception as error:
            if "table_name" in str(error):
                return frozenset()  # MySQL, whose JSON has a type of its own
            raise
        named = (row[0].strip() for row in found)
        return frozenset(
            each[len("json_valid(`") : -len("`)")].replace("``", "`")
            for each in named
            if each.lower().startswith("json_valid(`") and each.endswith("`)")
        )

    def _instants(self, table: Name) -> frozenset[str]:
        found = self.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
            "AND data_type = 'datetime' AND instr(column_comment, %s)",
            (table.database, table.table, types.INSTANT_MARK),
        )
        return frozenset(row[0] for row in found)

    def _generated(self, table: Name) -> frozenset[str]:
        found = self.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
            "AND extra LIKE '%%GENERATED%%' AND extra NOT LIKE '%%DEFAULT_GENERATED%%'",
            (table.database, table.table),
        )
        return frozenset(row[0] for row in found)

    def unique(self, table: Name) -> list[list[str]]:
        """The column lists of unique keys, the primary key first."""
        found = self.rows(
            "SELECT index_name, column_name FROM information_schema.statistics WHERE table_schema = %s "
            "AND table_name = %s AND non_unique = 0 ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index",
            (table.database, table.table),
        )
        keys: dict[str, list[str]] = {}
        for index, column in found:
            keys.setdefault(index, []).append(column)
        return list(keys.values())

    def indexed(self, table: Name) -> frozenset[str]:
        """Columns that an index begins with."""
        found = self.rows(
            "SELECT column_name FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s "
            "AND seq_in_index = 1",
            (table.database, table.table),
        )
        return frozenset(row[0] for row in found)

    def transactional(self, table: Name) -> bool:
        """Whether what is written to the table can be rolled back."""
        found = self.rows(
            "SELECT e.transactions FROM information_schema.tables t JOIN information_schema.engines e "
            "ON e.engine = t.engine WHERE t.table_schema = %s AND t.table_name = %s",
            (table.database, table.table),
        )
        return bool(found and found[0][0] == "YES")

    def tied(self, table: Name) -> bool:
        """Whether foreign keys or triggers hang on the table itself, which a renamed one would take along."""
        values = (table.database, table.table)
        return bool(
            self.rows(
                "SELECT 1 FROM information_schema.key_column_usage WHERE referenced_table_schema = %s "
                "AND referenced_table_name = %s LIMIT 1",
                values,
            )
            or self.rows(
                "SELECT 1 FROM information_schema.key_column_usage WHERE table_schema = %s AND table_name = %s "
                "AND referenced_table_name IS NOT NULL LIMIT 1",
                values,
            )
            or self.rows(
                "SELECT 1 FROM information_schema.triggers WHERE event_object_schema = %s "
                "AND event_object_table = %s LIMIT 1",
                values,
            )
        )

    def comment(self, table: Name) -> str:
        """The table's comment; '' when it has none or is not there."""
        query = "SELECT table_comment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        found = self.rows(query, (table.database, table.table))
        return str(found[0][0] or "") if found else ""
