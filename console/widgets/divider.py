"""The line between a list and the card beside it: drawn with the mouse, it makes one wider and the other narrower.

Law: it only says where it was dragged to; whoever laid the panes out decides.
"""

from __future__ import annotations

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.theme import Look, style

WIDTH = 2


class Divider(Widget):
    """A line, and a blank before what follows."""

    DEFAULT_CSS = "Divider { width: 2; height: 1fr; }"

    class Dragged(Message):
        """It was drawn to a column of the screen; `done`: and let go."""

        def __init__(self, column: int, *, done: bool) -> None:
            super().__init__()
            self.column = column
            self.done = done

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._held = False

    def render_line(self, y: int) -> Strip:
        """A piece of the line."""
        return Strip([Segment(self._look.bar, style("accent" if self._held else "dim")), Segment(" ")], WIDTH)

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
            self.post_message(self.Dragged(event.screen_x, done=False))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        if self._held:
            event.stop()
            self._held = False
            self.release_mouse()
            self.refresh()
            self.post_message(self.Dragged(event.screen_x, done=True))
