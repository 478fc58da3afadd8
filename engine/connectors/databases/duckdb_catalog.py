"""What a DuckDB file holds: tables, columns, keys.

Law: a table is looked up before its name goes into a statement. DuckDB takes a quoted name that is no table for a
file to read; here it is a typed error with the nearest table.
"""

from __future__ import annotations

from typing import Any

import duckdb

from engine.connectors.databases import duckdb_types as types
from engine.connectors.databases.naming import OWN, Name, no_table, quoted
from engine.model.errors import ConfigurationError


class Catalog:
    """Looks at one open file."""

    def __init__(self, link: duckdb.DuckDBPyConnection, id: str) -> None:
        self._link, self._id = link, id

    def tables(self) -> list[Name]:
        """Tables and views, without our own."""
        rows = self._link.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary "
            "AND database_name = current_database() UNION ALL "
            "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary "
            "AND database_name = current_database() ORDER BY 1, 2"
        ).fetchall()
        return [Name(*row) for row in rows if not row[1].startswith(OWN)]

    def find(self, given: str) -> Name | None:
        """The table of this name: of the schema main, or schema.table."""
        named = target(given)
        for wanted in (Name("main", given), named):
            row = self._link.execute(
                "SELECT schema_name, table_name FROM (SELECT schema_name, table_name, database_name FROM "
                "duckdb_tables() UNION ALL SELECT schema_name, view_name, database_name FROM duckdb_views()) "
                "WHERE database_name = current_database() AND lower(schema_name) = lower($1) "
                "AND lower(table_name) = lower($2)",
                [wanted.schema, wanted.table],
            ).fetchone()
            if row is not None:
                return Name(*row)
        return None

    def get(self, given: str) -> Name:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is not None:
            return found
        raise no_table(self._id, given, [shown(each) for each in self.tables()])

    def schema(self, name: str) -> bool:
        """Whether there is a schema of this name."""
        found = self._link.execute(
            "SELECT 1 FROM duckdb_schemas() WHERE database_name = current_database() AND schema_name = $1", [name]
        ).fetchone()
        return found is not None

    def plans(self, table: Name) -> list[types.Plan]:
        """How each column is read, in the table's order."""
        columns = self._columns(table)
        return [types.plan(name, quoted(name), given, nullable=nullable) for name, given, nullable in columns]

    def required(self, table: Name) -> frozenset[str]:
        """The columns that a row needs a value for, nothing else giving one."""
        rows = self._link.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
            "AND schema_name = $1 AND table_name = $2 AND NOT is_nullable AND column_default IS NULL",
            [table.schema, table.table],
        ).fetchall()
        return frozenset(row[0] for row in rows)

    def _columns(self, table: Name) -> list[tuple[str, str, bool]]:
        rows: list[tuple[str, str, bool]] = self._link.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE database_name = "
            "current_database() AND schema_name = $1 AND table_name = $2 ORDER BY column_index",
            [table.schema, table.table],
        ).fetchall()
        return rows

    def query_plans(self, query: str, parameters: Any) -> list[types.Plan]:
        """How each column of a query is read."""
        rows = self._link.execute(f"DESCRIBE SELECT * FROM ({query}\n) AS q", parameters).fetchall()
        names = [row[0].lower() for row in rows]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ConfigurationError(f"The query has two columns named '{min(twice)}'; rename one with AS.")
        return [types.plan(row[0], quoted(row[0]), row[1]) for row in rows]

    def unique(self, table: Name) -> list[list[str]]:
        """The column lists that primary keys and unique constraints speak of, the primary key first."""
        rows = self._link.execute(
            "SELECT constraint_column_names FROM duckdb_constraints() WHERE database_name = current_database() "
            "AND schema_name = $1 AND table_name = $2 AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
            "ORDER BY constraint_type",
            [table.schema, table.table],
        ).fetchall()
        return [list(row[0]) for row in rows]

    def indexed(self, table: Name) -> bool:
        """Whether anything keeps an index on it: a key, a unique constraint, CREATE INDEX."""
        rows = self._link.execute(
            "SELECT coalesce(any_value(index_count), 0) > 0 FROM duckdb_tables() WHERE database_name = "
            "current_database() AND schema_name = $1 AND table_name = $2",
            [table.schema, table.table],
        ).fetchall()  # a result not read to its end is in the way of what comes next
        return bool(rows and rows[0][0])


def target(given: str) -> Name:
    """The name of a table that is not there yet: schema.table, or a table of main."""
    schema, dot, table = given.rpartition(".")
    return Name(schema, table) if dot and schema and table else Name("main", given)


def shown(name: Name) -> str:
    """A name as `read` and `load` take it."""
    return name.table if name.schema == "main" else f"{name.schema}.{name.table}"
