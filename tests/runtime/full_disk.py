"""A disk that fills up under an engine, in a mount namespace of its own: `-m tests.runtime.full_disk ROOT`.

Law: everything of the workspace's home lies on a disk of a few megabytes that only this process and its children
see. What was found is printed as one line of JSON; the test judges it. What tasks do is written beside that disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine.bootstrap import open_workspace
from engine.client import Client
from engine.model.errors import StoreBusy
from tests.runtime.crash_engine import EngineProcess

TASKS = 40
DISK = "6m"
WITHIN = 60.0  # a deadline for a loaded machine, not a measurement
STILL = 1.0  # seconds in which an engine without room does nothing


def until(condition: Callable[[], object], what: str) -> None:
    """Look until it is so."""
    end = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < end, f"it did not come to be: {what}"
        time.sleep(0.02)


def fill(ballast: Path) -> None:
    """Until nothing more fits."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"z" * 4096)


def effects(root: Path) -> list[str]:
    """The tasks that did what they do, in order."""
    return (root / "effects").read_text().split() if (root / "effects").exists() else []


def without_room(root: Path, client: Client, engine: EngineProcess) -> dict[str, Any]:
    """Fill the disk, see the engine stand still, and what it tells meanwhile."""
    fill(root / ".penstock" / "ballast")
    seen = -1
    while seen != len(effects(root)):
        seen = len(effects(root))
        fill(root / ".penstock" / "ballast")  # what was given back meanwhile
        time.sleep(STILL)
    before, began = psutil.Process(engine.pid).cpu_times(), time.monotonic()
    command = [sys.executable, "-m", "console", "-w", str(root), "health", "--json"]
    health = subprocess.run(command, capture_output=True, text=True, check=False)
    after, waited = psutil.Process(engine.pid).cpu_times(), time.monotonic() - began
    refused = ""
    try:
        client.commands.send("run.cancel", {"run_id": "full"})
    except StoreBusy as error:
        refused = str(error)
    return {
        "done_when_full": seen,
        "health": health.stdout,
        "cpu_seconds": after.user + after.system - before.user - before.system,
        "seconds": waited,
        "refused": refused,
        "lived": not engine.ended,
    }


def play(root: Path) -> dict[str, Any]:
    """A run whose disk fills up in its midst, and what became of it when there was room again."""
    home = root / ".penstock"
    home.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(home)], check=True)
    engine = EngineProcess(root).leads()
    workspace = open_workspace(root)
    client = workspace.client
    client.commands.wait(
        client.commands.send("run.trigger", {"pipeline_id": "many", "run_id": "full"}), timeout=WITHIN
    )
    until(lambda: len(effects(root)) > TASKS // 8, "some tasks have run")
    found = without_room(root, client, engine)
    (home / "ballast").unlink()
    until(lambda: client.run("full").completed_at is not None, "the run goes on by itself and ends")
    run = client.run("full")
    attempts = client.queries.attempts("full")
    found |= {
        "state": run.state.value,
        "effects": dict(Counter(effects(root))),
        "attempts": dict(Counter(each.state.value for each in attempts)),
    }
    workspace.close()
    found |= {"exit": engine.terminate(), "words": engine.words}
    return found


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    print(json.dumps(play(Path(sys.argv[1]))))
