"""Runs: all of them, newest first, live.

Law: the newest page is there at once; older pages are fetched when they come into view, or all of them, in the
background, when a filter or another order needs them, and the crumbs say how far that is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from console.messages import Batch
from console.place import Place
from console.present.cells import Cell, cell
from console.present.filters import Facts
from console.present.runs import FIELDS, RunRow, columns, facts, natural, run_row
from console.present.states import state_cell
from console.present.times import counted
from console.screens import again
from console.screens.explaining import explain
from console.screens.view import View
from console.widgets.preview import Preview
from console.widgets.table import Table
from engine.model.errors import NotFound, RequestError

if TYPE_CHECKING:
    from console.app import Console
    from console.widgets.preview import Confirmed
    from engine.client import Client

_PAGE = 200
_BULK = 5_000  # a page when everything is wanted
_SINGLY = 20  # so many changed runs are read one by one
_SHOWN_IN_PREVIEW = 200

Page = tuple[list[RunRow], str | None]


class RunsView(View):
    """The table of runs."""

    NAME = "runs"
    FILTER_HINT = "text, /regex/, state:failed, pipeline:orders*, by:alice, since:2h; -term excludes"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.filter_text = place.argument
        self._keep: Callable[[Facts], bool] | None = None
        self._next: str | None = None  # the cursor of the next older page
        self._begun = False
        self._ended = False  # whether the oldest run is there

    def compose(self) -> ComposeResult:
        yield Table(
            columns(self.looks),
            key=lambda row: row.run_id,
            natural=natural,
            look=self.looks,
            now=self.now,
            empty="Reading" + self.looks.ellipsis,
        )

    def on_mount(self) -> None:
        """The argument of the place is a filter."""
        if self.filter_text:
            refusal = self.filter(self.filter_text)
            if refusal is not None:
                self.complain(refusal)
                self.filter_text = ""

    @property
    def table(self) -> Table[RunRow]:
        """The table."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        rows = self.table.rows if self.is_mounted else None
        if rows is None or not self._begun:
            return ["Runs"]
        found = f"{len(rows):,}" if len(rows) == rows.total else f"{len(rows):,} of {rows.total:,}"
        more = "" if self._ended else "+"
        marks = len(rows.marked)
        marked = f", {marks:,} marked" if marks else ""
        hidden = f" ({rows.hidden_marks:,} hidden)" if rows.hidden_marks else ""
        return [f"Runs {found}{more}{marked}{hidden}"]

    @property
    def run_argument(self) -> str:
        selected = self.table.selected
        return selected.run_id if selected is not None else ""

    # ---- reading

    def look(self) -> None:
        """The newest page; older ones stay as they were read, and changed ones come with their events."""
        self.ask("runs", lambda client: _page(client, _PAGE, None), self._newest)

    def _newest(self, page: Page) -> None:
        rows, following = page
        if not self._begun:
            self._begun, self._next, self._ended = True, following, following is None
            self.table.say_empty("No runs yet. Start one with `penstock run PIPELINE`.")
        self.table.put(rows)
        self._more_if_needed()
        self.console.show_frame()

    def take(self, batch: Batch) -> None:
        """Changed runs are read again, one by one or with the newest page."""
        changed = sorted(batch.runs)
        if batch.lost or len(changed) > _SINGLY or any(each.type == "run.created" for each in batch.events):
            self.look()
        known = [each for each in changed if self.table.rows.get(each) is not None]
        if known and len(known) <= _SINGLY:
            self.ask("changed", lambda client: _these(client, known), self._put, about=tuple(known))

    def _put(self, rows: list[RunRow]) -> None:
        self.table.put(rows)

    def _more_if_needed(self) -> None:
        if self._next is not None and (self._keep is not None or self.table.sorted):
            self._more(_BULK)

    def _more(self, size: int) -> None:
        before = self._next
        if before is not None:
            self.ask("more", lambda client: _page(client, size, before), self._older, about=before)

    def _older(self, page: Page) -> None:
        rows, self._next = page
        self._ended = self._next is None
        self.table.put(rows)
        self._more_if_needed()
        self.console.show_frame()

    def tick(self, now: datetime) -> None:
        self.table.tick()

    # ---- what is shown

    def filter(self, text: str) -> str | None:
        try:
            self._keep = self.parsed(text, FIELDS)
        except RequestError as error:
            return str(error)
        keep = self._keep
        shown = None if keep is None else lambda row: keep(facts(row))
        self.table.filter_rows(shown, unmatched="No run matches. Esc takes the filter away.")
        self._more_if_needed()
        return None

    def escape(self) -> bool:
        if self.table.clear_marks():
            return True
        if self.filter_text:
            self.filter_text = ""
            self.filter("")
            self.console.show_frame()
            return True
        return False

    def copied(self) -> str:
        return "\n".join(row.run_id for row in self.table.chosen)

    # ---- events of the table

    def on_table_moved(self, event: Table.Moved) -> None:
        """Counts may have changed."""
        event.stop()
        if self.shown:
            self.console.show_frame()

    def on_table_near_end(self, event: Table.NearEnd) -> None:
        """Older ones are wanted."""
        event.stop()
        self._more(_PAGE)

    def on_table_sorted(self, event: Table.Sorted) -> None:
        """Another order needs all of them."""
        event.stop()
        self._more_if_needed()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Into the run."""
        event.stop()
        self.go("run", self.run_argument)

    # ---- actions

    def do_run_retry(self) -> None:
        self._change(
            "Retry", "run.retry", "FAILED CANCELLED RUNNING", "What a failure had skipped follows.", undo=""
        )

    def do_run_cancel(self) -> None:
        self._change(
            "Cancel", "run.cancel", "RUNNING PENDING", "Their processes end.", undo="retry runs them again"
        )

    def do_run_why(self) -> None:
        if self.run_argument:
            explain(self, self.run_argument, None)

    def do_run_logs(self) -> None:
        if self.run_argument:
            self.go("logs", self.run_argument)

    def do_run_again(self) -> None:
        if self.run_argument:
            again.rerun(self, self.run_argument)

    def do_run_diff(self) -> None:
        chosen = [row.run_id for row in self.table.chosen]
        if len(chosen) in (1, 2):
            self.go("diff", " ".join(chosen))
        else:
            self.console.say("Mark two runs to compare (space), or select one.")

    def _change(self, verb: str, command: str, states: str, effect: str, *, undo: str) -> None:
        chosen = self.table.chosen
        fitting = [row for row in chosen if row.state in states.split()]
        if not fitting:
            self.console.say(
                f"Nothing to {verb.lower()}: what is selected is not in a state for it."
                if chosen
                else "No run is selected."
            )
            return
        left_out = len(chosen) - len(fitting)
        effects = [[Cell(effect)]]
        if left_out:
            effects.append([Cell(f"{counted(left_out, 'run')} left out: not in a state for it.", "warn")])

        def confirmed(answer: Confirmed) -> None:
            for row in fitting:
                self.send(command, _arguments(command, row.run_id, answer))
            self.table.clear_marks()

        self.preview(
            Preview(
                title=f"{verb} {counted(len(fitting), 'run')}",
                touched=[_line(row, self) for row in fitting[:_SHOWN_IN_PREVIEW]]
                + (
                    [[Cell(f"and {len(fitting) - _SHOWN_IN_PREVIEW:,} more")]]
                    if len(fitting) > _SHOWN_IN_PREVIEW
                    else []
                ),
                effects=effects,
                confirm=f"{verb} {counted(len(fitting), 'run')}",
                options=[("fresh", "discard their checkpoints")] if command == "run.retry" else (),
                undo=undo,
            ),
            confirmed,
        )


def _arguments(command: str, run_id: str, answer: Confirmed) -> dict[str, object]:
    if command == "run.retry":
        return {"run_id": run_id, "tasks": [], "downstream": False, "fresh": "fresh" in answer.options}
    return {"run_id": run_id}


def _line(row: RunRow, view: View) -> list[Cell]:
    return [
        state_cell(row.state, view.looks),
        Cell("  "),
        cell(row.pipeline_id, "strong"),
        Cell("  "),
        cell(row.run_id),
    ]


def _page(client: Client, size: int, before: str | None) -> Page:
    found, following = client.queries.runs(limit=size, before=before)
    return [run_row(each) for each in found], following


def _these(client: Client, run_ids: list[str]) -> list[RunRow]:
    rows = []
    for run_id in run_ids:
        try:
            rows.append(run_row(client.run(run_id)))
        except NotFound:  # pruned meanwhile
            continue
    return rows
