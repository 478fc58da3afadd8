"""One run: its forms share a cursor, beside them is a card of the task it is on, below them that task's log.

Law: what is shown was read in one go and is read again when an event names this run.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from console.going import split_argument
from console.messages import Batch
from console.place import Place
from console.present import taskcard
from console.present.rundetail import RunDetail
from console.screens import again, changing
from console.screens.explaining import explain
from console.screens.logbelow import TALL, LogBelow
from console.screens.reading import News, RunReader
from console.screens.runforms import RunForms
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.names import split

if TYPE_CHECKING:
    from console.app import Console


class RunView(RunForms):
    """A run."""

    NAME = "run"
    CARD = 44
    DEFAULT_CSS = """
    RunView #main { width: 1fr; height: 1fr; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        run_id, asked = split_argument(place.argument)
        super().__init__(console, place, run_id)
        self._asked = split(asked)[0] if asked else None
        self._reader = RunReader(run_id)
        self.below = LogBelow(self, run_id)

    def compose(self) -> ComposeResult:
        yield Strips(self.looks, id="head")
        with Horizontal(id="body"):
            yield from self.compose_forms()
            yield Divider(self.looks)
            yield Card(self.looks, id="card")
        with Vertical(id="foot"):
            yield Strips(self.looks, height=2, id="summary")
        yield self.below

    def on_mount(self) -> None:
        """Two lines where there is no card."""
        self.query_one("#foot").styles.height = "auto"

    # ---- what it is about

    @property
    def crumbs(self) -> list[str]:
        if self._detail is None:
            return ["Runs", self.run_id]
        names = ["Runs", self._detail.run.pipeline_id, f"{self._detail.run.logical_date:%Y-%m-%dT%H:%M}"]
        return [*names, self._current] if self._current else names

    @property
    def run_argument(self) -> str:
        return f"{self.run_id} {self._current}" if self._current else self.run_id

    @property
    def quiet(self) -> bool:
        return super().quiet and self.below.settled

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
        self._ask_events()

    def _show(self, news: News) -> None:
        detail, first = news.detail, self._detail is None
        self._detail, self._overlays = detail, dict(news.overlays)
        if first:
            self._begin(detail)
        self._show_form(news)
        self.below.learn(detail)
        self._retell(self.now())
        self.console.show_frame()

    def _begin(self, detail: RunDetail) -> None:
        """The cursor starts where somebody wanted it, else at the first failure."""
        failed = [each.task_id for each in detail.executions if each.state.value == "FAILED"]
        self._current = self._asked if self._asked in detail.by_task else failed[0] if failed else None
        if self._current is not None:
            self.graph.select(self._current)
        elif detail.executions:
            self._current = detail.executions[0].task_id
        self.below.point(self._current, at_once=True)

    def tick(self, now: datetime) -> None:
        if self._detail is None:
            return
        if not self._detail.run.state.terminal:
            self._retell(now)
        self._tick_form(self._detail, now)

    def _retell(self, now: datetime) -> None:
        detail = self._detail
        if detail is not None:
            self.query_one("#head", Strips).show([taskcard.head(detail, now, self.looks)])
            self.query_one("#summary", Strips).show(taskcard.summary(detail, self._current, self.looks))
            self.query_one(Card).show(taskcard.card(detail, self._current, now, self.looks))

    # ---- panes

    def make_room(self) -> None:
        super().make_room()
        self.query_one("#foot").display = not self.card.display
        self.below.make_room()

    def appear(self) -> None:
        super().appear()
        self.below.wake()

    def kinds(self) -> list[str]:
        return [each for each in super().kinds() if self.below.display or each not in ("@log", "@logbelow")]

    def escape(self) -> bool:
        return self.below.escape() or super().escape()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter shows the card."""
        event.stop()
        self.do_run_details()

    def _select(self, name: str | None) -> None:
        if name is None:
            return
        self.below.point(name)
        task = split(name)[0]
        if task != self._current:
            self._current = task
            self._retell(self.now())
            self.console.show_frame()

    def copied(self) -> str:
        return self.below.copied or (self.card.text if self.card.display else self.run_argument)

    # ---- actions of console.actions.runs

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

    def do_run_log_below(self) -> None:
        if not self.below.toggle():
            self._no_room()

    def do_run_log_higher(self) -> None:
        self._resize_log(higher=True)

    def do_run_log_lower(self) -> None:
        self._resize_log(higher=False)

    def _resize_log(self, *, higher: bool) -> None:
        if self.below.fits and not self.below.display:
            self.console.say("The log below is closed.")
        elif not self.below.resize(higher=higher):
            self._no_room()

    def _no_room(self) -> None:
        self.console.say(
            f"There is room for a log below from 120 columns and {TALL} rows on; `logs` shows it alone."
        )
