"""Through the whole engine: cancel and timeout leave no process, a flood of log harms nobody (FAULTS 33, 34)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.run import TaskState
from tests.runtime.crash_checks import told
from tests.runtime.crash_engine import (
    DONE_WITHIN,
    GONE_WITHIN,
    SOURCE,
    EngineProcess,
    Stage,
    carriers,
    eventually,
    stage,
)
from tests.runtime.crash_workspace import SETTINGS, make, task, write

# Leaves the session and the group, forks twice, ignores TERM, and closes what could tie it to its parent.
ESCAPE = """
import os, signal, sys, time

def hide():
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open("hidden", "a") as out:
        out.write(f"{os.getpid()}\\n")
    os.closerange(0, 3)
    time.sleep(600)
    os._exit(0)

def escape(ctx):
    for _ in range(3):
        child = os.fork()
        if child == 0:
            hide()
        os.waitpid(child, 0)
    time.sleep(600)
"""
SHELL = """  - id: shell
    name: shell
    type: shell
    config: {command: "setsid sh -c 'trap \\"\\" TERM; echo $$ >> hidden; sleep 600 & wait' & sleep 600"}
"""
FLOOD = """
import os

def flood(ctx, megabytes):
    piece, written = b"x" * (1 << 20), 0
    while written < int(megabytes) or not os.path.exists("enough"):
        os.write(1, piece)
        written += 1
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stage]:
    made = make(tmp_path / "ws", slots=0)
    (made.root / "escape.py").write_text(ESCAPE)
    escaping = task("python").replace("tasks:work", "escape:escape")
    write(made.root, "escaping", f"tasks:\n{escaping}{SHELL}" + task("after", after="python"))
    late = task("late", more=", timeout_seconds: 5, retry_policy: {max_attempts: 1}")
    write(made.root, "late", "tasks:\n" + late.replace("tasks:work", "escape:escape"))
    with stage(made) as each:
        yield each
        for pid in hidden(each):  # a failed test leaves nothing behind either
            if alive(pid):
                os.kill(pid, 9)


def hidden(one: Stage) -> list[int]:
    path = one.root / "hidden"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rfind(")") + 2] not in "ZX"


def penstock(one: Stage, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "-w", str(one.root), *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def all_hidden(one: Stage, count: int) -> list[int]:
    eventually(lambda: len(hidden(one)) >= count, DONE_WITHIN, "the processes have hidden themselves")
    return hidden(one)


def states(one: Stage, run_id: str) -> dict[str, TaskState]:
    return {row.task_id: row.state for row in one.workspace.queries.executions(run_id)}


def nothing_left(one: Stage, engine: EngineProcess, pids: list[int]) -> None:
    eventually(lambda: not [pid for pid in pids if alive(pid)], GONE_WITHIN, f"none of {pids} lives")
    eventually(lambda: not carriers(one.tokens()), GONE_WITHIN, "no process carries a token")
    assert not engine.ended


def test_cancelling_a_run_leaves_no_process_of_it(one: Stage) -> None:
    """C-05; invariant E."""
    engine = one.engine().leads()
    (run_id,) = one.trigger("escaping")
    pids = all_hidden(one, 4)
    assert all(alive(pid) for pid in pids)
    penstock(one, "cancel", run_id)
    one.wait_until_done(engine)
    assert one.workspace.queries.resolve_run(run_id).state.value == "CANCELLED"
    assert set(states(one, run_id).values()) == {TaskState.CANCELLED}
    nothing_left(one, engine, pids)


def test_cancelling_a_task_leaves_no_process_of_it_and_harms_no_neighbour(one: Stage) -> None:
    engine = one.engine().leads()
    (run_id,) = one.trigger("escaping")
    pids = all_hidden(one, 4)
    penstock(one, "cancel", run_id, "python")
    eventually(lambda: states(one, run_id)["python"] is TaskState.CANCELLED, DONE_WITHIN, "it is cancelled")
    assert states(one, run_id)["shell"] is TaskState.RUNNING
    eventually(lambda: sum(map(alive, pids)) == 1, GONE_WITHIN, "only the neighbour's process lives")
    penstock(one, "cancel", run_id)
    one.wait_until_done(engine)
    nothing_left(one, engine, pids)


def test_cancelled_when_the_engine_is_killed_stays_cancelled(one: Stage) -> None:
    """The wish is committed; whoever leads next carries it out."""
    engine = one.engine("dispatch.removed:2").leads()
    (run_id,) = one.trigger("escaping")
    pids = all_hidden(one, 4)
    one.send("run.cancel", run_id=run_id)
    assert engine.dies() == -9
    engine = one.engine().leads()
    one.wait_until_done(engine)
    assert one.workspace.queries.resolve_run(run_id).state.value == "CANCELLED"
    nothing_left(one, engine, pids)


def test_a_task_out_of_time_leaves_no_process(one: Stage) -> None:
    """EXE-04."""
    engine = one.engine().leads()
    (run_id,) = one.trigger("late")
    one.wait_until_done(engine)
    (row,) = one.workspace.queries.executions(run_id)
    assert row.state is TaskState.FAILED
    assert row.error is not None
    assert row.error.kind.value == "TimeoutError"
    pids = hidden(one)
    assert pids
    nothing_left(one, engine, pids)


def flooded(root: Path, megabytes: int) -> None:
    """One task writes at least that much, without a newline, and until the others are done."""
    made = make(root, slots=0, settings=SETTINGS + "retention: {log_mb_per_attempt: 8}\n")
    (made.root / "flood.py").write_text(FLOOD)
    write(
        made.root,
        "flooding",
        "tasks:\n"
        + task("flood").replace("'tasks:work'", f"'flood:flood', args: {{megabytes: {megabytes}}}")
        + task("unharmed"),
    )
    with stage(made) as one:
        engine = one.engine().leads()
        (flooding,) = one.trigger("flooding")
        eventually(lambda: one.task_state(flooding, "flood") == "RUNNING", DONE_WITHIN, "it floods")
        others = one.trigger("linear", "diamond", "mapped")
        eventually(
            lambda: all(ended(one, run_id) for run_id in others), DONE_WITHIN, "the others are done meanwhile"
        )
        assert one.task_state(flooding, "flood") == "RUNNING"
        (one.root / "enough").touch()
        one.wait_until_done(engine, 900.0)
        assert not [told(one, run) for run in one.runs() if run.state.value != "SUCCESS"]
        logs = sum(path.stat().st_size for path in (one.root / ".penstock" / "logs").rglob("*") if path.is_file())
        assert logs < 12_000_000, logs
        lines = [
            json.loads(line)
            for path in (one.root / ".penstock" / "logs" / flooding).glob("flood*")
            for line in path.read_text().splitlines()
        ]
        assert all(len(str(line)) < 70_000 for line in lines)
        assert engine.terminate() == 0


def ended(one: Stage, run_id: str) -> bool:
    run = one.run(run_id)
    return run is not None and run.state.terminal


def test_a_flood_of_log_harms_nobody(tmp_path: Path) -> None:
    flooded(tmp_path / "ws", 64)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_gibibyte_of_log_harms_nobody(tmp_path: Path) -> None:
    flooded(tmp_path / "ws", 1024)
