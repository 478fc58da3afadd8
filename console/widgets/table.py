"""The virtual table: draws what is on screen, repaints the line that changed, holds 100,000 rows.

Law: nothing is drawn twice for one change and no cell of a hidden row is ever made. What is selected and
marked is `Rows`' business; what a record looks like is its columns'.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from console.present.cells import Cell, fitted
from console.present.columns import GAP, Cells, Column, Columns
from console.theme import Look, style
from console.widgets.rows import Rows
from console.widgets.scrolled import Scrolled

R = TypeVar("R")


class _Drawn(NamedTuple):
    """What stands on a line of the screen."""

    row: str
    cells: Cells
    cursor: bool
    marked: bool


class Table(Scrolled, Generic[R], can_focus=True):
    """Rows with a cursor, marks, an order and a filter."""

    KIND = "@table"
    DEFAULT_CSS = "Table { height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    class Moved(Message):
        """Another row is selected (or none)."""

        def __init__(self, table: Table[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> Table[Any]:
            return self.table

    class Opened(Moved):
        """Enter on a row."""

    class NearEnd(Moved):
        """The last rows come into view: more may be fetched."""

    class Sorted(Moved):
        """Another order was asked for."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        key: Callable[[R], str],
        natural: Callable[[R], Any],
        look: Look,
        now: Callable[[], datetime],
        empty: str = "Nothing here.",
        header: bool = True,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.rows: Rows[R] = Rows(key, natural)
        self._key = key
        self._columns = Columns(columns, look)
        self._look = look
        self._now = now
        self._empty = empty
        self._unmatched = ""
        self._header = 1 if header else 0
        self._drawn: dict[int, _Drawn] = {}  # what the lines of the screen show, until compared or repainted
        self._sorted: int | None = None
        self._near = -1

    # ---- content

    @property
    def selected(self) -> R | None:
        """The record under the cursor."""
        return self.rows.selected

    @property
    def chosen(self) -> list[R]:
        """The marked records, else the selected one."""
        return self.rows.chosen

    @property
    def sorted(self) -> bool:
        """Whether a column orders the rows."""
        return self._sorted is not None

    def put(self, records: Iterable[R]) -> None:
        """Insert or replace rows; only lines that look new are repainted."""
        with_line = self._screen_line()
        moved, touched = self.rows.put(records)
        if moved:
            self._laid_out(with_line)
        elif touched:
            self._compare(touched)

    def replace(self, records: Iterable[R]) -> None:
        """These rows and no others; while they are the same ones only what looks new is repainted."""
        with_line, before = self._screen_line(), self.rows.ids
        self.rows.replace(records)
        if self.rows.ids == before:
            self.tick()
        else:
            self._laid_out(with_line)

    def take_away(self, ids: Iterable[str]) -> None:
        """Take rows away."""
        with_line = self._screen_line()
        if self.rows.remove(ids):
            self._laid_out(with_line)

    def filter_rows(self, keep: Callable[[R], bool] | None, *, unmatched: str = "") -> None:
        """Show only some; `unmatched` stands there while rows have come and none of them is shown."""
        self._unmatched = unmatched
        self.rows.filter(keep)
        self._laid_out(None)
        self._show_cursor()

    def say_empty(self, text: str) -> None:
        """What stands there while there is no row."""
        if text != self._empty:
            self._empty = text
            if not len(self.rows):
                self.refresh()

    def tick(self) -> None:
        """Repaint what moved with the time, of the lines in view."""
        self._compare()

    def repaint(self) -> None:
        """Everything anew: a column's meaning changed."""
        self._drawn.clear()
        self.refresh()

    # ---- actions (console/actions.py, @table)

    def do_cursor_down(self) -> None:
        self._moving(lambda: self.rows.move(1))

    def do_cursor_up(self) -> None:
        self._moving(lambda: self.rows.move(-1))

    def do_page_down(self) -> None:
        self._moving(lambda: self.rows.move(max(1, self._page - 1)))

    def do_page_up(self) -> None:
        self._moving(lambda: self.rows.move(-max(1, self._page - 1)))

    def do_cursor_first(self) -> None:
        self._moving(lambda: self.rows.go(0))

    def do_cursor_last(self) -> None:
        self._moving(lambda: self.rows.go(len(self.rows)))

    def do_row_open(self) -> None:
        if self.rows.selected_id is not None:
            self.post_message(self.Opened(self))

    def do_mark(self) -> None:
        self.rows.mark()
        self._repaint(self.rows.selected_id)
        self._moving(lambda: self.rows.move(1))

    def do_mark_range(self) -> None:
        self.rows.mark_range()
        self._marks_changed()

    def do_mark_all(self) -> None:
        self.rows.mark_all()
        self._marks_changed()

    def do_sort_next(self) -> None:
        sortable = [i for i, column in enumerate(self._columns.all) if column.sort is not None]
        following = [i for i in sortable if self._sorted is None or i > self._sorted]
        self.sort(following[0] if following else None)

    def do_sort_reverse(self) -> None:
        self.sort(self._sorted, reverse=not self.rows.reverse)

    def clear_marks(self) -> bool:
        """Take every mark away; whether there was one."""
        had = self.rows.clear_marks()
        if had:
            self._marks_changed()
        return had

    def sort(self, column: int | str | None, *, reverse: bool = False) -> None:
        """Order by a column, by its place or name; None: the natural order."""
        if isinstance(column, str):
            column = next((i for i, each in enumerate(self._columns.all) if each.name == column), None)
        self._sorted = column
        self.rows.sort(None if column is None else self._columns.all[column].sort, reverse=reverse)
        self._laid_out(None)
        self._show_cursor()
        self.post_message(self.Sorted(self))

    def select(self, row: str) -> bool:
        """Select a row by its id, and show it."""
        found = False

        def go() -> None:
            nonlocal found
            found = self.rows.select(row)

        self._moving(go)
        return found

    # ---- painting

    @property
    def _page(self) -> int:
        return max(1, self.size.height - self._header)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if width != self._columns.width:  # a line may be drawn before the event of a new size has come
            self._columns.fit(width)
            self._drawn.clear()
        if y < self._header:
            return self._strip(tuple(self._heading()), width, head=True)
        line = y - self._header + self.scroll_offset.y
        if line >= len(self.rows):
            said = (self._unmatched if self.rows.total else "") or self._empty
            text = said if line == 0 and not len(self.rows) else ""
            return Strip([Segment(fitted(" " + text, width, self._look), style("dim"))], width)
        looks = self._drawn.get(y)
        if looks is None:
            self._drawn[y] = looks = self._look_of(line, self._now())
        return self._strip(looks.cells, width, cursor=looks.cursor, marked=looks.marked)

    def _look_of(self, line: int, now: datetime) -> _Drawn:
        row = self.rows.id_at(line)
        cells = self._columns.cells(self.rows.at(line), now)
        return _Drawn(row, cells, row == self.rows.selected_id, self.rows.is_marked(row))

    def _heading(self) -> list[Cell]:
        return self._columns.titles(self._sorted, reverse=self.rows.reverse)

    def _strip(
        self,
        cells: Cells,
        width: int,
        *,
        head: bool = False,
        cursor: bool = False,
        marked: bool = False,
    ) -> Strip:
        focused = self.has_focus
        sign = "*" if marked else (">" if cursor else " ")
        parts = [Segment(sign + " ", style("mark", cursor=cursor, focused=focused))]
        base = style("head") if head else style("", cursor=cursor, focused=focused)
        for piece in self._columns.pieces(cells):
            for text, tone in piece:
                parts.append(Segment(text, base if head else style(tone, cursor=cursor, focused=focused)))
            parts.append(Segment(" " * GAP, base))
        return Strip(parts).adjust_cell_length(width, base)

    # ---- repainting as little as possible

    def _repaint(self, row: str | None) -> None:
        """A whole line."""
        line = self.rows.line_of(row) if row is not None else None
        if line is None:
            return
        y = line - self.scroll_offset.y + self._header
        if self._header <= y < self.size.height:
            self._drawn.pop(y, None)
            self.refresh(Region(0, y, self.size.width, 1))

    def _compare(self, rows: Collection[str] | None = None) -> None:
        """Repaint what looks new on the lines in view, or on those of some rows; a whole line is dear."""
        now, top = self._now(), self.scroll_offset.y
        wanted = frozenset(rows) if rows is not None else None
        for line in range(*self._in_view()):
            y = line - top + self._header
            old = self._drawn.get(y)
            if old is None or (wanted is not None and self.rows.id_at(line) not in wanted):
                continue
            self._drawn[y] = new = self._look_of(line, now)
            if (old.cursor, old.marked) != (new.cursor, new.marked):
                self.refresh(Region(0, y, self.size.width, 1))
            else:
                for first, last in self._columns.differences(old.cells, new.cells):
                    self.refresh(Region(first, y, last - first, 1))

    def _in_view(self) -> tuple[int, int]:
        top = self.scroll_offset.y
        return top, min(len(self.rows), top + self._page)

    def _screen_line(self) -> int | None:
        """On which line of the screen the cursor stands; None while the view is at the top, which stays there."""
        return self.rows.line - self.scroll_offset.y if self.scroll_offset.y else None

    def _laid_out(self, screen_line: int | None) -> None:
        """Lines moved: the selected row stays where it is on the screen, as far as there are rows for it."""
        self._near = -1
        before = self.scroll_offset, self.virtual_size
        self.virtual_size = Size(self.size.width, len(self.rows) + self._header)
        if screen_line is not None:
            self.scroll_to(y=max(0, self.rows.line - screen_line), animate=False, force=True)
        if before == (self.scroll_offset, self.virtual_size):
            self._compare()
        else:
            self.repaint()
        self.post_message(self.Moved(self))
        self.call_after_refresh(self._look_ahead)

    def _moving(self, move: Callable[[], None]) -> None:
        before, ranging = self.rows.selected_id, self.rows.ranging
        move()
        self._show_cursor()
        if ranging:
            self.repaint()
        elif before != self.rows.selected_id:
            self._repaint(before)
            self._repaint(self.rows.selected_id)
        if before != self.rows.selected_id:
            self.post_message(self.Moved(self))
            self._look_ahead()

    def _marks_changed(self) -> None:
        self.repaint()
        self.post_message(self.Moved(self))

    def _show_cursor(self) -> None:
        top, line = self.scroll_offset.y, self.rows.line
        if line < top:
            self.scroll_to(y=line, animate=False, force=True)
        elif line >= top + self._page:
            self.scroll_to(y=line - self._page + 1, animate=False, force=True)

    def _look_ahead(self) -> None:
        if self.is_attached and self._in_view()[1] + self._page >= len(self.rows) != self._near:
            self._near = len(self.rows)
            self.post_message(self.NearEnd(self))

    # ---- events

    def on_resize(self, event: events.Resize) -> None:
        """Columns share the new width."""
        self._columns.fit(self.size.width)
        self.repaint()
        self.virtual_size = Size(self.size.width, len(self.rows) + self._header)
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor looks different."""
        self._repaint(self.rows.selected_id)

    def on_blur(self) -> None:
        """The cursor looks different."""
        self._repaint(self.rows.selected_id)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows stand on the lines, and more may be wanted."""
        self._drawn.clear()
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._look_ahead()

    def on_click(self, event: events.Click) -> None:
        """Select; on the selected row, open."""
        line = event.y - self._header + self.scroll_offset.y
        if event.y < self._header or line >= len(self.rows):
            return
        if event.chain > 1:
            self.do_row_open()
        else:
            self._moving(lambda: self.rows.go(line))
