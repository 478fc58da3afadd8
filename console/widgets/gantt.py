"""The Gantt chart: a table of tasks whose last column is a bar on one scale of time.

Law: it is the virtual table, so nothing hidden is drawn and the cursor is bound to a task; a tick of the clock
repaints the bars that grew by a cell, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip

from console.present import gantt as present
from console.present.cells import Cell, cell
from console.present.columns import GAP, MARKS, Cells, Column
from console.present.gantt import GanttRow, Scale
from console.present.rundetail import RunDetail
from console.present.states import state_cell
from console.present.times import brief, coarse
from console.theme import Look, state_tone
from console.widgets.strips import Strips
from console.widgets.table import Table


class GanttTable(Table[GanttRow]):
    """The rows."""

    def __init__(self, look: Look, now: Callable[[], datetime], *, id: str | None = None) -> None:
        super().__init__(
            _columns(look, self._bar), key=lambda row: row.name, natural=lambda row: row.place, look=look, now=now,
            empty="", id=id,
        )  # fmt: skip
        self._detail: RunDetail | None = None
        self._scale: Scale | None = None

    def show(self, detail: RunDetail, tasks: Collection[str] | None = None) -> None:
        """A run as it was read; `tasks` are those that may look new."""
        rows = present.gantt_rows(detail, tasks)
        same = self._detail is not None and len(detail.executions) == self.rows.total
        same = same and all(self.rows.get(row.name) is not None for row in rows)
        self._detail = detail
        if same:
            self.put(rows)
            self._rescale(self._all())
        else:
            rows = present.gantt_rows(detail)
            self._rescale(rows)
            self.replace(rows)

    def tick(self) -> None:
        """Bars that grew; all of them when the run outgrew its scale."""
        if self._detail is not None and not self._detail.run.state.terminal:
            self._rescale(self._all())
            super().tick()

    def _rescale(self, rows: Sequence[GanttRow]) -> None:
        if self._detail is None:
            return
        fresh = present.scale(rows, self._detail, self._now(), self._scale)
        if fresh != self._scale:
            self._scale = fresh
            self.repaint()

    def _all(self) -> list[GanttRow]:
        return self.rows.shown

    def _bar(self, row: GanttRow, now: datetime) -> Cell:
        if self._scale is None or self._detail is None:
            return Cell("")
        live = not self._detail.run.state.terminal
        bar = present.bar(row, self._scale, self._columns.widths[-1], now, self._look, live=live)
        return Cell(bar, state_tone(row.state))  # a bar of another state looks new from end to end

    def _heading(self) -> list[Cell]:
        cells = super()._heading()
        if self._scale is not None and self._sorted != len(self._columns.all) - 1:
            cells[-1] = Cell(present.axis(self._scale, self._columns.widths[-1]))
        return cells

    def _strip(
        self,
        cells: Cells,
        width: int,
        *,
        head: bool = False,
        cursor: bool = False,
        marked: bool = False,
    ) -> Strip:
        """The table's line, its last column painted glyph by glyph."""
        line = super()._strip(cells, width, head=head, cursor=cursor, marked=marked)
        bar = cells[-1]
        if head or cursor or not isinstance(bar, Cell):
            return line
        start = MARKS + sum(each + GAP for each in self._columns.widths[:-1] if each)
        parts = present.painted(bar.text, bar.tone, self._look)
        return Strip([*line.crop(0, start), *parts]).adjust_cell_length(width)


class Gantt(Vertical):
    """The chart and what its glyphs mean."""

    def __init__(self, look: Look, now: Callable[[], datetime], *, table: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self.table = GanttTable(look, now, id=table)

    def compose(self) -> ComposeResult:
        yield self.table
        yield Strips(self._look, id="legend")

    def on_mount(self) -> None:
        """It never changes."""
        self.query_one("#legend", Strips).show([present.legend(self._look)])


def _columns(look: Look, bar: Callable[[GanttRow, datetime], Cell]) -> list[Column[GanttRow]]:
    sign = present.glyphs(look).critical
    return [
        Column(name="path", title="", width=1, cell=lambda r, now: Cell(sign if r.critical else "")),
        Column(
            name="task", title="task", width=18, grow=1, middle=True,
            cell=lambda r, now: cell(r.name, "strong" if r.critical else ""), sort=lambda r: r.name,
        ),
        Column(
            name="state", title="", width=2, cell=lambda r, now: state_cell(r.state, look, narrow=True),
            sort=lambda r: r.state,
        ),
        Column(
            name="took", title="took", width=6, right=True, cell=_took, sort=lambda r: r.seconds,
        ),
        Column(
            name="bar", title="start", width=20, grow=4, cell=bar,
            sort=lambda r: r.pieces[0].start if r.pieces else None,
        ),
    ]  # fmt: skip


def _took(row: GanttRow, now: datetime) -> Cell:
    if row.running is not None:
        return Cell(coarse(now.timestamp() - row.running).replace(" ", ""))
    return Cell(brief(row.seconds))
