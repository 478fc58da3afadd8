"""What a PostgreSQL database holds: tables, columns, keys.

Law: a table is looked up before its name goes into a statement. `name` is found along the search path,
`schema.name` in its schema; as it is spelled, and if there is none, in lower case.
"""

from __future__ import annotations

from typing import Any

from engine.connectors.databases.naming import OWN, Name, no_table, quoted
from engine.connectors.databases.pg_link import Link
from engine.connectors.databases.pg_types import Plan, Type, plan
from engine.model.errors import ConfigurationError

_KINDS = "('r', 'p', 'v', 'm', 'f')"
_SHORTEST_CUT = 64  # bytes: servers can be built to keep more of a name, and none keeps less than 63
_OTHERS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' "


class Catalog:
    """Looks at one database."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def tables(self) -> list[Name]:
        """Tables and views that may be read, without our own."""
        rows = self._link.rows(
            f"SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
            f"c.relkind IN {_KINDS} AND NOT c.relispartition AND {_OTHERS} AND c.relpersistence <> 't' "
            "AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2 LIMIT 100000"
        )
        return [Name(*row) for row in rows if not row[1].startswith(OWN)]

    def find(self, given: str) -> Name | None:
        """The table of this name."""
        schema, _, table = given.rpartition(".")
        tried: list[tuple[str | None, str]] = [(None, given)]
        if schema and table:
            tried.append((schema, table))
        for wanted in tried + [(each and each.lower(), name.lower()) for each, name in tried]:
            if any(each and self.kept_of(each) is not None for each in wanted):
                continue  # the server would look for its beginning, and find another table
            found = self._link.rows(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                f"WHERE c.relkind IN {_KINDS} AND c.relname = $2 AND c.relpersistence <> 't' AND "
                "CASE WHEN $1::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $1 END",
                list(wanted),
            )
            if found:
                return Name(*found[0])
        return None

    def get(self, given: str) -> Name:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is None:
            raise self.missing(given)
        return found

    def missing(self, given: str) -> ConfigurationError:
        """There is no such table."""
        return no_table(self._link.id, given, [self.shown(each) for each in self.tables()])

    def named(self, given: str) -> Name:
        """The name of a table that is not there yet: schema.table, or a table of the current schema."""
        schema, _, table = given.rpartition(".")
        if schema and table and self._link.rows("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]):
            found = Name(schema, table)
        else:
            found = Name(self.current, given)
        if (kept := self.kept_of(found.table)) is not None:
            raise ConfigurationError(
                f"Connection '{self._link.id}': the table's name '{found.table}' is too long: PostgreSQL keeps "
                f"{kept} bytes of a name, and two tables could be taken for one. Choose a shorter `target`."
            )
        return found

    def kept_of(self, name: str) -> int | None:
        """How many bytes the server keeps of a name that is too long for it: it cuts without an error."""
        if len(name.encode()) < _SHORTEST_CUT:
            return None
        most = int(self._link.rows("SELECT current_setting('max_identifier_length')::int")[0][0])
        return most if len(name.encode()) > most else None

    @property
    def current(self) -> str:
        """The schema that tables are made in."""
        found = self._link.rows("SELECT current_schema()")[0][0]
        if found is None:
            raise ConfigurationError(
                f"Connection '{self._link.id}': its search_path names no schema that is there; write schema.table."
            )
        return str(found)

    def shown(self, name: Name) -> str:
        """A name as `read` and `load` take it."""
        return name.table if name.schema == "public" else f"{name.schema}.{name.table}"

    # Columns

    def plans(self, table: Name, *, writable: bool = False) -> list[Plan]:
        """How each column of a table is read; `writable`: without those that the server works out."""
        rows = self._link.rows(
            "SELECT a.attname, COALESCE(NULLIF(t.typbasetype, 0), t.oid), a.atttypmod, NOT a.attnotnull "
            "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1::regclass "
            f"AND a.attnum > 0 AND NOT a.attisdropped {'AND a.attgenerated = $2' if writable else ''} "
            "ORDER BY a.attnum",
            [table.sql, *([""] if writable else [])],
        )
        return self._plans(rows)

    def limits(self, table: Name) -> dict[str, tuple[bool, int | None]]:
        """By column: whether a row needs a value for it, nothing else giving one; how long its text may be."""
        rows = self._link.rows(
            "SELECT a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL, "
            "CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END "
            "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1::regclass "
            "AND a.attnum > 0 AND NOT a.attisdropped",
            [table.sql],
        )
        return {name: (required, length) for name, required, length in rows}

    def query_plans(self, query: str) -> list[Plan]:
        """How each column of a query is read."""
        with self._link.wire.cursor() as cursor, self._link.watch.waiting():
            cursor.execute(f"SELECT * FROM ({query}\n) AS q LIMIT 0".encode())
            columns = cursor.description or []
        names = [column.name for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"Connection '{self._link.id}': the query has two columns named '{twice[0]}'; rename one with AS."
            )
        return self._plans([(column.name, column.type_code, column._fmod, True) for column in columns])

    def _plans(self, columns: list[Any]) -> list[Plan]:
        rows = self._link.rows(
            "SELECT oid, typname, typcategory, typtype FROM pg_type WHERE oid = ANY($1::oid[])",
            [[row[1] for row in columns]],
        )
        types = {int(oid): Type(name=name, category=category, kind=kind) for oid, name, category, kind in rows}
        return [
            plan(name, quoted(name), types[int(oid)], modifier, nullable=nullable)
            for name, oid, modifier, nullable in columns
        ]

    def definitions(self, table: Name) -> dict[str, str]:
        """Column -> its type in SQL."""
        rows = self._link.rows(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [table.sql],
        )
        return {str(name): str(told) for name, told in rows}

    def base_types(self, table: Name) -> dict[str, str]:
        """Column -> the name of its type, a domain's of what it is made from."""
        rows = self._link.rows(
            "SELECT a.attname, b.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            "JOIN pg_type b ON b.oid = COALESCE(NULLIF(t.typbasetype, 0), t.oid) "
            "WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped",
            [table.sql],
        )
        return {str(name): str(kind) for name, kind in rows}

    def indexed(self, table: Name) -> tuple[set[str], list[str]]:
        """The first columns of indexes, and the columns of the primary key."""
        rows = self._link.rows(
            "SELECT i.indisprimary, array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(n, at) "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.at) "
            "FROM pg_index i WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indpred IS NULL",
            [table.sql],
        )
        primary = next((list(columns) for is_primary, columns in rows if is_primary), [])
        return {columns[0] for _, columns in rows if columns}, primary
