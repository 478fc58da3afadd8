"""MySQL or MariaDB, in a database of its own, as a user with a password."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.model.workspace import Connection
from tests.contract.data_rigs.base import PASSWORD, ROWS, DataRig
from tests.contract.mysql_rig import HOST, PORT, database


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MySqlRig]:
    with database() as (name, cursor):
        cursor.execute(f"CREATE USER {name[-20:]}@'%' IDENTIFIED BY '{PASSWORD}'")
        try:
            cursor.execute(f"GRANT ALL ON {name}.* TO {name[-20:]}@'%'")
            config = {"host": HOST, "port": PORT, "user": name[-20:], "password": PASSWORD, "database": name}
            rig = MySqlRig(Connection(id="shop", type="mysql", config=config), tmp_path, cursor)
            try:
                yield rig
            finally:
                rig.close()
        finally:
            cursor.execute(f"DROP USER {name[-20:]}@'%'")


class MySqlRig(DataRig):
    def __init__(self, connection: Connection, root: Path, cursor: Any) -> None:
        super().__init__(connection, root)
        self._cursor = cursor
        cursor.execute("SET time_zone = '+00:00'")

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> list[Any]:
        if rows:
            self._cursor.executemany(
                statement, [[_kept(each) for each in row] for row in rows]
            )  # one INSERT of many
        else:
            self._cursor.execute(statement)
        return list(self._cursor.fetchall())

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def seed_kinds(self, name: str) -> None:
        # TIMESTAMP reaches from 1970 to 2038 only: beyond, a DATETIME whose comment says that it is an instant.
        self.run(
            f"CREATE TABLE {self.quoted(name)} (id BIGINT PRIMARY KEY, name LONGTEXT, amount DECIMAL(20,4), "
            "ratio DOUBLE, active TINYINT(1), born DATE, seen DATETIME(6) COMMENT '[penstock:instant]', "
            "wall DATETIME(6), doc JSON, raw LONGBLOB) CHARACTER SET utf8mb4"
        )
        markers = ", ".join(["%s"] * len(ROWS[0]))
        self.run(f"INSERT INTO {self.quoted(name)} VALUES ({markers})", [list(row.values()) for row in ROWS])

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        self.run(
            f"CREATE TABLE IF NOT EXISTS {self.quoted(name)} "
            "(id BIGINT PRIMARY KEY, updated_at TIMESTAMP(6) NULL, note LONGTEXT)"
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
        return [row[0] for row in self.run("SHOW TABLES")]


def _kept(value: Any) -> Any:
    """Instants as the session's zone, which is UTC, has them."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
