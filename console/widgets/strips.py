"""Widgets of a few lines of cells: they repaint a line only when it changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.present.cells import Cell, clipped, differing, segments, width_of
from console.theme import Look, style


class Strips(Widget):
    """Lines of cells, cut to the width; text at the right end of the first one if there is any."""

    DEFAULT_CSS = "Strips { height: 1; width: 1fr; }"

    def __init__(self, look: Look, *, height: int = 1, id: str | None = None, tone: str = "") -> None:
        super().__init__(id=id)
        self._look = look
        self._tone = tone
        self._lines: list[list[Cell]] = [[] for _ in range(height)]
        self._right = ""
        self.styles.height = height

    @property
    def text(self) -> str:
        """What stands there."""
        return "\n".join("".join(each.text for each in line) for line in self._lines)

    def show(self, lines: Sequence[Sequence[Cell]], right: str = "") -> None:
        """These lines; only what is new is painted."""
        fresh = [list(lines[i]) if i < len(lines) else [] for i in range(len(self._lines))]
        if (fresh, right) == (self._lines, self._right):
            return
        if not self.size.width:  # hidden: it keeps what it drew, and shows that again
            self._lines, self._right = fresh, right
            self.refresh()
            return
        before = [self._fitted(y) for y in range(len(self._lines))]
        self._lines, self._right = fresh, right
        for y, old in enumerate(before):
            part = differing(old, self._fitted(y))
            if part is not None:
                self.refresh(Region(part[0], y, part[1] - part[0], 1))

    def _fitted(self, y: int) -> list[Cell]:
        """A line as it is seen, to the right end."""
        width = self.size.width
        right = self._right if y == 0 else ""
        line = clipped(self._lines[y], max(0, width - len(right) - (1 if right else 0)), self._look)
        blanks = Cell(" " * max(0, width - len(right) - width_of(line)))
        return [*line, blanks, Cell(right, "dim")]

    def render_line(self, y: int) -> Strip:
        """One line."""
        parts = segments(self._fitted(y)) if y < len(self._lines) else []
        return Strip(parts).adjust_cell_length(self.size.width, style(self._tone))
