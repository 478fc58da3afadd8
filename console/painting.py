"""What a repaint sends: the cells of a line that were asked for, not the line from its left on; plain scroll bars.

Law: Textual knows which part of a line is dirty, and yet sends everything left of it too, which over a slow line is
most of what a cell costs. Only how a part is written out is different here; what is dirty is Textual's business.
"""

from __future__ import annotations

from typing import ClassVar

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender


class Patch(ChopsUpdate):
    """Parts of lines."""

    def render_segments(self, console: Console) -> str:
        """As it is written to the terminal."""
        out: list[str] = []
        for y, x1, x2 in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                first, last = max(x, x1), min(end, x2)
                if strip is not None and first < last:
                    part = strip if (first, last) == (x, end) else strip.crop(first - x, last - x)
                    out += [Control.move_to(first, y).segment.text, part.render(console)]
        return "".join(out)


class PatchCompositor(Compositor):
    """Where widgets are on the screen."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """What is dirty."""
        update = super().render_partial_update()
        return Patch(update.chops, update.spans, update.chop_ends) if update is not None else None


class PlainBars(ScrollBarRender):
    """Whole cells instead of eighths."""

    VERTICAL_BARS: ClassVar = [" "]
    HORIZONTAL_BARS: ClassVar = [" "]


def choose_bars(*, plain: bool) -> None:
    """Scroll bars that the terminal can show; Textual keeps this for all of them."""
    ScrollBar.renderer = PlainBars if plain else ScrollBarRender


class FrameScreen(Screen[None]):
    """The screen of the frame."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._compositor = PatchCompositor()
