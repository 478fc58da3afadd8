"""PostgreSQL is restarted, and crashes, while a load goes into it (FAULTS 11): every row is there once."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.model.errors import ErrorKind
from tests.contract.logical_server import Server, restartable
from tests.runtime.crash_engine import DONE_WITHIN, Stage, eventually
from tests.runtime.crash_workspace import SETTINGS, make, write

ROWS = 500_000  # enough that it is not done before the server goes
RETRIED = SETTINGS.replace("max_attempts: 6,", "max_attempts: 100, exponential_backoff: false,")
LOAD = """tasks:
  - id: load
    name: load
    type: load
    config:
      source: {connection: shop, table: orders, incremental: {strategy: id, column: id}}
      connection: dwh
      target: orders
"""


def made(root: Path, server: Server) -> Stage:
    """A table of so many rows, and a pipeline that loads what is new of it."""
    workspace = make(root, slots=0, settings=RETRIED)
    write(root, "copy", LOAD)
    (root / "connections.yaml").write_text(
        "shop: {type: sqlite, path: shop.db}\n"  # no circuit opens: that would keep loads from faults
        f"dwh: {{type: postgresql, url: '{server.url}', breaker: {{failure_threshold: 1000}}}}\n"
    )
    with closing(sqlite3.connect(root / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        shop.executemany("INSERT INTO orders VALUES (?, ?)", ((each, f"name {each}") for each in range(ROWS)))
        shop.commit()
    return Stage(workspace)


def asked(server: Server, statement: str) -> list[tuple[Any, ...]]:
    """Past the engine."""
    with psycopg.connect(server.url) as link:
        return link.execute(statement).fetchall()


def writes(server: Server) -> bool:
    """Whether a load is in the middle of its rows."""
    return bool(
        asked(server, "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 0 OR bytes_processed > 0")
    )


def check(one: Stage, server: Server, run_id: str) -> None:
    """Rows, ledger and watermark say the same, and nothing else is there."""
    run = one.run(run_id)
    assert run is not None and run.state.value == "SUCCESS"
    counted = asked(server, "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM orders")
    assert counted == [(ROWS, ROWS, 0, ROWS - 1)]
    ((rows, seal),) = asked(server, "SELECT loaded_rows, seal FROM _penstock_loads")
    assert rows == ROWS
    (kept,) = one.workspace.client.watermarks()["watermarks"]
    assert str(ROWS - 1) in json.dumps(json.loads(seal)) and str(ROWS - 1) in json.dumps(kept)
    tables = asked(server, "SELECT tablename FROM pg_tables WHERE schemaname !~ '^(pg_catalog|information_)'")
    assert sorted(tables) == [("_penstock_loads",), ("orders",)]


def load_through(root: Path, server: Server, modes: tuple[str, ...], chance: random.Random) -> None:
    """Load; the database goes in the midst of the rows, once for each mode."""
    one = made(root, server)
    try:
        engine = one.engine().leads()
        (run_id,) = one.trigger("copy")
        for mode in modes:
            eventually(lambda: writes(server) or one.done(), DONE_WITHIN, "rows arrive")
            time.sleep(chance.uniform(0.0, 0.05))  # the moment is the experiment
            server.restart(mode)
        one.wait_until_done(engine)
        check(one, server, run_id)
        failed = [each.error.kind for each in one.workspace.queries.attempts(run_id) if each.error]
        assert set(failed) == {ErrorKind.NETWORK}, failed
        assert engine.terminate() == 0, engine.words
    finally:
        one.close()


def test_a_load_outlives_a_restart_and_a_crash_of_its_destination(tmp_path: Path) -> None:
    """FAULTS 11; invariants A to C."""
    with restartable() as server:
        load_through(tmp_path / "ws", server, ("fast", "immediate"), random.Random(11))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_load_outlives_many_of_them(tmp_path: Path, seed: int) -> None:
    """FAULTS 11."""
    chance = random.Random(seed)
    with restartable() as server:
        modes = tuple(chance.choice(("fast", "immediate")) for _ in range(8))
        load_through(tmp_path / "ws", server, modes, chance)
