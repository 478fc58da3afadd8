"""The logs folder alone is full under an engine: `-m tests.runtime.full_logs ROOT`, in a mount namespace.

Law: as in tests.runtime.full_disk; what was found is one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.bootstrap import Workspace
from engine.model.errors import NotFound
from tests.runtime.crash_engine import DONE_WITHIN, Stage, eventually
from tests.runtime.crash_workspace import Made
from tests.runtime.full_disk import fill

DISK = "1m"
LINES = 200


def results(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Of each task: its state, what it cost in lines, its error and the lines that can be read."""
    attempts = workspace.queries.attempts(run_id)
    return {
        each.task_id: {
            "state": each.state.value,
            "lost": each.metrics.get("log_lines_lost"),
            "error": each.error.type if each.error else None,
            "attempts": sum(one.task_id == each.task_id for one in attempts),
            "outputs": each.outputs,
            "lines": [
                line.text
                for one in attempts
                if one.task_id == each.task_id and one.log
                for line in read(workspace, one.log)
            ],
        }
        for each in workspace.queries.executions(run_id)
    }


def read(workspace: Workspace, log: str) -> list[Any]:
    """What can be read of a log; nothing where there is none."""
    try:
        return list(workspace.logs.lines(log))
    except NotFound:
        return []


def health(root: Path) -> dict[str, Any]:
    """The disk's line of `penstock health`."""
    command = [sys.executable, "-m", "console", "-w", str(root), "health", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, Any] = next(each for each in json.loads(said)["checks"] if each["component"] == "disk")
    return found


def play(root: Path) -> dict[str, Any]:
    """A run on a full disk, one that outlives it, and one when there is room again."""
    logs = root / ".penstock" / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(logs)], check=True)
    fill(logs / "ballast")
    one = Stage(Made(root, ()))
    try:
        engine = one.engine().leads()
        (waits,) = one.trigger("waits")
        eventually((root / "said").exists, DONE_WITHIN, "it has spoken")
        (full,) = one.trigger("talks")
        eventually(lambda: ended(one, full), DONE_WITHIN, "a run on a full disk ends")
        found = {"full": results(one.workspace, full), "disk_when_full": health(root)}
        (logs / "ballast").unlink()
        (root / "go").touch()
        (room,) = one.trigger("talks")
        one.wait_until_done(engine)
        found |= {"waits": results(one.workspace, waits), "room": results(one.workspace, room)}
        return found | {"exit": engine.terminate(), "words": engine.words}
    finally:
        one.close()


def ended(one: Stage, run_id: str) -> bool:
    """Whether that run is over."""
    run = one.run(run_id)
    return run is not None and run.state.terminal


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    print(json.dumps(play(Path(sys.argv[1]))))
