"""Circuit breakers in a running engine: tasks leave a failing connection alone, and come back one by one (CBR)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.crash_engine import SOURCE, Stage, eventually, stage
from tests.runtime.crash_workspace import Made

CALLS = """
from pathlib import Path
from engine.sdk import NetworkError

def call(ctx):
    with open("calls", "a") as calls:
        calls.write(ctx.run_id + "\\n")
    if not Path("well").exists():
        raise NetworkError("Connection 'shop': no route to it")
"""
PIPELINE = """
id: calls
execution: {max_active_runs: 10, retry_policy: {max_attempts: 1}}
tasks:
  - {id: call, type: python, config: {callable: "calls:call", connections: [shop]}}
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stage]:
    root = tmp_path / "ws"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\n")
    # Long enough that a busy machine sees all of them wait before the first probe.
    breaker = "{failure_threshold: 2, success_threshold: 2, timeout_seconds: 8}"
    (root / "connections.yaml").write_text(f"shop: {{type: http, breaker: {breaker}}}\n")
    (root / "calls.py").write_text(CALLS)
    (root / "pipelines" / "calls.yaml").write_text(PIPELINE)
    with stage(Made(root=root, slots=())) as made:
        yield made


def calls(one: Stage) -> int:
    file = one.root / "calls"
    return len(file.read_text().splitlines()) if file.exists() else 0


def verdict(one: Stage, run_id: str) -> str:
    return next((each.code for each in one.workspace.queries.verdicts(run_id).values()), "none")


def penstock(one: Stage, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "console", "-w", str(one.root), *arguments, "--json"],
        capture_output=True, text=True, cwd=SOURCE, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def trip(one: Stage) -> None:
    for run_id in one.trigger("calls", "calls"):
        eventually(lambda run=run_id: one.task_state(run, "call") == "FAILED", 60, "it has failed")  # type: ignore[misc]


def test_tasks_leave_a_failing_connection_alone_and_probes_bring_it_back(one: Stage) -> None:
    """CBR-01, CBR-03, CBR-04: seen in the verdict and in `penstock connections`."""
    engine = one.engine().leads()
    trip(one)
    waiting = one.trigger("calls", "calls", "calls")
    eventually(lambda: all(verdict(one, run) == "CIRCUIT" for run in waiting), 60, "they wait for the circuit")
    (one.root / "well").touch()
    one.wait_until_done(engine)
    assert [one.task_state(run, "call") for run in waiting] == ["SUCCESS"] * 3
    (shown,) = penstock(one, "connections")["connections"]
    assert shown["circuit"]["state"] == "closed"
    assert calls(one) == 5


def test_an_open_circuit_outlives_its_engine_and_is_closed_by_hand(one: Stage) -> None:
    (one.root / "connections.yaml").write_text(
        "shop: {type: http, breaker: {failure_threshold: 2, timeout_seconds: 3000, max_timeout_seconds: 3000}}\n"
    )
    engine = one.engine().leads()
    trip(one)
    engine.kill()
    second = one.engine().leads()
    (waiting,) = one.trigger("calls")
    eventually(lambda: verdict(one, waiting) == "CIRCUIT", 60, "the next engine knows")
    (shown,) = penstock(one, "connections")["connections"]
    assert shown["circuit"]["state"] == "open" and "no route" in shown["circuit"]["reason"]
    (one.root / "well").touch()
    penstock(one, "connections", "close", "shop")
    one.wait_until_done(second)
    assert one.task_state(waiting, "call") == "SUCCESS"
    actions = [entry["action"] for entry in penstock(one, "audit")["entries"]]
    assert "connection.close" in actions
