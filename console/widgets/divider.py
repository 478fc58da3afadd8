"""Lines between panes: drawn with the mouse, they make one pane larger and the other smaller.

Law: a line only says where it was dragged to; whoever laid the panes out decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.present.cells import Cell, clipped, differing, segments, width_of
from console.theme import Look, style

WIDTH = 2


class Rail(Widget):
    """What both lines do with the mouse."""

    class Dragged(Message):
        """It was drawn to a place on the screen; `done`: and let go."""

        def __init__(self, column: int, row: int, *, done: bool) -> None:
            super().__init__()
            self.column = column
            self.row = row
            self.done = done

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._held = False

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Taken."""
        event.stop()
        self._held = True
        self.capture_mouse()
        self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drawn."""
        if self._held:
            event.stop()
            self.post_message(self.Dragged(event.screen_x, event.screen_y, done=False))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        if self._held:
            event.stop()
            self._held = False
            self.release_mouse()
            self.refresh()
            self.post_message(self.Dragged(event.screen_x, event.screen_y, done=True))


class Divider(Rail):
    """Between a list and the card beside it: a line, and a blank before what follows."""

    DEFAULT_CSS = "Divider { width: 2; height: 1fr; }"

    def render_line(self, y: int) -> Strip:
        """A piece of the line."""
        return Strip([Segment(self._look.bar, style("accent" if self._held else "dim")), Segment(" ")], WIDTH)


class Sill(Rail):
    """Above the pane at the foot: a line with what the pane is about in it."""

    DEFAULT_CSS = "Sill { width: 1fr; height: 1; }"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._said: list[Cell] = []
        self._lit = False

    @property
    def text(self) -> str:
        """What stands in it."""
        return "".join(each.text for each in self._said)

    def show(self, said: Sequence[Cell], *, lit: bool) -> None:
        """This; only what is new is painted. `lit`: keys go to the pane below."""
        before = self._fitted()
        self._said, self._lit = list(said), lit
        part = differing(before, self._fitted())
        if part is not None:
            self.refresh(Region(part[0], 0, part[1] - part[0], 1))

    def _fitted(self) -> list[Cell]:
        rule, tone = self._look.rule, "accent" if self._held or self._lit else "dim"
        said = clipped(self._said, max(0, self.size.width - 4), self._look)
        rest = max(0, self.size.width - 4 - width_of(said))
        return [Cell(rule + " ", tone), *said, Cell(" " + rule * (rest + 1), tone)]

    def render_line(self, y: int) -> Strip:
        """The line."""
        return Strip(segments(self._fitted())).adjust_cell_length(self.size.width)
