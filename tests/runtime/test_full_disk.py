"""The disk under a workspace fills up in mid-run (FAULTS 15): the engine waits, and goes on by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.workspaces import fan_out, make_workspace
from tests.runtime.crash_engine import SOURCE
from tests.runtime.full_disk import TASKS, WITHIN

TASK = """
import os, time

def noop(ctx):
    time.sleep(0.05)
    print("a line of the log " * 50)
    file = os.open({effects!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, ctx.task_id.encode() + b"\\n")
    os.close(file)
"""


def namespaces() -> str:
    """Why no disk can be mounted here; empty where one can."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "unshare or mount is not installed"
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip().splitlines()[-1] if tried.returncode else ""


def test_an_engine_whose_disk_is_full_waits_tells_and_goes_on(tmp_path: Path) -> None:
    """FAULTS 15: nothing is lost, nothing runs twice, no crash, no spinning."""
    reason = namespaces()
    if reason:
        pytest.skip(f"no disk of its own can be mounted here: {reason}")
    root = make_workspace(tmp_path / "ws", {"many": fan_out(TASKS)})
    (root / "noop.py").write_text(TASK.format(effects=str(root / "effects")))
    played = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.runtime.full_disk", str(root)],
        capture_output=True, text=True, cwd=SOURCE, timeout=4 * WITHIN, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr
    found = json.loads(played.stdout.splitlines()[-1])
    assert found["lived"] and found["exit"] == 0, found["words"]
    assert "Traceback" not in found["words"]
    assert found["done_when_full"] < TASKS, "it filled up while there was something to do"
    assert found["cpu_seconds"] < 0.4 + found["seconds"] / 10, "an engine that waits for room does not spin"
    assert '"unhealthy"' in found["health"] and "0 MB free" in found["health"]
    assert "full" in found["refused"], "a command that cannot be kept is refused, not lost"
    assert found["state"] == "SUCCESS"
    assert set(found["effects"]) == {"start", *(f"part_{number:05d}" for number in range(TASKS - 1))}
    assert set(found["effects"].values()) == {1}
    assert found["attempts"] == {"SUCCESS": TASKS}
