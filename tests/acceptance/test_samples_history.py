"""`penstock samples history`: where it may write, what it leaves, and that an engine goes on from there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.workspaces import Workspace, made_in

ROOT = Path(__file__).resolve().parents[2]
MOMENT = "2026-11-19T05:40:00Z"


def copied(root: Path) -> Workspace:
    left = shutil.ignore_patterns(".penstock", "var", "__pycache__")
    shutil.copytree(ROOT / "sample_pipelines", root, ignore=left)
    return Workspace(root, {**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = copied(tmp_path_factory.mktemp("history") / "samples")
    said = made.penstock("samples", "history", "--days", "12", "--until", MOMENT, "--json")
    assert said.code == 0, said.err
    assert said.json["runs"] > 80
    return made


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Workspace]:
    made = copied(tmp_path / "samples")
    yield made
    if (made.root / ".penstock").exists() and made.json("engine", "status")["leads"]:
        made.penstock("engine", "stop")


def test_it_is_read_like_any_history(filled: Workspace) -> None:
    runs = filled.json("runs", "--limit", "500")["runs"]
    assert {run["state"] for run in runs} >= {"SUCCESS", "FAILED"}
    letters = filled.json("dlq")["letters"]
    assert {letter["queue"] for letter in letters} == {"transient", "data_quality", "system", "permanent"}
    assert filled.penstock("audit", "--verify").code == 0
    assert {each["pipeline_id"] for each in filled.json("schedule")["schedules"] if each["paused"]}
    failed = letters[0]["run_id"]
    assert filled.json("why", failed)["sentence"]
    assert "ERROR" in filled.penstock("logs", failed, "--json").out
    assert filled.json("engine", "status")["leads"] is False


def test_events_and_audit_are_in_the_order_of_time(filled: Workspace) -> None:
    """AUD-01: a trail is read from top to bottom."""
    with sqlite3.connect(filled.root / ".penstock/state.db") as state:
        for table in ("events", "audit"):
            instants = [at for (at,) in state.execute(f"SELECT at FROM {table} ORDER BY seq")]
            assert instants == sorted(instants)
            assert len(instants) > 5
        unended = state.execute("SELECT count(*) FROM attempts WHERE state IN ('SUBMITTED', 'RUNNING')").fetchone()
    state.close()
    assert unended == (0,)


def test_the_same_seed_writes_the_same(filled: Workspace, tmp_path: Path) -> None:
    again = copied(tmp_path / "again")
    assert again.penstock("samples", "history", "--days", "12", "--until", MOMENT, "--no-logs").code == 0
    listed = [each.json("runs", "--limit", "500") for each in (filled, again)]
    assert json.dumps(listed[0]) == json.dumps(listed[1])
    assert not (again.root / ".penstock/logs").exists()


def test_an_engine_goes_on_from_there_and_a_second_history_joins_the_first(alone: Workspace) -> None:
    """ENG: epochs rise, and nothing that was invented is in the way."""
    assert alone.penstock("samples", "history", "--days", "2", "--runs", "20", "--no-logs").code == 0
    run = alone.json("run", "supplier_order")
    assert run["state"] == "SUCCESS"
    more = alone.penstock("samples", "history", "--days", "3", "--runs", "20", "--no-logs", "--json")
    assert more.code == 0, more.err
    assert alone.penstock("audit", "--verify").code == 0


def test_another_workspace_is_never_filled(tmp_path: Path) -> None:
    other = made_in(tmp_path / "ws")
    said = other.penstock("samples", "history")
    assert said.code == 2
    assert "samples: true" in said.err
    assert not (other.root / ".penstock/state.db").exists()


def test_it_is_refused_while_an_engine_leads(alone: Workspace) -> None:
    assert alone.process("run", "supplier_order", "--detach").code == 0
    said = alone.penstock("samples", "history")
    assert said.code == 2
    assert "penstock engine stop" in said.err


def test_more_than_is_kept_is_refused(alone: Workspace) -> None:
    said = alone.penstock("samples", "history", "--days", "400")
    assert said.code == 2
    assert "retention.days" in said.err
