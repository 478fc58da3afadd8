"""What a Snowflake schema holds, and the ledger in it.

Law: names are quoted as they are given: what we make is found under exactly its name. No key is enforced there, so
that loads of one schema take turns: each begins its transaction by updating the ledger's first row, which Snowflake
locks until the end, and only then asks whether its token is in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from engine.connectors.databases import snowflake_types as types
from engine.connectors.databases.naming import OWN
from engine.connectors.databases.snowflake_link import rows
from engine.model.errors import ConfigurationError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Order

LEDGER = "_penstock_loads"
KEPT_DAYS = 90


def quoted(name: str) -> str:
    """An identifier, whatever is in it."""
    if not name or "\0" in name:
        raise ConfigurationError("An empty name, or one with a NUL character, is no name of a table or column.")
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Name:
    """A table and its schema; '' is the session's."""

    schema: str
    table: str

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}" if self.schema else quoted(self.table)

    def beside(self, table: str) -> Name:
        """Another table of the same schema."""
        return Name(self.schema, table)


def named(given: str) -> Name:
    """A table by the name a config gives it: of the session's schema, or schema.table."""
    schema, dot, table = given.rpartition(".")
    return Name(schema, table) if dot and schema and table else Name("", given)


class Catalog:
    """Looks through one session."""

    def __init__(self, link: Any, id: str) -> None:
        self.link, self._id = link, id

    def tables(self, schema: str = "") -> list[str]:
        """All tables and views of a schema, ours too."""
        where = "table_schema = %(schema)s" if schema else "table_schema = current_schema()"
        query = f"SELECT table_name FROM information_schema.tables WHERE {where} ORDER BY table_name"
        return [str(row[0]) for row in rows(self.link, query, {"schema": schema} if schema else ())]

    def find(self, given: str) -> Name | None:
        """The table of this name as it is spelled there; an unquoted name of Snowflake is in capitals."""
        for wanted in (Name("", given), named(given)):
            there = self.tables(wanted.schema)
            for spelled in (wanted.table, wanted.table.upper()):
                if spelled in there:
                    return wanted.beside(spelled)
        return None

    def get(self, given: str) -> Name:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is not None:
            return found
        there = [each for each in self.tables() if not each.startswith(OWN)]
        near = get_close_matches(given, there, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(there[:10]) or 'no tables'}."
        raise ConfigurationError(f"Connection '{self._id}' has no table '{given}'; {hint}")

    def fields(self, origin: str, values: Mapping[str, Any] | None = None) -> list[pa.Field]:
        """The columns of a table or subquery."""
        with self.link.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {origin} LIMIT 0", values or None)
            return [types.field_of(each) for each in cursor.description]

    def definitions(self, table: Name) -> dict[str, str]:
        """Column -> its type in SQL."""
        return {str(row[0]): str(row[1]) for row in rows(self.link, f"DESCRIBE TABLE {table.sql}")}


class Ledger:
    """The ledger beside one target."""

    def __init__(self, catalog: Catalog, target: Name, uri: str) -> None:
        self._link, self._catalog, self._target, self._uri = catalog.link, catalog, target, uri
        self._sql = target.beside(LEDGER).sql
        self._found = False

    def prepare(self) -> None:
        """Make the table and its first row where they are missing. Not in a transaction: it would end it."""
        if not self._there():
            rows(
                self._link,
                f"CREATE TABLE IF NOT EXISTS {self._sql} (token VARCHAR, target VARCHAR, scope VARCHAR, "
                "mode VARCHAR, loaded_rows NUMBER(38,0), seal VARCHAR, loaded_at TIMESTAMP_TZ)",
            )
            self._found = True
            failpoint.hit("load.ledger")
        # Who made the table may have died before this row, without which nobody would wait for anybody.
        if not rows(self._link, f"SELECT 1 FROM {self._sql} WHERE token = '' LIMIT 1"):
            rows(self._link, f"INSERT INTO {self._sql} SELECT '', '', '', '', 0, '{{}}', CURRENT_TIMESTAMP()")

    def _there(self) -> bool:
        self._found = self._found or LEDGER in self._catalog.tables(self._target.schema)
        return self._found

    def wait(self) -> None:
        """Hold the ledger until the transaction ends."""
        rows(self._link, f"UPDATE {self._sql} SET target = target WHERE token = ''")

    def get(self, token: str) -> Loaded | None:
        """What was loaded under this token."""
        if not self._there():
            return None
        query = f"SELECT loaded_rows, seal FROM {self._sql} WHERE token = %s AND target = %s"
        found = rows(self._link, query, (token, self._target.table))
        if not found:
            return None
        return Loaded(rows=int(found[0][0]), uri=self._uri, already=True, seal=json.loads(found[0][1]))

    def newest(self, scope: str) -> Mapping[str, Any] | None:
        """The last seal of this scope for this target."""
        if not self._there():
            return None
        query = (
            f"SELECT seal FROM {self._sql} WHERE scope = %s AND target = %s AND token <> '' "
            "ORDER BY loaded_at DESC LIMIT 1"
        )
        found = rows(self._link, query, (scope, self._target.table))
        seal: Mapping[str, Any] | None = json.loads(found[0][0]) if found else None
        return seal

    def add(self, order: Order, count: int, seal: Mapping[str, Any]) -> None:
        """Enter a load, and drop what is old."""
        values = (order.token, self._target.table, order.scope, order.mode.value, count)
        text = json.dumps(seal, ensure_ascii=False)
        query = f"INSERT INTO {self._sql} SELECT %s, %s, %s, %s, %s, %s, CURRENT_TIMESTAMP()"
        rows(self._link, query, (*values, text))
        self._forget()

    def _forget(self) -> None:
        aged = f"token <> '' AND DATEDIFF(day, loaded_at, CURRENT_TIMESTAMP()) > {KEPT_DAYS}"
        if not rows(self._link, f"SELECT 1 FROM {self._sql} WHERE {aged} LIMIT 1"):
            return
        newest = f"SELECT scope, target, max(loaded_at) AS last FROM {self._sql} GROUP BY scope, target"
        same = f"{self._sql}.scope = n.scope AND {self._sql}.target = n.target AND {self._sql}.loaded_at < n.last"
        rows(self._link, f"DELETE FROM {self._sql} USING ({newest}) AS n WHERE {same} AND {aged}")

    def remove(self, token: str) -> bool:
        """Forget a load; whether it was there."""
        if self.get(token) is None:
            return False
        rows(self._link, f"DELETE FROM {self._sql} WHERE token = %s", (token,))
        return True
