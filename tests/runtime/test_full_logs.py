"""The disk under the logs alone is full (FAULTS 15): it costs lines, counted, and neither a task nor the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.runtime.crash_engine import DONE_WITHIN, SOURCE
from tests.runtime.crash_workspace import SETTINGS, make, write
from tests.runtime.full_logs import LINES
from tests.runtime.test_full_disk import namespaces

LINE = "a line of the log " * 20
TALKS = f"""tasks:
  - id: good
    name: good
    type: shell
    config: {{command: "for i in $(seq {LINES}); do echo {LINE}; done"}}
  - id: bad
    name: bad
    type: shell
    retry_policy: {{max_attempts: 1}}
    config: {{command: "echo what went wrong >&2; exit 3"}}
  - {{id: calls, name: calls, type: python, config: {{callable: 'talk:calls'}}}}
"""
WAITS = """tasks:
  - {id: wait, name: wait, type: python, config: {callable: 'talk:waits'}}
"""
TALK = f"""
import logging, os, time

def calls(ctx):
    for _ in range({LINES}):
        print({LINE!r})
    logging.getLogger("talk").warning("a record")
    ctx.output("answer", 42)

def waits(ctx):
    for _ in range({LINES}):
        print({LINE!r}, flush=True)
    open("said", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.02)
    print("there is room", flush=True)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was found, once for all tests here."""
    reason = namespaces()
    if reason:
        pytest.skip(f"no disk of its own can be mounted here: {reason}")
    root = tmp_path_factory.mktemp("full") / "ws"
    make(root, slots=0, settings=SETTINGS)
    (root / "talk.py").write_text(TALK)
    write(root, "talks", TALKS)
    write(root, "waits", WAITS)
    played = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.runtime.full_logs", str(root)],
        capture_output=True, text=True, cwd=SOURCE, timeout=4 * DONE_WITHIN, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr
    told: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    return told


def test_the_engine_lives_and_says_nothing_it_has_to_be_ashamed_of(found: dict[str, Any]) -> None:
    assert found["exit"] == 0
    assert "Traceback" not in found["words"], found["words"]


def test_attempts_end_with_their_own_result_at_the_first_try(found: dict[str, Any]) -> None:
    """A disk without room for logs is no fault of the task."""
    full = found["full"]
    assert {task: (each["state"], each["attempts"]) for task, each in full.items()} == {
        "good": ("SUCCESS", 1),
        "bad": ("FAILED", 1),
        "calls": ("SUCCESS", 1),
    }
    assert full["bad"]["error"] == "exit 3"
    assert full["calls"]["outputs"] == {"answer": 42}


def test_lines_that_were_lost_are_counted_with_the_task(found: dict[str, Any]) -> None:
    """An empty log does not look like the log of a task that said nothing."""
    full = found["full"]
    for task, said in {"good": LINES, "bad": 1, "calls": LINES + 1}.items():
        assert full[task]["lost"] + len(full[task]["lines"]) == said, task
        assert full[task]["lost"] > 0


def test_health_tells_which_folder_has_no_room(found: dict[str, Any]) -> None:
    disk = found["disk_when_full"]
    assert disk["status"] == "unhealthy"
    assert "0 MB free under" in disk["message"] and "logs" in disk["message"]


def test_a_log_goes_on_when_there_is_room_and_says_what_is_missing(found: dict[str, Any]) -> None:
    (wait,) = found["waits"].values()
    assert wait["state"] == "SUCCESS" and wait["lost"] is None
    assert wait["lines"][-1] == "there is room"
    whole = sum(line == LINE for line in wait["lines"])
    assert f"{LINES - whole} lines could not be written here: the disk was full or not writable." in wait["lines"]


def test_the_next_run_loses_nothing(found: dict[str, Any]) -> None:
    for task, said in {"good": LINES, "bad": 1, "calls": LINES + 1}.items():
        assert found["room"][task]["lost"] is None
        assert len(found["room"][task]["lines"]) == said, task
