"""A card: lines of facts and sentences, wrapped to the width, scrolled by the arrows.

Law: it shows cells and changes nothing; the same lines shown again cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip

from console.present.cells import Cell, Line, differing, padded, segments, wrapped
from console.theme import Look
from console.widgets.scrolled import BAR, Scrolled

_INDENT = 12


class Card(Scrolled, can_focus=True):
    """Lines; a line that begins with a dim label continues under its value."""

    KIND = "@card"
    DEFAULT_CSS = "Card { height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._given: list[list[Cell]] = []
        self._lines: list[list[Cell]] = []

    @property
    def text(self) -> str:
        """What stands there, unwrapped."""
        return "\n".join("".join(each.text for each in line) for line in self._given)

    @property
    def rows(self) -> int:
        """Lines it takes at its width."""
        return len(self._lines)

    def show(self, lines: Sequence[Line]) -> None:
        """These lines."""
        fresh = [list(line) for line in lines]
        if fresh != self._given:
            self._given = fresh
            self._wrap()

    def _wrap(self, *, anew: bool = False) -> None:
        old = self._lines
        self._lines = _folded(self._given, self.size.width)
        if len(self._lines) > self.size.height:
            self._lines = _folded(self._given, self.size.width - BAR)
        self.virtual_size = Size(self.size.width, len(self._lines))
        if anew or len(old) != len(self._lines):
            self.refresh()
        else:
            self._repaint(old)

    def _repaint(self, old: Sequence[Line]) -> None:
        """What looks new of as many lines as there were."""
        top, width = self.scroll_offset.y, self.size.width
        for y, (before, after) in enumerate(zip(old, self._lines, strict=True)):
            if before != after and top <= y < top + self.size.height:
                first, last = differing(padded(before, width), padded(after, width)) or (0, 0)
                if first < last:
                    self.refresh(Region(first, y - top, last - first, 1))

    def render_line(self, y: int) -> Strip:
        """One line."""
        at = y + self.scroll_offset.y
        width = self.size.width
        if at >= len(self._lines):
            return Strip([Segment(" " * width)], width)
        return Strip(segments(self._lines[at])).adjust_cell_length(width)

    def on_resize(self, event: events.Resize) -> None:
        """Wrapped anew."""
        self._wrap(anew=True)

    def do_cursor_down(self) -> None:
        self.scroll_to(y=self.scroll_offset.y + 1, animate=False)

    def do_cursor_up(self) -> None:
        self.scroll_to(y=self.scroll_offset.y - 1, animate=False)

    def do_page_down(self) -> None:
        self.scroll_to(y=self.scroll_offset.y + self.size.height - 1, animate=False)

    def do_page_up(self) -> None:
        self.scroll_to(y=self.scroll_offset.y - self.size.height + 1, animate=False)

    def do_cursor_first(self) -> None:
        self.scroll_to(y=0, animate=False)

    def do_cursor_last(self) -> None:
        self.scroll_to(y=len(self._lines), animate=False)


def _folded(lines: Sequence[Line], width: int) -> list[list[Cell]]:
    width = max(8, width)
    return [
        piece for line in lines for piece in (wrapped(line, width, indent=_indent(line, width)) if line else [[]])
    ]


def _indent(line: Sequence[Cell], width: int) -> int:
    first = line[0].text
    return _INDENT if width > 3 * _INDENT and line[0].tone == "dim" and len(first) == _INDENT else 2
