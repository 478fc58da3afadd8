"""The four forms of a run that share one cursor: its graph, the tree of its tasks, a chart over time, its events.

Law: one form is seen, and only that one is kept up to date; one that comes to the front learns what happened and
where the cursor is. Whoever shows a run says what follows when the cursor moves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from console.dag.view import DagView
from console.place import Place
from console.present import tasks as present
from console.present.filters import Facts
from console.present.rundetail import RunDetail
from console.present.tasks import EventRow, TaskRow
from console.screens.reading import News, read_events
from console.screens.split import SplitView
from console.widgets.gantt import Gantt, GanttTable
from console.widgets.table import Table
from engine.client.names import label
from engine.layout.values import Overlay
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console


class RunForms(SplitView):
    """A view with the forms of a run where its list stands."""

    FILTER_HINT = "text, /regex/, state:failed, task:load*, type:shell (in the tree and the events)"

    def __init__(self, console: Console, place: Place, run_id: str) -> None:
        super().__init__(console, place)
        self.run_id = run_id
        self._detail: RunDetail | None = None
        self._overlays: dict[str, Overlay] = {}
        self._events_read = 0
        self._form = "graph"
        self._current: str | None = None
        self._keep: Callable[[Facts], bool] | None = None

    def compose_forms(self) -> ComposeResult:
        """One of them at a time."""
        looks = self.looks
        with ContentSwitcher(initial="graph", id="main"):
            yield DagView(looks, id="graph")
            yield self._table("tree", present.task_columns(looks), lambda row: row.name, lambda row: row.place)
            yield Gantt(looks, self.now, table="gantt", id="gantt-pane")
            yield self._table(
                "events", present.event_columns(looks), lambda row: str(row.number), lambda row: row.number
            )

    def _table(self, name: str, columns: Any, key: Any, natural: Any) -> Table[Any]:
        return Table(columns, key=key, natural=natural, look=self.looks, now=self.now, empty="", id=name)

    @property
    def graph(self) -> DagView:
        """The graph."""
        return self.query_one(DagView)

    @property
    def listing(self) -> Table[TaskRow]:
        """The tree."""
        return self.query_one("#tree", Table)

    @property
    def gantt(self) -> GanttTable:
        """The chart over time."""
        return self.query_one(GanttTable)

    @property
    def events(self) -> Table[EventRow]:
        """The events."""
        return self.query_one("#events", Table)

    def chosen_tasks(self) -> list[str]:
        """What actions work on, by name: the marks of the tree, else what is under the cursor."""
        if self._form == "graph":
            return self.graph.tasks
        if self._form == "tree":
            return [row.name for row in self.listing.chosen]
        if self._form == "gantt":
            return [row.name for row in self.gantt.chosen]
        selected = self.events.selected
        return [selected.name] if selected is not None else []

    @property
    def detail(self) -> RunDetail | None:
        """What was read."""
        return self._detail

    @property
    def side(self) -> Widget:
        return self.query_one("#main")

    def focused_side(self) -> Widget:
        return self.query_one(f"#{self._form}")

    def clear_marks(self) -> bool:
        return self.listing.clear_marks() or self.gantt.clear_marks()

    # ---- what was read

    def _show_form(self, news: News) -> None:
        """What is new, in what is seen and in what needs to know all the time."""
        self.listing.take_away(news.gone)
        self.listing.put(news.rows)
        if self._form == "graph":
            self._draw(news.detail)
        elif self._form == "gantt":
            self.gantt.show(news.detail, news.tasks)

    def _draw(self, detail: RunDetail) -> None:
        self.graph.show(detail.graph, self._overlays, detail.critical)

    def _tick_form(self, detail: RunDetail, now: datetime) -> None:
        """What moves with the time."""
        if self._form == "graph" and detail.retrying and not detail.run.state.terminal:
            self._overlays |= {each: present.overlay(detail.of(each), detail, now) for each in detail.retrying}
            self.graph.set_states(self._overlays)
        if self._form in ("tree", "gantt"):
            (self.listing if self._form == "tree" else self.gantt).tick()

    def _ask_events(self) -> None:
        """Those that came since; only while they are seen."""
        if self._form == "events":
            known = self._events_read
            self.ask(
                "events", lambda client: read_events(client, self.run_id, known), self._add_events, about=known
            )

    def _add_events(self, rows: list[EventRow]) -> None:
        if rows:
            began = not self._events_read
            self._events_read += len(rows)
            self.events.put(rows)
            if began:
                self.events.do_cursor_last()
            self._ask_events()

    # ---- one form after the other

    def _to_form(self, form: str) -> None:
        self._form = form
        self.query_one(ContentSwitcher).current = "gantt-pane" if form == "gantt" else form
        if self._detail is not None:
            self._catch_up(self._detail)
        if not self.wide:
            self.details = None
            self.make_room()
        self.focus_first()
        self.console.show_frame()

    def _catch_up(self, detail: RunDetail) -> None:
        """What was behind learns what happened, and where the cursor is."""
        task = self._current
        if self._form == "graph":
            self._draw(detail)
            self.graph.select(task)
        elif self._form == "gantt":
            self.gantt.show(detail)
        self._ask_events()
        if task is not None and self._form in ("tree", "gantt"):
            self._select_row(task, self.listing if self._form == "tree" else self.gantt)

    def _select_row(self, task: str, table: Table[Any]) -> None:
        """The row of a task; of a mapped one its first item, unless the cursor is on one of its items."""
        selected = table.selected
        if selected is None or selected.task_id != task:
            items = self._detail.of(task) if self._detail is not None else []
            table.select(label(task, items[0].map_index) if items else task)

    # ---- the cursor

    def on_dag_view_moved(self, event: DagView.Moved) -> None:
        """In the graph."""
        event.stop()
        if self._form == "graph":
            self._select(event.task)

    def on_table_moved(self, event: Table.Moved) -> None:
        """In the tree or the events."""
        event.stop()
        selected = event.table.selected
        if event.table.id == self._form and selected is not None:
            self._select(selected.name)

    def _select(self, name: str | None) -> None:
        """The cursor is on a task or an item."""

    def filter(self, text: str) -> str | None:
        try:
            self._keep = keep = self.parsed(text, present.FIELDS)
        except RequestError as error:
            return str(error)
        self.listing.filter_rows(None if keep is None else lambda row: keep(present.task_facts(row)))
        self.gantt.filter_rows(None if keep is None else lambda row: keep(row.facts))
        self.events.filter_rows(None if keep is None else lambda row: keep(present.event_facts(row)))
        if keep is not None and self._form == "graph" and text:
            self._jump(keep)
        return None

    def _jump(self, keep: Callable[[Facts], bool]) -> None:
        """In the graph a filter goes to the first task that matches."""
        for row in present.task_rows(self._detail) if self._detail is not None else ():
            if keep(present.task_facts(row)):
                self.graph.select(row.task_id)
                return

    def do_run_graph(self) -> None:
        self._to_form("graph")

    def do_run_tree(self) -> None:
        self._to_form("tree")

    def do_run_gantt(self) -> None:
        self._to_form("gantt")

    def do_run_events(self) -> None:
        self._to_form("events")
