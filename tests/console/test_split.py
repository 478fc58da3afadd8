"""The line between a list and its card: moved by keys and mouse, remembered, gone where there is no room."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from console.app import Console
from console.memory import Memory
from console.place import Place
from console.screens.split import SplitView
from console.widgets.divider import Divider
from tests.console import still
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until

RUN = Place("run", "orders_daily__000000")


def split(app: Console) -> SplitView:
    view = app.view
    assert isinstance(view, SplitView)
    return view


def test_keys_move_the_line_and_the_next_console_finds_it_there(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.json")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        before = split(app).card.size.width
        await press(pilot, "less_than_sign", "less_than_sign", "greater_than_sign")
        await until(pilot, lambda: split(app).card.size.width == before + 4)
        await until(pilot, lambda: memory.splits() == {"run": before + 4})

    play(session_of(lambda: still.client(), memory=memory), scene, size=WIDE, start=RUN)

    async def later(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: split(app).card.size.width == memory.splits()["run"])

    again = session_of(lambda: still.client(), memory=memory, splits=memory.splits())
    play(again, later, size=WIDE, start=RUN)


def test_the_mouse_draws_the_line() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        line = app.view.query_one(Divider)
        before = split(app).card.size.width
        await pilot.mouse_down(line, offset=(0, 3))
        await pilot.hover(None, offset=(line.region.x - 10, line.region.y + 3))
        await pilot.mouse_up(None, offset=(line.region.x, line.region.y + 3))
        await until(pilot, lambda: split(app).card.size.width == before + 10)

    play(session_of(lambda: still.client()), scene, size=WIDE, start=RUN)


def test_neither_pane_can_be_drawn_away() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, *["less_than_sign"] * 40)
        await until(pilot, lambda: split(app).side.size.width >= 20)
        await press(pilot, *["greater_than_sign"] * 60)
        await until(pilot, lambda: split(app).card.size.width == 24)

    play(session_of(lambda: still.client()), scene, size=WIDE, start=RUN)


def test_on_a_narrow_terminal_there_is_nothing_to_move_and_it_is_said() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "less_than_sign")
        await until(pilot, lambda: "no two panes" in text(app))
        assert app.session.splits == {}

    play(session_of(lambda: still.client()), scene, size=NARROW, start=RUN)


def test_a_memory_of_nonsense_is_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_text('{"splits": {"run": "wide", "audit": -3, "pulse": true, "health": 40}}')
    assert Memory(path).splits() == {"health": 40}
