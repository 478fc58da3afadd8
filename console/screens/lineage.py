"""Lineage: upstream, the dataset, downstream; hop by hop, and who would notice if it were wrong.

Law: the three columns show what definitions declare; times and states are of the last runs. Enter on a dataset
makes it the middle, Enter on a task goes to its last run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.place import Place
from console.present import lineage as present
from console.present.cells import cell
from console.present.lineage import HopRow, TouchRow
from console.screens.datasets import DatasetsView
from console.widgets.card import Card
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.values import Lineage, Write

if TYPE_CHECKING:
    from console.app import Console

_RECENT = 10  # runs of each writer
_COLUMNS = ("up", "focus", "down")


class LineageView(DatasetsView):
    """A dataset between what it comes from and what is made from it."""

    NAME = "lineage"
    DEFAULT_CSS = """
    LineageView #columns { height: 1fr; }
    LineageView #columns Table { width: 1fr; }
    LineageView #card { height: 35%; min-height: 7; padding: 0 0 0 1; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._lineage: Lineage | None = None
        self._hops = 1

    def compose_one(self) -> ComposeResult:
        looks = self.looks
        with Horizontal(id="columns"):
            for name, title in (("up", "upstream"), ("focus", ""), ("down", "downstream")):
                if name == "focus":
                    yield self.table_of(name, present.touch_columns(looks), lambda r: r.key, lambda r: r.place)
                else:
                    columns = present.hop_columns(looks, title)
                    yield self.table_of(name, columns, lambda r: r.name, lambda r: (r.hop, r.name))
        yield Strips(looks, height=2, id="impact")
        yield Card(looks, id="card")

    @property
    def upstream(self) -> Table[HopRow]:
        """The left column."""
        return self.query_one("#up", Table)

    @property
    def focus_table(self) -> Table[TouchRow]:
        """The column in the middle."""
        return self.query_one("#focus", Table)

    @property
    def downstream(self) -> Table[HopRow]:
        """The right column."""
        return self.query_one("#down", Table)

    def focus_first(self) -> None:
        (self.focus_table if self.dataset else self.listing).focus()

    @property
    def selected_dataset(self) -> str:
        if self.dataset:
            for table in (self.upstream, self.downstream):
                if table.has_focus and table.selected is not None:
                    return table.selected.name
        return super().selected_dataset

    # ---- reading

    def look_one(self) -> None:
        """The dataset and everything around it."""
        name = self.dataset
        self.ask(
            "lineage",
            lambda client: (client.lineage(name), client.writes(name, runs=_RECENT)),
            lambda found: self._show(*found),
            about=name,
            fail=self._unknown,
        )

    def _unknown(self, sentence: str) -> None:
        self.focus_table.say_empty("There is no such dataset.")
        for table in (self.upstream, self.downstream):
            table.say_empty("")
        self.query_one(Card).show([[cell(sentence, "bad")]])

    def _show(self, lineage: Lineage, writes: Sequence[Write]) -> None:
        self._lineage = lineage
        self.focus_table.replace(present.touch_rows(lineage.focus, writes))
        self._fill()

    def _fill(self) -> None:
        lineage = self._lineage
        if lineage is None:
            return
        for table, found in ((self.upstream, lineage.upstream), (self.downstream, lineage.downstream)):
            table.say_empty("nothing known")
            table.replace(present.hop_rows(lineage, found, self._hops))
        lines = [present.impact(lineage), present.reach_line(lineage, self._hops)]
        self.query_one("#impact", Strips).show(lines)
        self._retell()

    def _retell(self) -> None:
        lineage = self._lineage
        if lineage is not None:
            dataset = lineage.datasets.get(self.selected_dataset, lineage.focus)
            self.query_one(Card).show(present.card(dataset, self.now(), self.looks))
        self.console.show_frame()

    # ---- the cursor

    def on_table_moved(self, event: Table.Moved) -> None:
        """The card follows."""
        event.stop()
        if self.dataset and self.shown:
            self._retell()

    def on_descendant_focus(self) -> None:
        if self.dataset and self.shown:
            self._retell()
        super().on_descendant_focus()

    def open_row(self, table: Table[Any]) -> None:
        if table.id == "focus":
            selected = self.focus_table.selected
            if selected is not None and selected.write is not None:
                self.go("run", f"{selected.write.run_id} {selected.write.task_id}")
            elif selected is not None:
                self._to_last_run(selected.touch.pipeline_id, selected.touch.task_id)
        elif table.selected is not None:
            self.go("lineage", table.selected.name)

    def _to_last_run(self, pipeline_id: str, task_id: str) -> None:
        def there(run_id: str) -> None:
            self.go("run", f"{run_id} {task_id}")

        self.ask("last", lambda client: client.run(f"last:{pipeline_id}").run_id, there, about=pipeline_id)

    # ---- actions of console.actions.lineage

    def do_lineage_more(self) -> None:
        self._reach(1)

    def do_lineage_fewer(self) -> None:
        self._reach(-1)

    def _reach(self, by: int) -> None:
        if self._lineage is not None:
            far = max((each.hop for each in (*self._lineage.upstream, *self._lineage.downstream)), default=1)
            self._hops = max(1, min(far, self._hops + by))
            self._fill()

    def do_lineage_left(self) -> None:
        if not self.dataset:
            return
        at = next((i for i, name in enumerate(_COLUMNS) if self.query_one(f"#{name}").has_focus), 1)
        self.query_one(f"#{_COLUMNS[max(0, at - 1)]}").focus()

    def do_lineage_run(self) -> None:
        lineage = self._lineage
        dataset = lineage.datasets.get(self.selected_dataset) if lineage is not None else None
        if dataset is None or dataset.last is None:
            self.console.say("None of the last runs wrote it.")
        else:
            self.go("run", f"{dataset.last.run_id} {dataset.last.task_id}")
