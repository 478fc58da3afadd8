"""What goes to the terminal for a cell that changed: that cell, wherever in its line it is."""

from __future__ import annotations

import re
from datetime import timedelta

from rich.console import Console as RichConsole
from rich.segment import Segment
from textual.pilot import Pilot
from textual.strip import Strip

from console.app import Console
from console.painting import Patch
from console.present.cells import Cell, differing
from console.sweeping import Sweeper
from console.theme import Look
from console.widgets.table import Table
from tests.console import still
from tests.console.stage import WIDE, play, session_of, text, until


def test_a_part_of_a_line_is_sent_and_nothing_left_of_it() -> None:
    strips = {0: Strip([Segment("left side ")]), 10: Strip([Segment("right side")])}
    patch = Patch([strips], [(0, 12, 15)], [[10, 20]])
    sent = patch.render_segments(RichConsole(color_system=None))
    assert re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", sent) == "ght"
    assert "\x1b[1;13H" in sent


def test_a_wide_glyph_is_not_cut_in_two() -> None:
    assert differing([Cell("日本 a")], [Cell("日本 b")]) == (0, 6)
    assert differing([Cell("one two")], [Cell("one six")]) == (4, 7)
    assert differing([Cell("one", "ok")], [Cell("one", "bad")]) == (0, 3)
    assert differing([Cell("on"), Cell("e")], [Cell("one")]) is None


def test_a_row_that_changes_in_one_cell_repaints_that_cell() -> None:
    """Also when several changes come before the screen is painted once."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        table = app.view.query_one(Table)
        await until(pilot, lambda: len(table.rows) > 3)
        asked: list[int] = []
        refresh = table.refresh
        table.refresh = lambda *regions, **more: (
            asked.extend(r.width for r in regions),
            refresh(*regions, **more),
        )[1]
        row = table.rows.at(2)
        assert row.started_at is not None
        table.put([row._replace(started_at=row.started_at - timedelta(minutes=1))])
        table.put([row._replace(started_at=row.started_at - timedelta(minutes=2))])
        assert asked and max(asked) < table.size.width // 2

    play(session_of(lambda: still.client(still.believable())), scene, size=WIDE)


def test_full_collections_wait_until_nobody_types_and_everything_is_as_before_afterwards() -> None:
    import gc

    before = gc.get_threshold()
    sweeper = Sweeper()
    sweeper.begin()
    try:
        assert gc.get_threshold()[2] > 1_000_000 and gc.get_freeze_count() > 0
        sweeper.key()
        assert not sweeper.tick()
    finally:
        sweeper.end()
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_where_there_is_only_ascii_the_scroll_bar_is_in_it_too() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(
            pilot, lambda: "users_hourly" in text(app) and app.view.query_one(Table).show_vertical_scrollbar
        )
        assert text(app).isascii()

    play(session_of(still.client, look=Look(plain=True)), scene)
