"""The disk under staged rows alone is full (FAULTS 15): an extract fails as such, and goes on when it has room."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.runtime.crash_engine import DONE_WITHIN, SOURCE
from tests.runtime.crash_workspace import SETTINGS, make, write
from tests.runtime.full_staging import FAILURES
from tests.runtime.test_full_disk import namespaces

ROWS = 20_000
COPY = """tasks:
  - {id: read, name: read, type: extract, config: {connection: shop, table: orders}}
  - {id: load, name: load, type: load, dependencies: [read], config: {connection: dwh, target: orders}}
"""


def workspace(root: Path) -> Path:
    """Two megabytes of rows, half of that when packed."""
    make(
        root,
        slots=0,
        settings=SETTINGS.replace(
            "max_attempts: 6, backoff_seconds: 0.05", "max_attempts: 100, backoff_seconds: 0.2"
        ),
    )
    write(root, "copy", COPY)
    (root / "connections.yaml").write_text(
        "shop: {type: sqlite, path: shop.db}\ndwh: {type: sqlite, path: dwh.db}\n"
    )
    with closing(sqlite3.connect(root / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        shop.executemany("INSERT INTO orders VALUES (?, ?)", ((each, os.urandom(50).hex()) for each in range(ROWS)))
        shop.commit()
    return root


def test_an_extract_without_room_is_retried_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    """FAULTS 15; invariants A to C, E: what failed attempts wrote does not take the room of the next."""
    reason = namespaces()
    if reason:
        pytest.skip(f"no disk of its own can be mounted here: {reason}")
    root = workspace(tmp_path / "ws")
    played = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.runtime.full_staging", str(root)],
        capture_output=True, text=True, cwd=SOURCE, timeout=4 * DONE_WITHIN, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr
    found = json.loads(played.stdout.splitlines()[-1])
    assert found["exit"] == 0 and "Traceback" not in found["words"], found["words"]
    assert found["loaded_when_full"] is False
    assert len(found["failures"]) >= FAILURES
    assert {(task, kind) for task, kind, _ in found["failures"]} == {("read", "ResourceExhaustion")}
    assert found["state"] == "SUCCESS"
    assert not [path for path in found["left"] if "/." in path], "nobody reads the half of a part again"
    with closing(sqlite3.connect(root / "dwh.db")) as dwh:
        assert dwh.execute("SELECT count(*), count(DISTINCT id) FROM orders").fetchall() == [(ROWS, ROWS)]
        assert dwh.execute("SELECT loaded_rows FROM _penstock_loads").fetchall() == [(ROWS,)]
