"""The log: the end first, search, levels, wrapping; the place is a line and is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.screens.logs import LogsView
from console.widgets.log import LogView
from tests.console import still
from tests.console.stage import play, press, session_of, text, typed, until

LINES = [f"line {i}" + (" and more words than fit" * 8 if i % 40 == 0 else "") for i in range(1, 3001)]
LINES[1499] = "ERROR: it broke here"
LINES[2199] = "\x1b]0;owned\x07needle [b]"


def scene_on_log(scene: Callable[[Pilot[int], Console, LogView], Awaitable[None]]) -> None:
    async def whole(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, LogsView)
        await until(pilot, lambda: len(view.log_view.store) == len(LINES))
        await scene(pilot, app, view.log_view)

    logs = still.StillLogs({"join_sales": LINES})
    session = session_of(lambda: still.client(logs=logs))
    play(session, whole, start=Place("logs", "orders_daily__000000 join_sales"))


def test_it_opens_at_the_end_and_follows() -> None:
    async def scene(pilot: Pilot[int], app: Console, log: LogView) -> None:
        await until(pilot, lambda: "line 2999" in text(app))
        assert log.following and " following" in text(app)
        await press(pilot, "up")
        assert not log.following and "not following" in text(app)
        await press(pilot, "end")
        assert log.following

    scene_on_log(scene)


def test_search_goes_to_the_match_with_its_context_and_on() -> None:
    async def scene(pilot: Pilot[int], app: Console, log: LogView) -> None:
        await press(pilot, "home", "slash")
        await typed(pilot, "needle")
        await press(pilot, "enter")
        await until(pilot, lambda: "needle [b]" in text(app))
        assert log.matched == 2199 and "owned" not in text(app)
        await press(pilot, "E")
        await until(pilot, lambda: "it broke here" in text(app))
        assert log.matched == 1499
        await press(pilot, "escape")
        assert log.pattern is None and app.view.NAME == "logs"

    scene_on_log(scene)


def test_levels_filter_and_the_place_is_kept() -> None:
    async def scene(pilot: Pilot[int], app: Console, log: LogView) -> None:
        await press(pilot, "e", "e")
        await until(pilot, lambda: "1 line of 3,000" in text(app))
        assert "it broke here" in text(app)
        await press(pilot, "e")
        await until(pilot, lambda: "3,000 lines" in text(app))

    scene_on_log(scene)


def test_levels_that_hide_every_line_are_not_an_empty_log_and_no_error_is_said_in_words() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, LogsView)
        await until(pilot, lambda: len(view.log_view.store) == 50)
        await press(pilot, "e")
        await until(pilot, lambda: "0 lines of 50" in text(app))
        assert "No line is of this level" in text(app) and "Nothing was written" not in text(app)
        await press(pilot, "e", "e", "E")
        await until(pilot, lambda: "Nothing that looks like an error stands after this." in text(app))

    logs = still.StillLogs({"join_sales": ["all is well"] * 50})
    session = session_of(lambda: still.client(logs=logs))
    play(session, scene, start=Place("logs", "orders_daily__000000 join_sales"))


def test_wrapping_keeps_the_line_at_the_top_and_reaches_the_last_one() -> None:
    async def scene(pilot: Pilot[int], app: Console, log: LogView) -> None:
        await press(pilot, "home", "pagedown", "pagedown")
        top = log.number(log.top)
        await press(pilot, "W")
        assert not log.wraps and log.number(log.top) == top
        await press(pilot, "W")
        assert log.wraps and log.number(log.top) == top
        await press(pilot, "end")
        assert "fit" in text(app).splitlines()[-3]

    scene_on_log(scene)


def test_a_search_for_an_expression_goes_on_and_a_bad_one_is_refused() -> None:
    """CON: bounded, so that no expression makes the console stand still."""

    async def scene(pilot: Pilot[int], app: Console, log: LogView) -> None:
        await press(pilot, "home", "slash")
        await typed(pilot, "/^line (777|1888)$/")
        await press(pilot, "enter")
        await until(pilot, lambda: log.matched == 776)
        await press(pilot, "n")
        await until(pilot, lambda: log.matched == 1887)
        await press(pilot, "N")
        await until(pilot, lambda: log.matched == 776)
        assert log.search("/(a+)+$/") is not None and "for ever" in (log.search("/(a+)+$/") or "")

    scene_on_log(scene)
