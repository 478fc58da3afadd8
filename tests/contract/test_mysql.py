"""MySQL and MariaDB: loads and reads as everywhere, and what only they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.model.workspace import Connection
from tests.contract.load_behaviour import LoadBehaviour
from tests.contract.load_kill import SEED, Kill, kills, named, prove
from tests.contract.load_rig import LoadRig
from tests.contract.mysql_rig import HOST, PORT, database
from tests.contract.read_behaviour import ReadBehaviour


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LoadRig]:
    with database() as (name, cursor):

        def rows(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        config = {"host": HOST, "port": PORT, "user": "root", "database": name}
        found = LoadRig(connection=Connection(id="base", type="mysql", config=config), root=tmp_path, rows=rows)
        yield found
        found.close()


class TestLoads(LoadBehaviour):
    """DST, TXN on MySQL or MariaDB."""


class TestReads(ReadBehaviour):
    """SRC, INC on MySQL or MariaDB."""


class TestKill:
    """FAULTS 1: kill -9 of a loading process at any point."""

    @pytest.mark.parametrize("kill", kills(SEED, 5, ("load.renamed", "load.repaired")), ids=named(SEED))
    def test_a_killed_load_is_as_if_it_had_not_been(self, rig: LoadRig, kill: Kill) -> None:
        """INC-04, DST-06: kill -9, and the rows are there once and whole."""
        prove(rig, kill)

    @pytest.mark.soak
    @pytest.mark.parametrize("kill", kills(SEED + 1, 50, ("load.renamed", "load.repaired")), ids=named(SEED + 1))
    def test_a_killed_load_fifty_times(self, rig: LoadRig, kill: Kill) -> None:
        prove(rig, kill)
