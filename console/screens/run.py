"""One run: the live graph, the tree of its tasks, a chart over time, or its events; a card for the selected task.

Law: the forms share one cursor, a task. What is shown was read in one go and is read again when an event
names this run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from console.dag.view import DagView
from console.going import split_argument
from console.messages import Batch
from console.place import Place
from console.present import taskcard
from console.present import tasks as present
from console.present.filters import Facts
from console.present.rundetail import RunDetail
from console.present.tasks import EventRow, TaskRow
from console.screens import again, changing
from console.screens.explaining import explain
from console.screens.reading import News, RunReader, read_events
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.gantt import Gantt, GanttTable
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.names import label, split
from engine.layout.values import Overlay
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console

_FORMS = ("graph", "tree", "events")


class RunView(SplitView):
    """A run."""

    NAME = "run"
    FILTER_HINT = "text, /regex/, state:failed, task:load*, type:shell (in the tree and the events)"
    CARD = 44
    DEFAULT_CSS = """
    RunView #main { width: 1fr; height: 1fr; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.run_id, asked = split_argument(place.argument)
        self._asked = split(asked)[0] if asked else None
        self._reader = RunReader(self.run_id)
        self._detail: RunDetail | None = None
        self._overlays: dict[str, Overlay] = {}
        self._events_read = 0
        self._form = "graph"
        self._current: str | None = None
        self._keep: Callable[[Facts], bool] | None = None

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, id="head")
        with Horizontal(id="body"):
            with ContentSwitcher(initial="graph", id="main"):
                yield DagView(looks, id="graph")
                yield self._table("tree", present.task_columns(looks), lambda row: row.name, lambda row: row.place)
                yield Gantt(looks, self.now, table="gantt", id="gantt-pane")
                yield self._table(
                    "events", present.event_columns(looks), lambda row: str(row.number), lambda row: row.number
                )
            yield Divider(looks)
            yield Card(looks, id="card")
        with Vertical(id="foot"):
            yield Strips(looks, height=2, id="summary")

    def _table(self, name: str, columns: Any, key: Any, natural: Any) -> Table[Any]:
        return Table(columns, key=key, natural=natural, look=self.looks, now=self.now, empty="", id=name)

    def on_mount(self) -> None:
        """Two lines where there is no card."""
        self.query_one("#foot").styles.height = "auto"

    # ---- what it is about

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

    @property
    def crumbs(self) -> list[str]:
        if self._detail is None:
            return ["Runs", self.run_id]
        names = ["Runs", self._detail.run.pipeline_id, f"{self._detail.run.logical_date:%Y-%m-%dT%H:%M}"]
        return [*names, self._current] if self._current else names

    @property
    def run_argument(self) -> str:
        return f"{self.run_id} {self._current}" if self._current else self.run_id

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

    # ---- reading

    def look(self) -> None:
        """The run, all of it."""
        self._reader.forget()
        self._ask()

    def take(self, batch: Batch) -> None:
        if self._reader.note(batch):
            self._ask()

    def happened(self, batch: Batch) -> None:
        """Behind another view, of all that happens only which tasks moved is kept."""
        if not self.shown:
            self._reader.note(batch)
        super().happened(batch)

    def _ask(self) -> None:
        self.ask("run", self._reader.read, self._show, about=self.run_id)
        if self._form == "events":
            self._ask_events()

    def _ask_events(self) -> None:
        known = self._events_read
        self.ask("events", lambda client: read_events(client, self.run_id, known), self._add_events, about=known)

    def _add_events(self, rows: list[EventRow]) -> None:
        if rows:
            began = not self._events_read
            self._events_read += len(rows)
            self.events.put(rows)
            if began:
                self.events.do_cursor_last()
            self._ask_events()

    def _show(self, news: News) -> None:
        detail, first = news.detail, self._detail is None
        self._detail, self._overlays = detail, dict(news.overlays)
        if first:
            self._begin(detail)
        self.listing.take_away(news.gone)
        self.listing.put(news.rows)
        if self._form == "graph":
            self._draw(detail)
        elif self._form == "gantt":
            self.gantt.show(detail, news.tasks)
        self._retell(self.now())
        self.console.show_frame()

    def _draw(self, detail: RunDetail) -> None:
        self.graph.show(detail.graph, self._overlays, detail.critical)

    def _begin(self, detail: RunDetail) -> None:
        """The cursor starts where somebody wanted it, else at the first failure."""
        failed = [each.task_id for each in detail.executions if each.state.value == "FAILED"]
        self._current = self._asked if self._asked in detail.by_task else failed[0] if failed else None
        if self._current is not None:
            self.graph.select(self._current)
        elif detail.executions:
            self._current = detail.executions[0].task_id

    def tick(self, now: datetime) -> None:
        if self._detail is None:
            return
        detail = self._detail
        if not detail.run.state.terminal:
            if self._form == "graph" and detail.retrying:
                self._overlays |= {each: present.overlay(detail.of(each), detail, now) for each in detail.retrying}
                self.graph.set_states(self._overlays)
            self._retell(now)
        if self._form in ("tree", "gantt"):
            (self.listing if self._form == "tree" else self.gantt).tick()

    def _retell(self, now: datetime) -> None:
        detail = self._detail
        if detail is not None:
            self.query_one("#head", Strips).show([taskcard.head(detail, now, self.looks)])
            self.query_one("#summary", Strips).show(taskcard.summary(detail, self._current, self.looks))
            self.query_one(Card).show(taskcard.card(detail, self._current, now, self.looks))

    # ---- panes

    @property
    def side(self) -> Widget:
        return self.query_one("#main")

    def focused_side(self) -> Widget:
        return self.query_one(f"#{self._form}")

    def make_room(self) -> None:
        super().make_room()
        self.query_one("#foot").display = not self.card.display

    def clear_marks(self) -> bool:
        return self.listing.clear_marks() or self.gantt.clear_marks()

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
        elif self._form == "events":
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
            self._select(split(selected.name)[0])

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter shows the card."""
        event.stop()
        self.do_run_details()

    def _select(self, task: str | None) -> None:
        if task is not None and task != self._current:
            self._current = task
            self._retell(self.now())
            self.console.show_frame()

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

    def copied(self) -> str:
        card = self.query_one(Card)
        return card.text if card.display else self.run_argument

    # ---- actions of console.actions.runs

    def do_run_graph(self) -> None:
        self._to_form("graph")

    def do_run_tree(self) -> None:
        self._to_form("tree")

    def do_run_gantt(self) -> None:
        self._to_form("gantt")

    def do_run_events(self) -> None:
        self._to_form("events")

    def do_run_details(self) -> None:
        self.toggle_details()

    def do_run_why(self) -> None:
        explain(self, self.run_id, self._current)

    def do_run_logs(self) -> None:
        self.go("logs", self.run_argument)

    def do_run_retry(self) -> None:
        changing.retry(self, downstream=False)

    def do_run_retry_downstream(self) -> None:
        changing.retry(self, downstream=True)

    def do_run_cancel(self) -> None:
        changing.cancel(self)

    def do_run_again(self) -> None:
        again.rerun(self, self.run_id)

    def do_run_diff(self) -> None:
        self.go("diff", self.run_id)

    def do_run_mark(self) -> None:
        changing.mark(self)
