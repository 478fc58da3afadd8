"""Data: one dataset, its columns and watermarks, who writes and reads it, what runs did to it, some of its rows.

Law: it shows what runs reported. Rows are looked at where a run has staged them, never in the system itself, and
only anew when the dataset was touched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from console.place import Place
from console.present import data
from console.present import lineage as present
from console.present.cells import cell
from console.screens.datasets import DatasetsView
from console.widgets.card import Card
from console.widgets.table import Table
from engine.client.values import Detail, Found, Write

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_RUNS = 50  # of each writer
_ROWS = 20  # of the sample


class DataView(DatasetsView):
    """One dataset."""

    NAME = "data"
    DEFAULT_CSS = """
    DataView #card { height: 40%; min-height: 8; padding: 0 0 0 1; }
    DataView #writes { height: 1fr; }
    DataView #rows { height: 25%; min-height: 4; padding: 0 0 0 1; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._sampled: object = None  # what the dataset looked like when its rows were looked at

    def compose_one(self) -> ComposeResult:
        looks = self.looks
        yield Card(looks, id="card")
        yield self.table_of("writes", present.write_columns(looks), present.write_key, _newest_first)
        yield Card(looks, id="rows")

    @property
    def card(self) -> Card:
        """Facts and columns."""
        return self.query_one("#card", Card)

    @property
    def rows(self) -> Card:
        """The sample."""
        return self.query_one("#rows", Card)

    @property
    def writes(self) -> Table[Write]:
        """What runs did to it."""
        return self.query_one("#writes", Table)

    @property
    def run_argument(self) -> str:
        selected = self.writes.selected if self.dataset else None
        return f"{selected.run_id} {selected.task_id}" if selected is not None else ""

    def focus_first(self) -> None:
        (self.writes if self.dataset else self.listing).focus()

    def look_one(self) -> None:
        """The dataset and its last writes."""
        name = self.dataset
        self.ask("data", lambda client: _read(client, name), self._show, about=name, fail=self._unknown)

    def _show(self, found: tuple[Detail, Sequence[Write]]) -> None:
        detail, writes = found
        dataset = detail.dataset
        self.card.show(data.detail_card(detail, self.now(), self.looks))
        self.writes.say_empty("No run that is known wrote it." if dataset.writers else "No task here writes it.")
        self.writes.replace(writes)
        recorded = dataset.recorded
        touched = (recorded.last_read, recorded.last_written) if recorded is not None else ()
        if touched != self._sampled:
            self._sampled = touched
            self._look_at_rows()
        self.console.show_frame()

    def _look_at_rows(self) -> None:
        name = self.dataset
        self.ask(
            "sample",
            lambda client: client.sample(name, _ROWS),
            self._show_rows,
            about=name,
            fail=lambda sentence: self.rows.show([[cell(sentence, "dim")]]),
        )

    def _show_rows(self, found: Found) -> None:
        self.rows.show(data.sample_lines(found, self.looks))

    def _unknown(self, sentence: str) -> None:
        self.writes.say_empty("There is no such dataset.")
        self.card.show([[cell(sentence, "bad")]])

    def open_row(self, table: Table[Any]) -> None:
        if table.id == "writes" and self.run_argument:
            self.go("run", self.run_argument)
        else:
            super().open_row(table)


def _read(client: Client, name: str) -> tuple[Detail, Sequence[Write]]:
    return client.data.detail(name), client.writes(name, runs=_RUNS)


def _newest_first(write: Write) -> Any:
    at = write.completed_at or write.started_at
    return (-at.timestamp() if at is not None else 0.0, present.write_key(write))
