"""The ledger of a DuckDB file: which loads are in it, and how far they reached.

Law: a row is written in the transaction of the rows it speaks of, and its token is a primary key. Rows of 90 days
ago that are not the newest of their scope are removed as others are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

from engine.connectors.databases.naming import Name
from engine.ports.destination import Loaded, Order

TABLE = "_penstock_loads"
KEPT_DAYS = 90


class Ledger:
    """The ledger beside one target. Its methods run inside the caller's transaction."""

    def __init__(self, link: duckdb.DuckDBPyConnection, target: Name, uri: str) -> None:
        self._link, self._uri = link, uri
        self._name = target.beside(TABLE)

    def prepare(self) -> None:
        """Make the table where it is missing."""
        self._link.execute(
            f"CREATE TABLE IF NOT EXISTS {self._name.sql} (token VARCHAR PRIMARY KEY, target VARCHAR NOT NULL, "
            "scope VARCHAR NOT NULL, mode VARCHAR NOT NULL, loaded_rows BIGINT NOT NULL, seal VARCHAR NOT NULL, "
            "loaded_at TIMESTAMPTZ NOT NULL)"
        )

    def _there(self) -> bool:
        found = self._link.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = $1 "
            "AND table_name = $2",
            [self._name.schema, self._name.table],
        ).fetchone()
        return found is not None

    def get(self, token: str) -> Loaded | None:
        """What was loaded under this token."""
        if not self._there():
            return None
        row = self._link.execute(
            f"SELECT loaded_rows, seal FROM {self._name.sql} WHERE token = $1", [token]
        ).fetchone()
        if row is None:
            return None
        return Loaded(rows=row[0], uri=self._uri, already=True, seal=json.loads(row[1]))

    def newest(self, scope: str) -> Mapping[str, Any] | None:
        """The last seal of this scope for this target."""
        if not self._there():
            return None
        row = self._link.execute(
            f"SELECT seal FROM {self._name.sql} WHERE scope = $1 ORDER BY loaded_at DESC, rowid DESC LIMIT 1",
            [scope],
        ).fetchone()
        seal: Mapping[str, Any] | None = None if row is None else json.loads(row[0])
        return seal

    def add(self, order: Order, rows: int, seal: Mapping[str, Any]) -> None:
        """Enter a load, and drop what is old."""
        self._link.execute(
            f"INSERT INTO {self._name.sql} VALUES ($1, $2, $3, $4, $5, $6, now())",
            [order.token, order.target, order.scope, order.mode.value, rows, json.dumps(seal, ensure_ascii=False)],
        )
        self._link.execute(
            f"DELETE FROM {self._name.sql} AS old WHERE loaded_at < now() - to_days({KEPT_DAYS}) AND EXISTS "
            f"(SELECT 1 FROM {self._name.sql} AS younger WHERE younger.scope = old.scope "
            "AND younger.target = old.target AND younger.loaded_at > old.loaded_at)"
        )

    def remove(self, token: str) -> bool:
        """Forget a load; whether it was there."""
        if not self._there():
            return False
        row = self._link.execute(f"DELETE FROM {self._name.sql} WHERE token = $1", [token]).fetchone()
        return bool(row and row[0])
