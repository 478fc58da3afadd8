"""Circuits in the console: said on Pulse, shown and closed on Health, against an engine that trips one (CBR)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present import circuits
from console.present.cells import Cell
from console.present.health import connection_card, connection_columns, connection_row
from console.present.pulse import Pulse, Row, first, rows
from console.screens.health import HealthView
from console.screens.pulse import PulseView
from console.theme import Look
from console.widgets.dialog import Buttons
from console.widgets.preview import PreviewDialog
from engine.bootstrap.workspace import open_workspace
from engine.client.circuits import held_back, left_alone
from engine.model.breaker import Breaker, BreakerState
from engine.model.run import RunState
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until
from tests.console.still import NOW
from tests.console.test_live import clean

HOSTILE = "\x1b]0;owned\x07\x1b[31mred [bold]x[/bold] \u202eflip \x9b6n"
CALLS = f"""
from pathlib import Path
from engine.sdk import NetworkError

def call(ctx):
    if not Path("well").exists():
        raise NetworkError("no route " + {HOSTILE!r})
"""
PIPELINE = """\
id: calls
name: Calls
execution: {max_active_runs: 10, retry_policy: {max_attempts: 1}}
tasks:
  - {id: call, name: Call, type: python, config: {callable: "calls:call", connections: [shop]}}
"""
CONNECTIONS = """\
shop:
  type: http
  base_url: "http://127.0.0.1:9/"
  breaker: {failure_threshold: 2, timeout_seconds: 3000, max_timeout_seconds: 3000}
quiet: {type: log, breaker: false}
"""
OPEN = Breaker(
    connection="shop", state=BreakerState.OPEN, calls="..xx", open_seconds=60, opened_at=NOW,
    retry_at=NOW + timedelta(seconds=60), reason="network: no route", updated_at=NOW,
)  # fmt: skip
SHOWN = {
    "id": "shop", "type": "http", "direction": "both", "pool": None, "rate_limit": None, "config": {},
    "circuit": {"state": "open"},
}  # fmt: skip


@pytest.fixture
def calling(keeper: HostKeeper) -> HostKeeper:
    """A workspace whose tasks fail to reach a system, and an engine that leads."""
    root = keeper.workspace.settings.root
    (root / "connections.yaml").write_text(CONNECTIONS)
    (root / "calls.py").write_text(CALLS)
    (root / "pipelines" / "calls.yaml").write_text(PIPELINE)
    keeper.workspace.close()
    keeper.workspace = open_workspace(root)
    keeper.start()
    return keeper


def root_of(keeper: HostKeeper) -> Path:
    return keeper.workspace.settings.root


async def trip(pilot: Pilot[int], keeper: HostKeeper) -> str:
    """Open the circuit; the run that waits for it then."""
    client = keeper.workspace.client
    failed = [keeper.trigger("calls") for _ in range(2)]
    known = lambda: {each.run_id: each for each in client.queries.runs()[0]}  # noqa: E731  # a question
    await until(pilot, lambda: all(run in known() and known()[run].state is RunState.FAILED for run in failed))
    waits = keeper.trigger("calls")
    await until(pilot, lambda: [each.run_id for each in held_back(client, "shop")] == [waits])
    return waits


def session(keeper: HostKeeper, **more: Any) -> Any:
    return session_of(keeper.open_client, keeper, root=root_of(keeper), **more)


def health(app: Console) -> HealthView:
    assert isinstance(app.view, HealthView)
    return app.view


async def confirm(pilot: Pilot[int], app: Console) -> None:
    """Once keys count: Enter that opened the dialog, held down, must not confirm it."""
    buttons = app.screen.query_one(Buttons)
    assert buttons.current == ""  # Cancel has the focus
    buttons.focus()
    await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # a PreviewDialog
    await press(pilot, "right", "enter")
    await until(pilot, lambda: not isinstance(app.screen, PreviewDialog))


def told(lines: Any) -> str:
    return "\n".join("".join(each.text for each in line) for line in lines)


def row_text(row: Row) -> str:
    parts = [[part] if isinstance(part, Cell) else list(part) for part in (row.sign, row.name, row.what)]
    return " ".join("".join(piece.text for piece in part) for part in parts)


# ---- against an engine


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
def test_an_open_circuit_is_said_on_pulse_and_closed_on_health(calling: HostKeeper, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        pulse = app.view
        assert isinstance(pulse, PulseView)
        await until(pilot, lambda: "SLOTS" in text(app))
        assert "CIRCUITS" not in text(app)
        waits = await trip(pilot, calling)
        await until(pilot, lambda: "circuit:shop" in [row.id for row in pulse._shown])
        pulse.table.select("circuit:shop")
        await until(pilot, lambda: "✗ open" in text(app) and "left alone until" in text(app))
        assert clean(app)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, HealthView) and app.view.quiet)
        table = health(app).listing("connections")
        await until(pilot, lambda: table.selected is not None and table.selected.id == "shop")
        assert "✗ open" in text(app) and "off" in text(app) and clean(app)
        assert "c close circuit" in text(app).splitlines()[-1]
        await press(pilot, "c")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "1 task waits for it" in text(app) and waits in text(app) and "2 of 2 calls failed" in text(app)
        assert "no route" in text(app) and clean(app)
        (root_of(calling) / "well").touch()
        await confirm(pilot, app)
        await until(pilot, lambda: "✓ closed" in text(app))
        await until(pilot, lambda: calling.workspace.client.run(waits).state is RunState.SUCCESS)
        await press(pilot, "backspace")
        await until(pilot, lambda: app.view is pulse and "circuit:shop" not in [row.id for row in pulse._shown])
        assert "CIRCUITS" not in text(app)

    play(session(calling), scene, size=size, start=Place("pulse"))


def test_what_the_engine_refuses_to_close_is_said_with_its_reason(calling: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        waits = await trip(pilot, calling)
        await until(pilot, lambda: "✗ open" in text(app))
        table = health(app).listing("connections")
        await press(pilot, "asterisk", "c")  # the one without a circuit is left out
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "1 left out" in text(app) and "Close circuit" in text(app)
        (root_of(calling) / "well").touch()
        client = calling.workspace.client
        client.commands.send("connection.close", {"connection_id": "shop", "profile": None})  # somebody was quicker
        await until(pilot, lambda: client.run(waits).state is RunState.SUCCESS)
        await confirm(pilot, app)
        await until(pilot, lambda: "is closed; it is in use already" in text(app))
        await until(pilot, lambda: "✓ closed" in text(app))
        table.select("shop")
        await press(pilot, "c")
        await until(pilot, lambda: "Nothing to close" in text(app))
        assert not isinstance(app.screen, PreviewDialog)

    play(session(calling), scene, size=WIDE, start=Place("health", "connections"))


def test_a_read_only_console_closes_nothing_and_health_names_the_connection(calling: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await trip(pilot, calling)
        await until(pilot, lambda: "1 circuit(s) open: shop" in text(app) and clean(app))
        await press(pilot, "4")
        await until(pilot, lambda: "✗ open" in text(app))
        health(app).listing().select("shop")
        await press(pilot, "c")
        await until(pilot, lambda: "read-only" in text(app))
        assert not isinstance(app.screen, PreviewDialog)

    play(session(calling, read_only=True), scene, size=WIDE, start=Place("health"))
    assert [each.connection for each in left_alone(calling.workspace.client)] == ["shop"]


def test_a_connection_that_is_no_longer_written_down_is_not_told(calling: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await trip(pilot, calling)
        assert isinstance(app.view, PulseView)
        await until(pilot, lambda: "CIRCUITS" in text(app))
        (root_of(calling) / "connections.yaml").write_text("quiet: {type: log}\n")
        calling.workspace.client.catalog.refresh()
        await until(pilot, lambda: not left_alone(calling.workspace.client))
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "CIRCUITS" not in text(app))

    play(session(calling), scene, start=Place("pulse"))


# ---- values


def test_an_open_circuit_whose_time_is_up_is_half_open_without_being_read_again() -> None:
    pulse = Pulse(since=NOW, circuits=[OPEN])
    made = rows(pulse, NOW, Look())
    row = next(each for each in made if each.kind == "circuit")
    # The reason before the count: at 80 columns the end of the line is what is cut.
    assert row_text(row) == "✗ open shop left alone until 14:03:30 UTC  network: no route  2 of 4 calls failed"
    assert (row.view, row.argument) == ("health", "connections shop")
    start = first(made)
    assert start is not None and start.id == "circuit:shop"
    later = [row_text(each) for each in rows(pulse, NOW + timedelta(seconds=60), Look())]
    assert any("half open" in each and "the next task tries it" in each for each in later)
    assert not any("CIRCUITS" in row_text(each) for each in rows(Pulse(since=NOW), NOW, Look()))


def test_more_circuits_than_there_is_room_for_are_counted() -> None:
    many = [Breaker(connection=f"c{i}", state=BreakerState.HALF_OPEN, updated_at=NOW) for i in range(23)]
    made = rows(Pulse(since=NOW, circuits=many), NOW, Look(True))
    assert len([each for each in made if each.kind == "circuit"]) == 20
    assert any("and 3 more" in row_text(each) for each in made)
    assert len({each.id for each in made}) == len(made)
    assert all(row_text(each).isascii() for each in made)


@pytest.mark.parametrize(
    ("breaker", "state", "calls", "again"),
    [
        (None, "✓ closed", "", ""),
        (Breaker(connection="shop", calls=".x.", updated_at=NOW), "✓ closed", "1 of 3", ""),
        (OPEN, "✗ open", "2 of 4", "in 1 min"),
        (
            Breaker(connection="shop", state=BreakerState.HALF_OPEN, updated_at=NOW),
            "↻ half open",
            "",
            "being tried",
        ),
    ],
)
def test_a_connections_circuit_has_its_cells(breaker: Breaker | None, state: str, calls: str, again: str) -> None:
    row = connection_row(SHOWN, breaker)
    cells = {each.name: told([[each.cell(row, NOW)]]) for each in connection_columns(Look())}
    assert (cells["circuit"], cells["failed"], cells["retry"]) == (state, calls, again)


def test_without_a_breaker_nothing_is_claimed() -> None:
    row = connection_row({**SHOWN, "circuit": {"state": "off"}}, OPEN)
    assert row.breaker is None and circuits.word(row.guarded, row.breaker, NOW) == "off"
    assert "because" not in told(connection_card(row, NOW, Look()))


def test_nothing_foreign_reaches_a_row_or_a_card_raw() -> None:
    """CON-09: what other systems answer steers no terminal."""
    hostile = Breaker(
        connection=HOSTILE, state=BreakerState.OPEN, calls="x", retry_at=NOW + timedelta(hours=1), opened_at=NOW,
        reason=HOSTILE, updated_at=NOW,
    )  # fmt: skip
    shown = [row_text(each) for each in rows(Pulse(since=NOW, circuits=[hostile]), NOW, Look())]
    shown += told(connection_card(connection_row({**SHOWN, "id": HOSTILE}, hostile), NOW, Look())).split("\n")
    assert any("flip" in line for line in shown)
    for line in shown:
        assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or char == "\u202e" for char in line)
