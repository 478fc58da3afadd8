"""What the views of datasets share: the list where none is named, and looking again when runs went on.

Law: definitions and recent runs are read together, at most every two seconds, and only while shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from console.messages import Batch
from console.place import Place
from console.present import lineage as present
from console.present.lineage import DatasetRow
from console.screens.view import View
from console.widgets.table import Table
from engine.client.values import Dataset
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console

_BETWEEN = timedelta(seconds=2)


class DatasetsView(View):
    """Datasets; subclasses show one."""

    FILTER_HINT = "text, /regex/, dataset:mart*, state:failed"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.dataset = place.argument
        self._changed = False
        self._looked: datetime | None = None

    # ---- what a subclass gives

    def compose_one(self) -> ComposeResult:
        """The widgets of one dataset."""
        yield from ()

    def look_one(self) -> None:
        """Ask for one dataset."""

    # ---- the list

    def compose(self) -> ComposeResult:
        if self.dataset:
            yield from self.compose_one()
        else:
            yield self.table_of("list", present.dataset_columns(self.looks), lambda r: r.name, lambda r: r.name)

    def table_of(self, name: str, columns: Any, key: Any, natural: Any) -> Table[Any]:
        """A table of this view."""
        empty = "Reading" + self.looks.ellipsis
        return Table(columns, key=key, natural=natural, look=self.looks, now=self.now, empty=empty, id=name)

    @property
    def listing(self) -> Table[DatasetRow]:
        """The list."""
        return self.query_one("#list", Table)

    @property
    def selected_dataset(self) -> str:
        """What actions are about."""
        selected = self.listing.selected if not self.dataset else None
        return selected.name if selected is not None else self.dataset

    @property
    def crumbs(self) -> list[str]:
        title = self.NAME.capitalize()
        return [title, self.dataset] if self.dataset else [title]

    def look(self) -> None:
        """The list, or the one."""
        self._changed, self._looked = False, self.now()
        if self.dataset:
            self.look_one()
        else:
            self.ask("datasets", lambda client: client.datasets(), self._listed)

    def _listed(self, found: Sequence[Dataset]) -> None:
        self.listing.say_empty(present.NONE_DECLARED)
        self.listing.replace([present.dataset_row(each) for each in found])
        self.console.show_frame()

    def take(self, batch: Batch) -> None:
        self._changed = self._changed or batch.lost or bool(batch.runs)

    def tick(self, now: datetime) -> None:
        if self._changed and (self._looked is None or now - self._looked >= _BETWEEN):
            self.look()
        for table in self.query(Table):
            table.tick()

    def filter(self, text: str) -> str | None:
        if self.dataset:
            return super().filter(text)
        try:
            keep = self.parsed(text, ("dataset", "state", "by"))
        except RequestError as error:
            return str(error)
        shown = None if keep is None else lambda row: keep(_facts(row))
        self.listing.filter_rows(shown, unmatched="No dataset matches. Esc takes the filter away.")
        return None

    def escape(self) -> bool:
        if not self.filter_text:
            return False
        self.filter_text = ""
        self.filter("")
        self.console.show_frame()
        return True

    def copied(self) -> str:
        return self.selected_dataset

    def on_table_opened(self, event: Table.Opened) -> None:
        """Into the dataset, or whatever a subclass says."""
        event.stop()
        self.open_row(event.table)

    def open_row(self, table: Table[Any]) -> None:
        """Enter."""
        if table.id == "list" and table.selected is not None:
            self.go(self.NAME, table.selected.name)

    def do_lineage_data(self) -> None:
        if self.selected_dataset:
            self.go("data", self.selected_dataset)

    def do_lineage_show(self) -> None:
        if self.selected_dataset:
            self.go("lineage", self.selected_dataset)


def _facts(row: DatasetRow) -> Any:
    by = f"{row.last.pipeline_id}/{row.last.task_id}" if row.last is not None else ""
    at = row.last.completed_at if row.last is not None else None
    return {"dataset": row.name, "state": row.state, "by": by}, at
