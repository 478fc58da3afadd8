"""The bar of what scrolls stands over the last column: no text may be there."""

from __future__ import annotations

import asyncio

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from console.present.cells import labelled
from console.theme import Look
from console.widgets.card import Card
from console.widgets.log import LogView
from console.widgets.logstore import LogRecord
from tests.console.stage import lines, until
from tests.console.still import NOW

COUNT = 900
GLYPHS = [chr(0x4E00 + i) + "x" for i in range(COUNT)]  # wide ones, each once: one that is cut is missed


class Alone(App[None]):
    """One widget and nothing else."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self._widget = widget

    def compose(self) -> ComposeResult:
        yield self._widget


def read(widget: Card | LogView, size: tuple[int, int]) -> str:
    """All that was to be read on the way from the first line to the last."""
    seen: list[str] = []

    async def main() -> None:
        app = Alone(widget)
        async with app.run_test(size=size) as pilot:
            await fill(pilot, widget)
            height = widget.size.height
            step = height if isinstance(widget, Card) else 1  # a log scrolls by lines, whatever rows they take
            for top in range(0, widget.virtual_size.height, step):
                widget.scroll_to(y=top, animate=False, force=True)
                await pilot.pause()
                seen.extend(lines(app))

    asyncio.run(main())
    return "\n".join(seen)


async def fill(pilot: Pilot[None], widget: Card | LogView) -> None:
    if isinstance(widget, Card):
        widget.show([labelled("files", "".join(GLYPHS))])
    else:
        each = 30
        texts = ["".join(GLYPHS[at : at + each]) for at in range(0, COUNT, each)]
        at = NOW.timestamp()
        widget.add(LogRecord(at, "INFO", "stdout", "t", 1, text) for text in texts)
    await until(pilot, lambda: widget.show_vertical_scrollbar)


def test_a_card_loses_nothing_behind_its_bar() -> None:
    shown = read(Card(Look()), (44, 10))
    assert [glyph for glyph in GLYPHS if glyph[0] not in shown] == []
    assert shown.count("x") >= COUNT


def test_a_wrapped_log_loses_nothing_behind_its_bar() -> None:
    shown = read(LogView(Look()), (44, 10))
    assert [glyph for glyph in GLYPHS if glyph[0] not in shown] == []
