"""DuckDB files: loads and reads as everywhere, and what only DuckDB has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.model.workspace import Connection
from tests.contract.load_behaviour import LoadBehaviour
from tests.contract.load_kill import SEED, Kill, kills, named, prove
from tests.contract.load_rig import LoadRig
from tests.contract.read_behaviour import ReadBehaviour


def at(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(file) as link:
        return link.execute(query).fetchall()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LoadRig]:
    def rows(query: str) -> list[tuple[Any, ...]]:
        found.close()  # one process has a file open in one way; the connectors open it again when they need it
        return at(tmp_path / "base.duckdb", query)

    config = {"path": "base.duckdb"}
    found = LoadRig(connection=Connection(id="base", type="duckdb", config=config), root=tmp_path, rows=rows)
    yield found
    found.close()


class TestLoads(LoadBehaviour):
    """DST, TXN on a DuckDB file."""


class TestReads(ReadBehaviour):
    """SRC, INC on a DuckDB file."""


class TestKill:
    """FAULTS 1: kill -9 of a loading process at any point."""

    @pytest.mark.parametrize("kill", kills(SEED, 5), ids=named(SEED))
    def test_a_killed_load_is_as_if_it_had_not_been(self, rig: LoadRig, kill: Kill) -> None:
        """INC-04, DST-06: kill -9, and the rows are there once and whole."""
        prove(rig, kill)

    @pytest.mark.soak
    @pytest.mark.parametrize("kill", kills(SEED + 1, 50), ids=named(SEED + 1))
    def test_a_killed_load_fifty_times(self, rig: LoadRig, kill: Kill) -> None:
        prove(rig, kill)
