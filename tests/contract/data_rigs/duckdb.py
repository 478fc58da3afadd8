"""DuckDB files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.model.workspace import Connection
from tests.contract.data_rigs.base import ROWS, DataRig


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DuckDbRig]:
    rig = DuckDbRig(Connection(id="shop", type="duckdb", config={"path": "shop.duckdb"}), tmp_path)
    try:
        yield rig
    finally:
        rig.close()


class DuckDbRig(DataRig):
    def __init__(self, connection: Connection, root: Path) -> None:
        super().__init__(connection, root)
        self._file = root / "shop.duckdb"

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> list[Any]:
        super().close()  # a process has a file open in one way; the connectors open it again when they need it
        with duckdb.connect(self._file) as link:
            if rows:
                link.begin()
                for at in range(0, len(rows), 1_000):
                    some = rows[at : at + 1_000]
                    marks = ",".join(["(" + ",".join("?" * len(some[0])) + ")"] * len(some))
                    link.execute(f"{statement} VALUES {marks}", [value for row in some for value in row])
                link.commit()
                return []
            return link.execute(statement).fetchall()

    def connector(self) -> Any:
        super().close()  # as another process would have to wait for
        return super().connector()

    def seed_kinds(self, name: str) -> None:
        self.run(
            f"CREATE TABLE {self.quoted(name)} (id BIGINT PRIMARY KEY, name VARCHAR, amount DECIMAL(20,4), "
            "ratio DOUBLE, active BOOLEAN, born DATE, seen TIMESTAMPTZ, wall TIMESTAMP, doc JSON, raw BLOB)"
        )
        self.run(f"INSERT INTO {self.quoted(name)}", [list(row.values()) for row in ROWS])

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        self.run(
            f"CREATE TABLE IF NOT EXISTS {self.quoted(name)} "
            "(id BIGINT PRIMARY KEY, updated_at TIMESTAMPTZ, note VARCHAR)"
        )
        self.run(f"INSERT INTO {self.quoted(name)}", rows)

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
        return [row[0] for row in self.run("SELECT table_name FROM duckdb_tables()")]
