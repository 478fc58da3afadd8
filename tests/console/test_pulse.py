"""Pulse: what wants to be seen first stands first, and the reason of a failure is near (CON-01, CON-03)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from console.app import Console
from console.memory import Memory
from console.place import Place
from console.present.cells import Cell
from console.present.pulse import Fire, Going, Pulse, Row, columns, first, rows, summary
from console.present.sparkline import bar, braille, gathered, spark
from console.screens.pulse import PulseView
from console.screens.run import RunView
from console.theme import Look
from engine.client.machine import PoolUse
from engine.model.errors import ErrorKind, Queue
from engine.model.run import DeadLetter, PipelineRun, RunState, Verdict
from tests.console import still
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until
from tests.console.still import NOW

HOME = Place("pulse")
LOOK, PLAIN = Look(), Look(True)
HOSTILE = "\x1b]0;owned\x07\x1b[31mred [bold]x[/bold] \u202eflip \x9b6n"
VALUES = st.lists(st.integers(0, 1000), max_size=60)


def letter(run_id: str, **more: Any) -> DeadLetter:
    base: dict[str, Any] = {
        "id": f"l-{run_id}",
        "queue": Queue.PERMANENT,
        "pipeline_id": "orders_daily",
        "run_id": run_id,
        "task_id": "load",
        "map_index": None,
        "execution_id": "x",
        "kind": ErrorKind.LOGIC,
        "error_type": "KeyError",
        "message": "no column 'price'",
        "fingerprint": "f",
        "failed_at": NOW,
        "attempts": 1,
    }
    return DeadLetter(**(base | more))


def failed(number: int, minutes: float, **more: Any) -> PipelineRun:
    base: dict[str, Any] = {"pipeline_id": "orders_daily", "completed_at": NOW - timedelta(minutes=minutes)}
    return still.run(number, state=RunState.FAILED, **(base | more))


def cell_texts(row: Row) -> str:
    parts = [[part] if isinstance(part, Cell) else list(part) for part in (row.sign, row.name, row.what)]
    return " ".join("".join(piece.text for piece in part) for part in parts)


def told(pulse: Pulse, look: Look = LOOK) -> list[str]:
    return [cell_texts(row) for row in rows(pulse, NOW, look)]


# ---- the rows


def test_what_failed_since_the_last_look_is_new_and_what_failed_before_is_seen() -> None:
    pulse = Pulse(
        since=NOW - timedelta(hours=1),
        failed=[failed(1, 10), failed(2, 90, pipeline_id="rates")],
        letters=[letter("orders_daily__000001")],
    )
    made = rows(pulse, NOW, LOOK)
    assert [row.kind for row in made[:3]] == ["head", "failed", "failed"]
    assert "1 run" in cell_texts(made[0])
    assert "✗ FAILED" in cell_texts(made[1]) and "load  KeyError: no column 'price'" in cell_texts(made[1])
    assert "seen" in cell_texts(made[2])
    start = first(made)
    assert start is not None and (start.view, start.argument) == ("run", "orders_daily__000001")


def test_a_slot_that_passed_without_a_run_is_late_and_a_paused_one_is_not() -> None:
    due = NOW - timedelta(minutes=5)
    fires = [
        Fire(pipeline_id="late", cron="@daily", at=NOW + timedelta(hours=3), due=due),
        Fire(pipeline_id="on_time", cron="@daily", at=NOW + timedelta(hours=1), due=NOW - timedelta(seconds=5)),
        Fire(pipeline_id="held", cron="@daily", at=None, paused_by="ana"),
    ]
    made = rows(Pulse(since=NOW, fires=fires), NOW, LOOK)
    assert [row.argument for row in made if row.kind == "late"] == ["late"]
    assert [row.argument for row in made if row.kind == "fire"] == ["on_time", "late", "held"]


def test_a_run_that_takes_longer_than_nearly_all_before_it_is_late() -> None:
    started = still.run(0, started_at=NOW - timedelta(seconds=300))
    going = Going(run=started, tasks={"SUCCESS": 3, "RUNNING": 1, "FAILED": 1}, usual=100.0, slow=200.0)
    made = rows(Pulse(since=NOW, active=[going]), NOW, LOOK)
    late = next(row for row in made if row.kind == "late")
    assert "4/5" in cell_texts(late) and "1 failed" in cell_texts(late)
    when = columns(LOOK)[-1].cell(late, NOW)
    assert getattr(when, "text", "") == "3 min over"
    on_time = rows(Pulse(since=NOW, active=[replace(going, usual=420.0, slow=500.0)]), NOW, LOOK)
    row = next(each for each in on_time if each.kind == "active")
    assert getattr(columns(LOOK)[-1].cell(row, NOW), "text", "") == "ends in 2 min"


def test_dead_letters_what_is_held_back_and_slots_have_their_rows() -> None:
    execution = still.execution("extract_rates")
    verdict = Verdict(execution_id="x", code="POOL_FULL", sentence="Pool 'db' is full", since=NOW)
    pulse = Pulse(
        since=NOW,
        letters=[letter("r1")],
        queues={"permanent": 3},
        held=[(execution, verdict), (still.execution("join_sales"), verdict)],
        pools=[PoolUse(name="workers", slots=2, per_second=None, burst=1, holders=["r1/load"], waiting=4)],
    )
    made = {row.id: row for row in rows(pulse, NOW, LOOK)}
    assert made["queue:permanent"].view == "dlq" and "orders_daily › load" in cell_texts(made["queue:permanent"])
    held = next(row for row in made.values() if row.kind == "held")
    assert "extract_rates +1" in cell_texts(held) and "Pool 'db' is full" in cell_texts(held)
    assert "1/2" in cell_texts(made["pool:workers"]) and "4 waiting" in cell_texts(made["pool:workers"])
    assert made["pool:workers"].argument == "r1 load"


def test_nothing_foreign_reaches_a_row_raw() -> None:
    """CON-09: names and messages of others steer no terminal."""
    pulse = Pulse(
        since=NOW - timedelta(hours=1),
        failed=[failed(1, 10), failed(2, 5, pipeline_id=HOSTILE, reason=HOSTILE)],
        letters=[letter("orders_daily__000001", task_id=HOSTILE, message=HOSTILE, error_type=HOSTILE)],
        queues={HOSTILE: 1},
        fires=[Fire(pipeline_id=HOSTILE, cron=HOSTILE, at=NOW, due=NOW - timedelta(hours=1), paused_by=HOSTILE)],
    )
    for line in told(pulse):
        assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or char == "\u202e" for char in line)


def test_ascii_rows_are_ascii() -> None:
    pulse = Pulse(since=NOW, failed=[failed(1, -1)], active=[Going(run=still.run(0), tasks={"SUCCESS": 1})])
    lines = [*told(pulse, PLAIN), "".join(cell.text for cell in summary(pulse, PLAIN, 80)[0])]
    assert all(line.isascii() for line in lines)


# ---- sparklines


@given(VALUES, st.integers(1, 40))
def test_a_sparkline_has_its_width_and_hides_no_event(values: list[int], width: int) -> None:
    shown = gathered(values, width)
    assert len(shown) <= width and sum(shown) == sum(values)
    for look in (LOOK, PLAIN):
        line = "".join(cell.text for cell in spark(values, look, width=width))
        assert len(line) == len(shown)
        assert [char in "·_" for char in line] == [value == 0 for value in shown]
    dots = "".join(cell.text for cell in braille(values, LOOK, width=width))
    assert len(dots) <= width and (set(dots) <= {"·"}) == (sum(values) == 0)
    assert len("".join(cell.text for cell in bar(sum(values) / 60_000, LOOK, width=width))) == width


def test_a_sparkline_rises_with_its_values() -> None:
    assert "".join(cell.text for cell in spark([0, 1, 2, 4, 8], LOOK, width=9)) == "·▁▂▄█"
    assert "".join(cell.text for cell in spark([0, 1, 2, 4, 8], PLAIN, width=9)) == "_.:=@"


# ---- the memory


def test_when_somebody_looked_is_remembered_per_workspace_and_a_broken_file_costs_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "deep" / "memory.json")
    assert memory.looked("a") is None
    memory.look("a", NOW)
    memory.look("b", NOW + timedelta(hours=1))
    assert memory.looked("a") == NOW
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["memory.json"]
    (tmp_path / "deep" / "memory.json").write_text('{"looked": {"a": "yesterday", "b": 3}}')
    assert memory.looked("a") is None and memory.looked("b") is None
    (tmp_path / "deep" / "memory.json").write_text("nonsense")
    memory.look("a", NOW)
    assert memory.looked("a") == NOW
    Memory().look("a", NOW)
    assert Memory().looked("a") is None


# ---- the view


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
def test_the_reason_of_a_failure_is_at_most_four_keys_away(keeper: HostKeeper, size: tuple[int, int]) -> None:
    """Opened for the first time: the cursor is on the failure, w says why; Enter leads to the task that failed."""
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        assert isinstance(app.view, PulseView)
        await until(pilot, lambda: app.view.run_argument == f"{run_id} bad")
        await until(pilot, lambda: "1 run" in text(app) and "shop" in text(app))
        if size == WIDE:  # beside the list it is said without any key
            await until(pilot, lambda: "It failed in attempt 1" in text(app))
        await press(pilot, "w")
        await until(pilot, lambda: "It failed in attempt 1" in text(app) and "exit" in text(app))
        assert not any(char in text(app) for char in "\x1b\x07\u202e\x9b")
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(app.view, PulseView) and len(app.screen_stack) == 1)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.crumbs[-1] == "bad")

    play(session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root), scene, size=size, start=HOME)


def test_what_runs_is_seen_with_its_progress_and_ends_under_the_cursor(keeper: HostKeeper) -> None:
    """CON-02: live without a key."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        keeper.start()
        run_id = keeper.trigger("slow")
        await until(pilot, lambda: "◉ RUNNING" in text(app) and "░ 0/2  since" in text(app))
        await press(pilot, "home", "down")
        assert app.view.run_argument == run_id
        (keeper.workspace.settings.root / "go").touch()
        await until(pilot, lambda: "◉ RUNNING" not in text(app) and "1 in 24 h" in text(app))

    play(session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root), scene, start=HOME)


def test_what_was_looked_at_is_not_new_the_next_time_and_x_says_so_at_once(
    keeper: HostKeeper, tmp_path: Path
) -> None:
    keeper.run("shop")
    memory = Memory(tmp_path / "memory.json")
    root = keeper.workspace.settings.root

    async def fresh(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "✗ FAILED" in text(app))
        await press(pilot, "x")
        await until(pilot, lambda: "✗ seen" in text(app) and "0 runs" in text(app))
        await press(pilot, "x")
        await until(pilot, lambda: "✗ FAILED" in text(app))

    async def again(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "✗ seen" in text(app) and "0 runs" in text(app))

    play(session_of(keeper.open_client, keeper, root=root, memory=memory), fresh, start=HOME)
    assert memory.looked(f"{root}:") is not None
    play(session_of(keeper.open_client, keeper, root=root, memory=memory), again, start=HOME)


def test_where_nothing_happens_nothing_is_painted(keeper: HostKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, PulseView)
        await until(pilot, lambda: "✗ FAILED" in text(app) and "SLOTS" in text(app) and view.quiet)
        painted: list[object] = []
        monkeypatch.setattr(view.table, "refresh", lambda *regions, **more: painted.append(regions))
        still_now = view.now()
        view.tick(still_now)
        view.look()
        await until(pilot, lambda: view.quiet)
        assert painted == []

    play(session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root), scene, start=HOME)


def test_an_empty_workspace_says_what_to_do(keeper: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "0 runs" in text(app) and "SLOTS" in text(app))
        await press(pilot, "w")
        await until(pilot, lambda: "Select something that runs" in text(app))
        await press(pilot, "enter")

    play(session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root), scene, start=HOME)
