"""Fixtures of the acceptance tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.workspaces import Workspace, made_in

SOURCE = Path(__file__).resolve().parents[2]
SAMPLES = SOURCE / "sample_pipelines"
SAMPLES_TIME_SCALE = "0.004"  # five minutes are 1.2 seconds


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TIME_SCALE", "0.05")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))  # processes started by tests find the program in any folder


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy without whatever runs of the original have left; its snapshots go into a folder of its own."""
    root, snapshots = tmp_path / "samples", tmp_path / "snapshots"
    snapshots.mkdir()
    monkeypatch.setenv("SNAPSHOT_FOLDER", str(snapshots))
    monkeypatch.setenv("PENSTOCK_TIME_SCALE", SAMPLES_TIME_SCALE)
    shutil.copytree(SAMPLES, root, ignore=shutil.ignore_patterns(".penstock", "var", "__pycache__"))
    return Workspace(root, dict(os.environ))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of one's own; an engine that a test left behind is stopped."""
    made = made_in(tmp_path / "ws")
    yield made
    if (made.root / ".penstock").exists() and made.json("engine", "status")["leads"]:
        made.penstock("engine", "stop")
