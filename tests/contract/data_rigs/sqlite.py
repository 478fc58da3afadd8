"""SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.model.workspace import Connection
from tests.contract.data_rigs.base import ROWS, DataRig


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteRig]:
    rig = SqliteRig(Connection(id="shop", type="sqlite", config={"path": "shop.db"}), tmp_path)
    try:
        yield rig
    finally:
        rig.close()


class SqliteRig(DataRig):
    def __init__(self, connection: Connection, root: Path) -> None:
        super().__init__(connection, root)
        self._file = root / "shop.db"

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> list[Any]:
        with closing(sqlite3.connect(self._file)) as link, link:
            if rows:
                link.executemany(statement, rows)
                return []
            return link.execute(statement).fetchall()

    def seed_kinds(self, name: str) -> None:
        self.run(
            f"CREATE TABLE {self.quoted(name)} (id INTEGER PRIMARY KEY, name TEXT, amount DECIMAL_TEXT(20,4), "
            "ratio REAL, active BOOLEAN, born DATE, seen TIMESTAMPTZ, wall TIMESTAMP, doc JSON, raw BLOB)"
        )
        rows = [[_kept(value) for value in row.values()] for row in ROWS]
        self.run(f"INSERT INTO {self.quoted(name)} VALUES (?,?,?,?,?,?,?,?,?,?)", rows)

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        self.run(
            f"CREATE TABLE IF NOT EXISTS {self.quoted(name)} "
            "(id INTEGER PRIMARY KEY, updated_at TIMESTAMPTZ, note TEXT)"
        )
        self.run(f"INSERT INTO {self.quoted(name)} VALUES (?,?,?)", [[_kept(one) for one in row] for row in rows])

    def count(self, name: str) -> int:
        if not self.exists(name):
            return 0
        return int(self.run(f"SELECT count(*) FROM {self.quoted(name)}")[0][0])

    def exists(self, name: str) -> bool:
        return name in self._tables()

    def leftovers(self) -> Sequence[str]:
        return [each for each in self._tables() if each.startswith("_penstock_") and each != "_penstock_loads"]

    def _tables(self) -> list[str]:
        if not self._file.exists():
            return []
        return [row[0] for row in self.run("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _kept(value: Any) -> Any:
    if isinstance(value, int | float | str | bytes | None):
        return value
    return str(value)
