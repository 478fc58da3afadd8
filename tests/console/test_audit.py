"""Audit: who did what, beyond the first page, and whether the trail still is what was written (AUD-01…03)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present import audit as present
from console.screens import audit as screen
from console.screens.audit import AuditView
from console.screens.run import RunView
from console.theme import Look
from engine.model.event import Actor, AuditEntry
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, typed, until

NOW = datetime(2026, 11, 19, 14, 2, 30, tzinfo=UTC)
ENTRY = AuditEntry(
    seq=7, at=NOW, actor=Actor(name="alice@10.2.3.4", address="10.2.3.4", session="s1"), event_type="USER_ACTION",
    action="run.retry", resource_type="RUN", resource_id="orders__1", result="FAILURE",
    details={"message": "It runs \x1b[31mstill\x1b[0m", "arguments": {"run_id": "orders__1", "tasks": ["a"]}},
    hash="ab" * 32, previous_hash="cd" * 32,
)  # fmt: skip


def audited(keeper: HostKeeper, count: int) -> None:
    """So many entries: refusals are audited like everything else."""
    for number in range(count):
        keeper.workspace.client.commands.send("run.cancel", {"run_id": f"nobody{number:03d}"})
    keeper.apply()


def open_on(keeper: HostKeeper, scene: Any, *, size: tuple[int, int] = WIDE, place: str = "", **more: Any) -> None:
    async def played(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: app.view.quiet and "Audit " in text(app))
        await scene(pilot, app)

    play(session_of(keeper.open_client, keeper, **more), played, size=size, start=Place("audit", place))


def view(app: Console) -> AuditView:
    assert isinstance(app.view, AuditView)
    return app.view


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_PAGE", 10)
    monkeypatch.setattr(screen, "_BULK", 15)


def test_older_entries_come_when_they_are_looked_for(keeper: HostKeeper) -> None:
    audited(keeper, 45)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        rows = view(app).table.rows
        assert 10 <= rows.total < 45 and rows.at(0).seq == 45
        while rows.total < 45:
            await press(pilot, "end")
            await until(pilot, lambda: app.view.quiet)
        await press(pilot, "end")
        assert view(app).table.rows.selected_id == "1"
        assert view(app).crumbs == ["Audit 45"]  # and no + any more

    open_on(keeper, scene, size=NARROW)


def test_what_is_done_meanwhile_appears_and_the_cursor_stays(keeper: HostKeeper) -> None:
    """More than a page at once leaves no hole."""
    audited(keeper, 12)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "down", "down")
        await until(pilot, lambda: view(app).table.rows.total == 12)
        audited(keeper, 33)
        rows = view(app).table.rows
        await until(pilot, lambda: rows.total == 45)
        assert [rows.at(line).seq for line in range(45)] == list(range(45, 0, -1))
        assert rows.selected is not None and rows.selected.seq == 10

    open_on(keeper, scene)


def test_a_filter_looks_through_all_of_it(keeper: HostKeeper) -> None:
    audited(keeper, 40)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "slash")
        await typed(pilot, "resource:nobody003 result:fail")
        await press(pilot, "enter")
        await until(pilot, lambda: len(view(app).table.rows) == 1 and view(app).table.rows.total == 40)
        assert "1 of 40" in text(app)
        assert "There is no field" in (view(app).filter("whom:alice") or "")
        await press(pilot, "escape")
        assert len(view(app).table.rows) == 40

    open_on(keeper, scene)


def test_an_entry_is_opened_and_leads_to_its_run(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "enter")
        await until(pilot, lambda: "details" in text(app) and "USER_ACTION" in text(app))
        shown = view(app).copied()
        assert "run.trigger" in shown and run_id in shown and "hash" in shown
        await press(pilot, "escape", "o")
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.run_id == run_id)

    open_on(keeper, scene, size=NARROW)


def test_the_chain_is_verified_and_a_changed_entry_is_named(keeper: HostKeeper) -> None:
    """AUD-03."""
    audited(keeper, 8)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        assert "has not been verified" in text(app)
        await press(pilot, "V")
        await until(pilot, lambda: "the chain holds: 8 entries" in text(app))
        tampered(keeper.workspace.settings.root / ".penstock" / "state.db")
        await press(pilot, "V")
        await until(pilot, lambda: "the chain is broken: Entry 3 was changed" in text(app))
        assert view(app).table.rows.selected_id == "3"

    open_on(keeper, scene)


def tampered(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        triggers = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE audit SET actor = 'mallory' WHERE seq = 3")
    connection.close()


def test_an_empty_trail_says_so_and_a_read_only_console_may_verify_it(keeper: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "nobody did anything yet" in text(app))
        await press(pilot, "V")
        await until(pilot, lambda: "the chain holds: 0 entries" in text(app))

    open_on(keeper, scene, read_only=True)


def test_a_filter_can_be_the_argument_of_the_place(keeper: HostKeeper) -> None:
    audited(keeper, 5)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: len(view(app).table.rows) == 1)

    open_on(keeper, scene, place="resource:nobody002")


def test_a_filter_that_matches_nothing_from_the_beginning_is_not_an_empty_trail(keeper: HostKeeper) -> None:
    audited(keeper, 5)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: view(app).table.rows.total == 5)
        assert "No entry matches" in text(app)
        assert "nobody did anything" not in text(app)

    open_on(keeper, scene, place="resource:of-nobody")


# ---- values


def told(lines: Any) -> str:
    return "\n".join("".join(cell.text for cell in line) for line in lines)


def test_a_card_holds_everything_and_nothing_of_it_steers_the_terminal() -> None:
    shown = told(present.card(ENTRY, NOW, Look()))
    for each in (
        "alice@10.2.3.4",
        "10.2.3.4",
        "s1",
        "run orders__1",
        "USER_ACTION",
        '"tasks"',
        "ab" * 32,
        "cd" * 32,
    ):
        assert each in shown
    assert "\x1b" not in shown and "still" in shown
    assert present.result(ENTRY, Look(plain=True)).text.endswith("failure")


def test_which_run_an_entry_is_about() -> None:
    about: Callable[[AuditEntry], str] = screen._run_of
    assert about(ENTRY) == "orders__1"
    made = replace(ENTRY, action="run.trigger", details={"touched": ["p__1"], "arguments": {"run_id": None}})
    assert about(made) == "p__1"
    assert about(replace(ENTRY, action="engine.stop", details={"arguments": {}})) == ""
    stopped = replace(ENTRY, action="engine.stop", resource_type="ENGINE", resource_id="None")
    assert present.about(stopped) == "engine"
