"""One pipeline: its runs, its graph with how each task stands in the newest run, and its card.

Law: what is shown is the definition as it is now; a run shows the one it was made from. The place says which of the
two forms is meant: `ID` the runs, `ID graph` the graph.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from console.dag.view import DagView
from console.messages import Batch
from console.place import Place
from console.present.pipelines import PipelineDetail, PipelineRow, card, graph, head, overlays
from console.present.runs import RunRow, columns, natural, run_row
from console.screens import defining
from console.screens.explaining import explain
from console.screens.pipelines import read_detail, read_rows
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.names import near
from engine.model.errors import NotFound

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_PAGE = 200
_AGAIN_SECONDS = 1.0

Page = tuple[list[RunRow], str | None]


class PipelineView(SplitView):
    """A pipeline."""

    NAME = "pipeline"
    CARD = 54
    DEFAULT_CSS = """
    PipelineView #main { width: 1fr; height: 1fr; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.pipeline_id, _, form = place.argument.partition(" ")
        self._form = "graph" if form.strip() == "graph" else "runs"
        self._detail: PipelineDetail | None = None
        self._next: str | None = None
        self._read_at = float("-inf")
        self._behind = False

    def compose(self) -> ComposeResult:
        yield Strips(self.looks, id="head")
        with Horizontal(id="body"):
            with ContentSwitcher(initial=self._form, id="main"):
                yield Table(
                    columns(self.looks),
                    key=lambda row: row.run_id,
                    natural=natural,
                    look=self.looks,
                    now=self.now,
                    empty="Reading" + self.looks.ellipsis,
                    id="runs",
                )
                yield DagView(self.looks, id="graph")
            yield Divider(self.looks)
            yield Card(self.looks, id="card")

    @property
    def table(self) -> Table[RunRow]:
        """Its runs."""
        return self.query_one("#runs", Table)

    @property
    def detail(self) -> PipelineDetail | None:
        """What was read."""
        return self._detail

    @property
    def crumbs(self) -> list[str]:
        return ["Pipelines", self.pipeline_id or "", *(["graph"] if self._form == "graph" else [])]

    @property
    def run_argument(self) -> str:
        if self._form == "runs":
            selected = self.table.selected
            return selected.run_id if selected is not None else ""
        last = self._detail.last if self._detail is not None else None
        task = self.query_one(DagView).current
        return f"{last.run_id} {task}" if last is not None and task else last.run_id if last is not None else ""

    # ---- reading

    def look(self) -> None:
        """The definition, its numbers, its newest runs."""
        self._read_at, self._behind = time.monotonic(), False
        wanted = self.pipeline_id
        self.ask("pipeline", lambda client: read(client, wanted), self._show, fail=self._missing)
        if wanted:
            self.ask("page", lambda client: page(client, wanted, None), self._newest)

    def take(self, batch: Batch) -> None:
        if batch.lost or any(each.pipeline_id == self.pipeline_id for each in batch.events):
            self._behind = True
            self.tick(self.now())

    def tick(self, now: datetime) -> None:
        if self._behind and time.monotonic() - self._read_at >= _AGAIN_SECONDS:
            self.look()
        if self._form == "runs":
            self.table.tick()

    def _show(self, detail: PipelineDetail) -> None:
        self._detail = detail
        if not self.pipeline_id:
            self.pipeline_id = detail.row.id
            self.look()
        now = self.now()
        self.query_one("#head", Strips).show([head(detail, now, self.looks)])
        self.query_one(Card).show(card(detail, now, self.looks))
        if detail.pipeline is not None:
            self.query_one(DagView).show(graph(detail.pipeline), overlays(detail.executions))
        self.console.show_frame()

    def _missing(self, sentence: str) -> None:
        self.table.say_empty(sentence)
        self.complain(sentence)

    def _newest(self, found: Page) -> None:
        rows, following = found
        if not len(self.table.rows):
            self._next = following
            self.table.say_empty("It never ran. t runs it.")
        self.table.put(rows)

    def on_table_near_end(self, event: Table.NearEnd) -> None:
        """Older ones are wanted."""
        event.stop()
        before = self._next
        if before is not None:
            self.ask("more", lambda client: page(client, self.pipeline_id, before), self._older, about=before)

    def _older(self, found: Page) -> None:
        rows, self._next = found
        self.table.put(rows)

    # ---- panes

    @property
    def side(self) -> Widget:
        return self.query_one("#main")

    def focused_side(self) -> Widget:
        return self.query_one(f"#{self._form}")

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another run is meant."""
        event.stop()

    def on_dag_view_moved(self, event: DagView.Moved) -> None:
        """Another task is meant."""
        event.stop()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Into the run."""
        event.stop()
        if self.run_argument:
            self.go("run", self.run_argument)

    def copied(self) -> str:
        return self.query_one(Card).text if not self.query_one("#main").display else self.run_argument

    # ---- actions

    def do_run_why(self) -> None:
        if self.run_argument:
            run_id, _, task = self.run_argument.partition(" ")
            explain(self, run_id, task or None)

    def do_run_logs(self) -> None:
        if self.run_argument:
            self.go("logs", self.run_argument)

    def do_pipeline_trigger(self) -> None:
        if self._row is not None:
            defining.trigger(self, self._row)

    def do_pipeline_pause(self) -> None:
        if self._row is not None:
            defining.pause(self, [self._row])

    def do_pipeline_edit(self) -> None:
        if self._row is not None:
            defining.edit(self, self._row)

    def do_pipeline_validate(self) -> None:
        if self._row is not None:
            defining.validate(self, [self._row])

    def do_pipeline_graph(self) -> None:
        self._form = "runs" if self._form == "graph" else "graph"
        self.query_one(ContentSwitcher).current = self._form
        if not self.wide:
            self.details = None
            self.make_room()
        self.focus_first()
        self.console.show_frame()

    def do_pipeline_runs(self) -> None:
        self.go("runs", f"pipeline:{self.pipeline_id}")

    def do_pipeline_details(self) -> None:
        self.toggle_details()

    @property
    def _row(self) -> PipelineRow | None:
        return self._detail.row if self._detail is not None else None


def read(client: Client, pipeline_id: str) -> PipelineDetail:
    """One pipeline; without an id that of the newest run. NotFound says what is near."""
    wanted = pipeline_id or client.run("last").pipeline_id
    client.catalog.refresh()
    rows = read_rows(client, frozenset([wanted]))
    if not rows:
        known = client.catalog.ids()
        raise NotFound(f"There is no pipeline '{wanted}'.{near(wanted, known)} `:pipelines` lists what there is.")
    return read_detail(client, rows[0])


def page(client: Client, pipeline_id: str, before: str | None) -> Page:
    """A page of its runs."""
    found, following = client.queries.runs(pipeline_id=pipeline_id, limit=_PAGE, before=before)
    return [run_row(each) for each in found], following
