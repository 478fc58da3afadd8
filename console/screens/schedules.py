"""Schedules: when pipelines run by themselves, what keeps them from it, what a change would do.

Law: the list is read anew when a schedule's event comes; the slots of the coming days are worked out once per
quarter of an hour and when definitions or pauses change, never for a repaint.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.messages import Batch
from console.place import Place
from console.present import schedules as present
from console.present.filters import Facts
from console.present.schedules import Coming, Detail, ScheduleRow
from console.screens import scheduling
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.model.errors import NotFound, RequestError

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_AGAIN = timedelta(minutes=15)
_FIRES = 12
_PREFIXES = ("schedule.", "definition", "pipeline.")


class SchedulesView(SplitView):
    """The table of schedules, and a card."""

    NAME = "schedules"
    FILTER_HINT = "text, /regex/, state:paused, pipeline:orders*, policy:skip, timezone:europe*"
    CARD = 50

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._coming = Coming()
        self._worked_out: datetime | None = None
        self._listed: list[ScheduleRow] = []
        self._detail: Detail | None = None
        self._asked = place.argument
        self._answer: dict[str, Any] = {}

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, id="head")
        with Horizontal(id="body"):
            yield Table(
                present.columns(looks),
                key=lambda row: row.pipeline_id,
                natural=present.natural,
                look=looks,
                now=self.now,
                empty="Reading" + looks.ellipsis,
            )
            yield Divider(looks)
            yield Card(looks)

    @property
    def table(self) -> Table[ScheduleRow]:
        """The table."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        if not self._listed:
            return ["Schedules"]
        selected, marks = self.table.selected, len(self.table.rows.marked)
        title = f"Schedules, {marks} marked" if marks else "Schedules"
        return [title, selected.pipeline_id] if selected is not None else [title]

    @property
    def run_argument(self) -> str:
        selected = self.table.selected if self._listed else None
        return f"last:{selected.pipeline_id}" if selected is not None else ""

    # ---- reading

    def look(self) -> None:
        """The list; the coming days where they are old."""
        self._list(again=self._worked_out is None)

    def _list(self, *, again: bool) -> None:
        until = self.now() + timedelta(days=present.DAYS)
        if again or self._worked_out is None or self.now() - self._worked_out > _AGAIN:
            self._worked_out = self.now()
            self.ask("coming", lambda client: present.coming_of(client.coming_fires(until)), self._came)
        self.ask("schedules", _listed, self._show)

    def take(self, batch: Batch) -> None:
        if batch.lost or any(each.type.startswith(_PREFIXES) for each in batch.events):
            paused = any(each.type in ("schedule.paused", "schedule.resumed") for each in batch.events)
            defined = any(not each.type.startswith("schedule.") for each in batch.events if _concerns(each.type))
            self._list(again=batch.lost or paused or defined)

    def _show(self, found: dict[str, Any]) -> None:
        self._listed = present.rows(found, self._coming)
        self._answer = found
        self.table.say_empty("No pipeline has a schedule. Give one a `schedule:` block.")
        rows = self.table.rows
        known, found_ids = rows.total, {each.pipeline_id for each in self._listed}
        if known > sum(rows.get(each) is not None for each in found_ids):  # one of them has gone
            self.table.replace(self._listed)
        else:
            self.table.put(self._listed)
        if self._asked:
            if not self.table.select(self._asked):
                self.complain(f"There is no schedule of '{self._asked}'.")
            self._asked = ""
        self._retell()
        self._ask_detail()
        self.console.show_frame()

    def _came(self, coming: Coming) -> None:
        self._coming = coming
        if self._listed:
            self._show(self._answer)

    def _ask_detail(self) -> None:
        selected = self.table.selected
        if selected is not None:
            pipeline_id, paused = selected.pipeline_id, selected.state == "paused"
            self.ask(
                "detail",
                lambda client: read(client, pipeline_id, paused=paused),
                self._show_detail,
                about=pipeline_id,
            )

    def _show_detail(self, detail: Detail) -> None:
        self._detail = detail
        self._retell()

    def tick(self, now: datetime) -> None:
        if not self._listed:  # not looked yet
            return
        self.table.tick()
        due = [each for each in self._listed if each.next_fire is not None and each.next_fire <= now]
        if due or (self._worked_out is not None and now - self._worked_out > _AGAIN):
            self._list(again=False)

    def _retell(self) -> None:
        now, row = self.now(), self.table.selected
        self.query_one("#head", Strips).show([present.summary(self._listed, self._coming, now)])
        card = self.query_one(Card)
        if row is None:
            card.show([])
            return
        fits = self._detail is not None and self._detail.pipeline_id == row.pipeline_id
        card.show(present.card(row, self._detail if fits else None, self._coming, now, self.looks))

    # ---- panes

    def do_schedule_details(self) -> None:
        self.toggle_details()

    def filter(self, text: str) -> str | None:
        try:
            keep: Callable[[Facts], bool] | None = self.parsed(text, present.FIELDS)
        except RequestError as error:
            return str(error)
        shown = None if keep is None else lambda row: keep(present.facts(row))
        self.table.filter_rows(shown, unmatched="No schedule matches. Esc takes the filter away.")
        return None

    def copied(self) -> str:
        card = self.query_one(Card)
        return card.text if card.has_focus else "\n".join(row.pipeline_id for row in self.table.chosen)

    # ---- the cursor

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another schedule."""
        event.stop()
        if self.shown:
            self._retell()
            self._ask_detail()
            self.console.show_frame()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter: the card, where it is not beside the table; else the runs."""
        event.stop()
        if self.wide and self.query_one(Card).display:
            self.do_schedule_runs()
        else:
            self.do_schedule_details()

    # ---- actions of console.actions.schedules

    def do_schedule_runs(self) -> None:
        row = self.table.selected
        if row is not None:
            self.go("runs", f"pipeline:{row.pipeline_id}")

    def do_schedule_pause(self) -> None:
        scheduling.pause(self, self.table.chosen)

    def do_schedule_resume(self) -> None:
        scheduling.resume(self, self.table.chosen)

    def do_schedule_run(self) -> None:
        row = self.table.selected
        if row is not None:
            scheduling.run_now(self, row)

    def do_schedule_what_if(self) -> None:
        row = self.table.selected
        if row is not None:
            scheduling.what_if(self, row)


def _listed(client: Client) -> dict[str, Any]:
    client.catalog.refresh()  # what is written now is what is shown
    return client.schedules()


def _concerns(kind: str) -> bool:
    return kind.startswith(_PREFIXES)


def read(client: Client, pipeline_id: str, *, paused: bool) -> Detail:
    """Everything a card tells; nothing of it where the definition has gone."""
    try:
        fires = client.next_fires(pipeline_id, _FIRES)["fires"]
        most = client.pipeline(pipeline_id).execution.max_active_runs
        resumed = client.resume_consequence(pipeline_id)["sentence"] if paused else ""
    except (NotFound, RequestError):  # taken away meanwhile; the list will say so
        fires, most, resumed = [], 1, ""
    return Detail(
        pipeline_id=pipeline_id,
        fires=fires,
        consequence=resumed,
        statistics=client.queries.statistics(pipeline_id),
        max_active=most,
    )
