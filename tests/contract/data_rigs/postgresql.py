"""PostgreSQL, in a database of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from engine.model.workspace import Connection
from tests.contract.data_rigs.base import PASSWORD, ROWS, DataRig


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresRig]:
    url = request.getfixturevalue("postgres_url")
    parts = urlsplit(url)
    config = {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": parts.username,
        "password": parts.password or PASSWORD,
        "database": parts.path[1:],
    }
    rig = PostgresRig(Connection(id="shop", type="postgresql", config=config), tmp_path, url)
    try:
        yield rig
    finally:
        rig.close()


class PostgresRig(DataRig):
    def __init__(self, connection: Connection, root: Path, url: str) -> None:
        super().__init__(connection, root)
        self._link = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        super().close()
        self._link.close()

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> list[Any]:
        with self._link.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
                return []
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def seed_kinds(self, name: str) -> None:
        self.run(
            f"CREATE TABLE {self.quoted(name)} (id bigint PRIMARY KEY, name text, amount numeric(20,4), "
            "ratio double precision, active boolean, born date, seen timestamptz, wall timestamp, doc json, "
            "raw bytea)"
        )
        markers = ", ".join(["%s"] * len(ROWS[0]))
        self.run(f"INSERT INTO {self.quoted(name)} VALUES ({markers})", [list(row.values()) for row in ROWS])

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        self.run(
            f"CREATE TABLE IF NOT EXISTS {self.quoted(name)} "
            "(id bigint PRIMARY KEY, updated_at timestamptz, note text)"
        )
        self.run(f"INSERT INTO {self.quoted(name)} VALUES (%s, %s, %s)", rows)

    def count(self, name: str) -> int:
        if not self.exists(name):
            return 0
        return int(self.run(f"SELECT count(*) FROM {self.quoted(name)}")[0][0])

    def exists(self, name: str) -> bool:
        return name in self._tables()

    def leftovers(self) -> Sequence[str]:
        return [each for each in self._tables() if each.startswith("_penstock_") and each != "_penstock_loads"]

    def _tables(self) -> list[str]:
        return [row[0] for row in self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
