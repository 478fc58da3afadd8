"""Health: checks with their past, processes, slots with their holders, connections tried (HLT-05, HLT-06)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present import health as present
from console.present import machine as shown_machine
from console.present.health import Around, History
from console.screens.health import HealthView
from console.screens.run import RunView
from console.theme import Look
from engine.client import machine
from engine.client.machine import LiveAttempt, PoolUse
from engine.model.pipeline import Pipeline, Task
from engine.model.run import Attempt, AttemptState
from engine.model.workspace import Connection
from tests.console import still
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until
from tests.console.still import LEASE
from tests.console.test_live import clean

NOW = datetime(2026, 11, 19, 14, 2, 30, tzinfo=UTC)
SETTINGS = """\
version: 1
pools: {door: {slots: 1}}
limits: {workers: 3}
defaults: {retry_policy: {max_attempts: 1}}
"""
HELD = """\
id: held
name: Held
tasks:
  - {id: one, name: One, type: shell, pool: door, config: {command: "while ! test -e go; do sleep 0.05; done"}}
  - {id: two, name: Two, type: shell, pool: door, config: {command: "true"}}
"""
CONNECTIONS = """\
books: {type: sqlite, path: books.db}
gone: {type: http, base_url: "http://127.0.0.1:9/"}
words: {type: log}
"""


@pytest.fixture
def busy(keeper: HostKeeper) -> HostKeeper:
    root = keeper.workspace.settings.root
    (root / "penstock.yaml").write_text(SETTINGS)
    (root / "connections.yaml").write_text(CONNECTIONS)
    (root / "pipelines" / "held.yaml").write_text(HELD)
    from engine.bootstrap.workspace import open_workspace

    keeper.workspace.close()
    keeper.workspace = open_workspace(root)
    return keeper


def open_on(keeper: HostKeeper, scene: Any, *, size: tuple[int, int] = WIDE, place: str = "", **more: Any) -> None:
    async def played(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "looked at" in text(app))
        await scene(pilot, app)

    play(session_of(keeper.open_client, keeper, **more), played, size=size, start=Place("health", place))


def view(app: Console) -> HealthView:
    assert isinstance(app.view, HealthView)
    return app.view


def test_every_check_is_there_with_its_figures_and_its_past(busy: HostKeeper) -> None:
    """HLT-05."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        table = view(app).listing("checks")
        assert {"engine", "state", "disk", "sandbox"} <= {table.rows.id_at(line) for line in range(len(table.rows))}
        assert "no engine leads" in text(app) and "sandbox " in text(app)
        table.select("system")
        await until(pilot, lambda: "memory_usage_percent" in text(app))
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "2 looks" in text(app))

    open_on(busy, scene)


def test_who_holds_what_others_wait_for_is_seen_with_its_process(busy: HostKeeper) -> None:
    """HLT-06: pid, memory, CPU and age of a live attempt; the holder of a slot and how many wait."""
    busy.start()
    run_id = busy.trigger("held")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "2")
        await until(pilot, lambda: "held one" in text(app) or "held two" in text(app))
        rows = view(app).listing().rows
        await until(
            pilot, lambda: any(rows.at(line).attempt and rows.at(line).rss_bytes for line in range(len(rows)))
        )
        assert "engine that leads" in text(app) and str(os.getpid()) in text(app)
        await press(pilot, "3")
        await until(pilot, lambda: "1/1" in text(app) and f"{run_id}/one" in text(app))
        door = next(each for each in busy.workspace.client.machine.pools() if each.name == "door")
        assert list(door.holders) == [f"{run_id}/one"] and door.waiting == 1
        assert "1/3" in text(app)  # one of three workers
        await press(pilot, "2", "end", "enter")
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.run_id == run_id)
        (busy.workspace.settings.root / "go").touch()
        await until(pilot, lambda: busy.workspace.client.run(run_id).state.terminal)
        await press(pilot, "backspace")
        await until(pilot, lambda: isinstance(app.view, HealthView) and "held one" not in text(app))

    open_on(busy, scene)


def test_connections_are_tried_when_asked_and_keep_what_they_said(busy: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "4")
        await until(pilot, lambda: text(app).count("not tested") >= 3)
        view(app).listing().select("gone")
        await press(pilot, "t")
        await until(pilot, lambda: "No answer: gone" in text(app))
        await press(pilot, "asterisk", "t")
        await until(pilot, lambda: "not tested" not in text(app) and app.view.quiet)
        await press(pilot, "1", "4")
        await until(pilot, lambda: app.view.quiet)
        assert "not tested" not in text(app) and clean(app)

    open_on(busy, scene)


def test_it_works_in_a_small_terminal_in_ascii_and_without_the_right_to_change_anything(busy: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view(app).listing().select("system")
        await press(pilot, "enter")
        await until(pilot, lambda: "figures" in text(app))
        await press(pilot, "escape", "3")
        await until(pilot, lambda: "workers" in text(app) and "0/3" in text(app))
        assert text(app).isascii()

    open_on(busy, scene, size=NARROW, look=Look(plain=True), read_only=True)


# ---- what runs on this machine


def attempt(pid: int | None, started: float | None, **more: Any) -> Attempt:
    given: dict[str, Any] = {
        "token": "t", "execution_id": "x", "run_id": "r", "task_id": "t", "map_index": None, "number": 1,
        "epoch": 1, "state": AttemptState.RUNNING, "submitted_at": NOW, "pid": pid, "pid_started": started, **more,
    }  # fmt: skip
    return Attempt(**given)


def test_a_process_is_an_attempts_only_with_its_start_time_and_with_what_it_started() -> None:
    code = "import subprocess, sys; print(1, flush=True); subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        table = machine.process_table()
        while not any(each.parent == child.pid for each in table.values()):
            table = machine.process_table()
        task = still.execution("join_sales")
        found = machine._live_attempt(task, attempt(child.pid, table[child.pid].started), None, table)
        assert found.processes == 2 and found.rss_bytes and found.rss_bytes > 1_000_000
        other = machine._live_attempt(task, attempt(child.pid, 1.0), None, table)  # the pid is used again
        assert other.processes is None and other.rss_bytes is None
        child.communicate(b"\n")


def test_nothing_is_claimed_of_processes_on_another_machine() -> None:
    queries = still.believable()
    queries.live = lambda: [(still.execution("join_sales"), attempt(1, 1.0))]  # type: ignore[attr-defined]  # one live
    unused: Any = None
    far = replace(LEASE, host="elsewhere")
    found = machine.Machine(queries, unused, None).attempts(far)  # type: ignore[arg-type]  # as much as is asked
    assert found[0].host == "elsewhere" and found[0].rss_bytes is None
    row = shown_machine.process_rows(found, [], far, {}, None)[0]
    assert "cannot be seen from here" in told(shown_machine.process_card(row, NOW))


def test_an_engine_of_this_workspace_is_told_from_others_and_from_commands_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {
        11: ("python", "/x/bin/penstock", "-w", "shop", "engine"),
        12: ("python", "/x/bin/penstock", "engine", "status"),
        13: ("python", "-m", "engine.bootstrap.background", str(tmp_path / "shop"), ""),
        14: ("python", "-m", "engine.bootstrap.background", "/elsewhere", ""),
        15: ("python", "/x/bin/penstock", "engine"),
    }
    proc = tmp_path / "proc"
    for pid, words in lines.items():
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
        (proc / str(pid) / "cwd").symlink_to("/" if pid == 15 else tmp_path)
    monkeypatch.setattr(machine, "_PROC", proc)
    assert machine.engine_pids(tmp_path / "shop") == {11, 13}


def test_pools_of_a_task_are_its_own_and_those_of_its_connection() -> None:
    tasks = (
        Task(id="a", name="A", type="shell", config={}, pool="p"),
        Task(id="b", name="B", type="notify", config={"connection": "c"}, pool="p"),
        Task(id="d", name="D", type="notify", config={"connection": "unknown"}),
    )
    known = {"c": Connection(id="c", type="log", pool="q", per_second=2.0)}
    found = machine.pools_of(Pipeline(id="p", name="P", tasks=tasks), known)
    assert found == {"a": ("p",), "b": ("p", "q", "connection:c"), "d": ()}


# ---- values


def told(lines: Any) -> str:
    return "\n".join("".join(cell.text for cell in line) for line in lines)


def answer(status: str, **metrics: Any) -> dict[str, Any]:
    return {"checks": [{"component": "disk", "status": status, "message": f"is {status}", "metrics": metrics}]}


def test_a_check_remembers_when_it_changed_and_within_which_range() -> None:
    history = History()
    for minute, (status, free) in enumerate([("healthy", 90), ("healthy", 70), ("unhealthy", 3), ("degraded", 20)]):
        rows = history.add(answer(status, free_mb=free), NOW + timedelta(minutes=minute))
    shown = told(present.check_card(rows[0], NOW))
    assert "..Ud" in shown and "free_mb 20  3 to 90" in shown and "4 looks" in shown
    assert shown.count("is unhealthy") == 1 and shown.count("is healthy") == 1  # told once per change


def test_the_head_names_what_is_wrong_who_leads_and_who_stands_by() -> None:
    rows = History().add(answer("unhealthy"), NOW)
    here = replace(LEASE, host=socket.gethostname())
    standby = [machine.EngineProcess(pid=99, leads=False, host=None)]
    shown = told(
        present.head(rows, Around(leader=here, standby=standby, stored_bytes=12_000_000, looked=True), NOW, Look())
    )
    assert (
        "unhealthy: disk" in shown
        and "pid 4711" in shown
        and "standing by here: 99" in shown
        and "12.0 MB" in shown
    )
    assert "no engine leads" in told(present.head(rows, Around(looked=True), NOW, Look()))
    assert "engine" not in told(
        present.head(rows, Around(), NOW, Look())
    )  # nothing is claimed before it was looked at


def test_cpu_is_the_share_between_two_looks_and_noise_paints_nothing() -> None:
    live = LiveAttempt(
        token="t", run_id="r", pipeline_id="p", task="t", number=1, state="RUNNING", since=NOW, heartbeat_at=None,
        host=None, pid=5, processes=1, rss_bytes=50_100_000, cpu_seconds=20.0,
    )  # fmt: skip
    first = shown_machine.process_rows([live], [], None, {}, None)[0]
    later = replace(live, rss_bytes=50_200_000, cpu_seconds=21.5)
    second = shown_machine.process_rows([later], [], None, {"t": first}, 3.0)[0]
    assert first.cpu_percent is None and second.cpu_percent == 50
    wavering = first._replace(rss_bytes=50_300_000, cpu_seconds=20.3)
    assert shown_machine.without_noise(first)._replace(attempt=None) == shown_machine.without_noise(
        wavering
    )._replace(attempt=None)


def test_a_pool_says_how_full_it_is_and_names_every_holder() -> None:
    pool = PoolUse(name="door", slots=2, per_second=4.0, burst=2, holders=["r/a", "r/b"], waiting=3)
    shown = told(shown_machine.pool_card(pool))
    assert "2 slots, 2 in use" in shown and "3 queued tasks" in shown and "r/a\nr/b" in shown
    columns = {each.name: told([[each.cell(pool, NOW)]]) for each in shown_machine.pool_columns(Look())}
    assert columns["used"] == "2/2" and columns["bar"] == "[##########]" and columns["rate"] == "4/s"
