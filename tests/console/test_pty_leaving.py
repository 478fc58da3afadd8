"""The console goes away in every way there is; the runs go on, and the terminal is left as it was found."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.__main__ import Keeper
from engine.bootstrap.workspace import Workspace
from engine.model.run import RunState
from tests.console.conftest import SLOW
from tests.console.ptyplay import console, eventually, persist, workspace


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose run waits until a file says go; what a test leaves running is stopped."""
    root = tmp_path / "shop"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\nlinger: 1\n")
    (root / "pipelines" / "slow.yaml").write_text(SLOW)
    with workspace(root) as opened:
        yield opened


def trigger(opened: Workspace) -> str:
    run_id = f"slow__{opened.new_id()}"
    opened.client.commands.send("run.trigger", {"pipeline_id": "slow", "run_id": run_id})
    return run_id


def running(opened: Workspace, run_id: str) -> bool:
    states = {each.task_id: each.state.value for each in opened.client.queries.executions(run_id)}
    return states.get("wait") == "RUNNING"


def test_a_killed_console_and_a_dropped_line_leave_the_run_going_and_the_next_console_shows_it(
    slow: Workspace,
) -> None:
    """CON-01: the engine is nobody's child; two consoles die, the third sees the run and its end."""
    root = slow.settings.root
    run_id = trigger(slow)
    with console(root) as killed:
        killed.until(lambda: "1 run" in killed.text and "slow" in killed.text)
        eventually(lambda: running(slow, run_id), killed)
        leader = Keeper(slow).leader()
        killed.kill(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
    with console(root) as dropped:
        dropped.until(lambda: "slow" in dropped.text and "engine" in dropped.text)
        dropped.press(f":run {run_id}\r")
        dropped.until(lambda: "◉ wait" in dropped.text)
        dropped.hang_up()
        dropped.wait()
    now = Keeper(slow).leader()
    assert leader is not None and now is not None and (now.pid, now.epoch) == (leader.pid, leader.epoch)
    assert running(slow, run_id)  # the very attempt: nobody began it again
    with console(root) as third:
        third.until(lambda: "slow" in third.text)
        third.press(f":run {run_id}\r")
        third.until(lambda: "◉ wait" in third.text)
        (root / "go").touch()
        third.until(lambda: "✓ wait" in third.text and "✓ then" in third.text)
        assert slow.client.run(run_id).state is RunState.SUCCESS
        attempts = slow.client.queries.attempts(run_id)
        assert sorted(each.task_id for each in attempts) == ["then", "wait"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_a_signal_closes_the_console_and_restores_the_terminal(slow: Workspace, number: int) -> None:
    with console(slow.settings.root, "--no-engine") as line:
        line.until("go to")
        line.quiet()
        assert {"1049", "1000", "1006", "2004"} <= line.screen.modes and "25" not in line.screen.modes
        assert line.restored() != {}
        line.kill(number)
        assert line.wait() == 0
        assert line.restored() == {}
        assert "Traceback" not in line.text


def test_leaving_with_a_run_active_asks_and_leaves_it_running(slow: Workspace) -> None:
    """The dialog is there, Cancel is its focus, and `Leave running` is what it says."""
    root = slow.settings.root
    run_id = trigger(slow)
    with console(root) as line:
        line.until(lambda: "1 run" in line.text and "slow" in line.text)
        eventually(lambda: running(slow, run_id), line)
        line.press("q")
        line.until(lambda: "Close the console" in line.text and "Leave running" in line.text)
        line.quiet()
        line.press("right")
        line.quiet()
        persist(line, "enter", lambda: line.ended() is not None)
        assert line.wait() == 0
        assert line.restored() == {}
    assert running(slow, run_id) and Keeper(slow).leader() is not None
    (root / "go").touch()
    eventually(lambda: slow.client.run(run_id).state is RunState.SUCCESS)
