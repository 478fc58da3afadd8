"""Staged rows go some hours after their run has ended, or when there are too many; never those of an active run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.bootstrap.sweeping import sweep_now
from engine.bootstrap.workspace import Workspace, open_workspace
from engine.model.run import RunState
from engine.ports.store import Changes
from engine.stores.open import open_writer
from tests.contract.store_records import T0, run, version

OUTPUT = f"{'ab' * 32}.json"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "penstock.yaml").write_text("version: 1\nretention: {staging_hours: 2, staging_mb: 1}\n")
    made = open_workspace(tmp_path)
    yield made
    made.close()


def kept(workspace: Workspace, **runs: tuple[RunState, float | None]) -> None:
    """Runs with their state and how many hours ago they ended; each has staged rows and a large output."""
    store = open_writer(workspace.settings)
    store.take_over(1, "first", T0)
    now = workspace.clock.now()
    changes = Changes(versions=[version()])
    for name, (state, hours) in runs.items():
        ended = None if hours is None else now - timedelta(hours=hours)
        changes.new_runs.append(run(name, state=state, completed_at=ended))
        staged(workspace, name)
    store.commit(changes, "runs")
    store.close()


def staged(workspace: Workspace, name: str, size: int = 10) -> Path:
    folder = workspace.settings.home / "staging" / name / "extract" / "-" / "1"
    folder.mkdir(parents=True)
    for file in ("part-00000.arrow", ".part-00001.arrow.77", "manifest.json", OUTPUT):
        (folder / file).write_bytes(b"x" * size)
    return folder


def there(workspace: Workspace) -> dict[str, set[str]]:
    folder = workspace.settings.home / "staging"
    return {
        each.name: {path.name for path in each.rglob("*") if path.is_file()} for each in sorted(folder.iterdir())
    }


def test_rows_go_when_their_time_is_over_outputs_stay_with_the_run(workspace: Workspace) -> None:
    """An output of an ended run is what a retry below it reads."""
    kept(
        workspace, old=(RunState.SUCCESS, 3), failed=(RunState.FAILED, 99), young=(RunState.SUCCESS, 1),
        running=(RunState.RUNNING, None), waiting=(RunState.PENDING, None),
    )  # fmt: skip
    everything = {"part-00000.arrow", ".part-00001.arrow.77", "manifest.json", OUTPUT}
    sweep_now(workspace, (), frozenset())
    assert there(workspace) == {
        "old": {OUTPUT}, "failed": {OUTPUT}, "young": everything, "running": everything, "waiting": everything,
    }  # fmt: skip
    sweep_now(workspace, ("old",), frozenset())  # pruned
    assert set(there(workspace)) == {"failed", "young", "running", "waiting"}


def test_a_run_that_the_engine_carries_is_left_alone_whatever_the_state_says(workspace: Workspace) -> None:
    """A run that was just opened again may not be committed yet."""
    kept(workspace, old=(RunState.SUCCESS, 3))
    sweep_now(workspace, (), frozenset({"old"}))
    assert len(there(workspace)["old"]) == 4


def test_over_the_cap_the_longest_ended_go_first_and_whole(workspace: Workspace) -> None:
    kept(workspace, one=(RunState.SUCCESS, 1.9), two=(RunState.SUCCESS, 1.0), three=(RunState.SUCCESS, 0.5))
    kept_settings = workspace.settings.retention
    assert (kept_settings.staging_hours, kept_settings.staging_mb) == (2, 1)
    for name in ("one", "two", "three"):
        (workspace.settings.home / "staging" / name / "big.arrow").write_bytes(b"x" * 600_000)
    running = staged(workspace, "active")
    (running / "big.arrow").write_bytes(b"x" * 300_000)
    sweep_now(workspace, (), frozenset({"active"}))
    assert set(there(workspace)) == {"three", "active"}


def test_a_folder_of_no_known_run_goes_by_its_own_age(workspace: Workspace) -> None:
    kept(workspace, run_a=(RunState.SUCCESS, 0.1), run_b=(RunState.SUCCESS, 0.1))
    for name, hours in (("run_", 5), ("elsewhere", 5), ("fresh", 0)):
        staged(workspace, name)
        at = (workspace.clock.now() - timedelta(hours=hours)).timestamp()
        os.utime(workspace.settings.home / "staging" / name, (at, at))
    sweep_now(workspace, (), frozenset())
    left = there(workspace)
    assert (left["run_"], left["elsewhere"], len(left["fresh"])) == ({OUTPUT}, {OUTPUT}, 4)


def test_without_state_or_staging_there_is_nothing_to_do(workspace: Workspace) -> None:
    sweep_now(workspace, (), frozenset())
    assert not (workspace.settings.home / "staging").exists()
    assert not (workspace.settings.home / "state.db").exists()


def test_rows_that_are_kept_for_no_time_go_at_once(workspace: Workspace) -> None:
    workspace.settings = replace(
        workspace.settings, retention=replace(workspace.settings.retention, staging_hours=0.0)
    )
    kept(workspace, done=(RunState.SUCCESS, 0.01), running=(RunState.RUNNING, None))
    sweep_now(workspace, (), frozenset())
    assert there(workspace)["done"] == {OUTPUT} and len(there(workspace)["running"]) == 4
