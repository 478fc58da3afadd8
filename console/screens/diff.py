"""Diff: two runs compared: definition, parameters, states, durations, outputs, metrics.

Law: a run named alone is compared with the last success of its pipeline before it, else with the run before it.
Both are read once; only what is different is shown until everything is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from console.place import Place
from console.present import diff as present
from console.present.diff import DiffRow, Side
from console.present.filters import Facts
from console.present.times import counted
from console.screens.view import View
from console.widgets.card import Card
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client
    from engine.model.run import PipelineRun

_LOOKED_THROUGH = 50  # runs, for the one before


class DiffView(View):
    """Two runs."""

    NAME = "diff"
    FILTER_HINT = "text, /regex/, what:parameters, name:load*"
    DEFAULT_CSS = "DiffView #card { height: 30%; min-height: 5; padding: 0 0 0 1; }"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._sides: tuple[Side, Side] | None = None
        self._all = False
        self._keep: Callable[[Facts], bool] | None = None

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, height=2, id="head")
        yield Table(
            present.columns(looks), key=lambda row: str(row.place), natural=lambda row: row.place, look=looks,
            now=self.now, empty="Reading" + looks.ellipsis, id="rows",
        )  # fmt: skip
        yield Card(looks, id="card")

    @property
    def table(self) -> Table[DiffRow]:
        """The rows."""
        return self.query_one("#rows", Table)

    @property
    def crumbs(self) -> list[str]:
        if self._sides is None:
            return ["Runs", "Diff"]
        found = sum(not self.table.rows.at(i).same for i in range(len(self.table.rows)))
        return ["Runs", self._sides[1].run.pipeline_id, f"Diff: {counted(found, 'difference')}"]

    @property
    def run_argument(self) -> str:
        if self._sides is None:
            return ""
        selected = self.table.selected
        run_id = self._sides[1].run.run_id
        return f"{run_id} {selected.task}" if selected is not None and selected.task else run_id

    # ---- reading

    def look(self) -> None:
        """Both runs."""
        argument = self.place.argument
        self.ask("diff", lambda client: sides(client, argument), self._show, about=argument, fail=self._unknown)

    def _unknown(self, sentence: str) -> None:
        self.table.say_empty(sentence)

    def _show(self, found: tuple[Side, Side]) -> None:
        self._sides = found
        now = self.now()
        heads = [present.head(side, sign, self.looks, now) for side, sign in zip(found, "AB", strict=True)]
        self.query_one("#head", Strips).show(heads)
        self.table.replace(present.diff_rows(*found))
        self._filter_rows()

    def _filter_rows(self) -> None:
        keep, whole = self._keep, self._all
        self.table.say_empty("Nothing is different. `a` shows everything." if keep is None else "No row matches.")
        self.table.filter_rows(lambda row: (whole or not row.same) and (keep is None or keep(present.facts(row))))
        self._retell()

    def _retell(self) -> None:
        self.query_one(Card).show(present.card(self.table.selected))
        self.console.show_frame()

    def filter(self, text: str) -> str | None:
        try:
            self._keep = self.parsed(text, present.FIELDS)
        except RequestError as error:
            return str(error)
        self._filter_rows()
        return None

    def escape(self) -> bool:
        if not self.filter_text:
            return False
        self.filter_text = ""
        self.filter("")
        return True

    def copied(self) -> str:
        return self.query_one(Card).text

    def focus_first(self) -> None:
        self.table.focus()

    # ---- events and actions

    def on_table_moved(self, event: Table.Moved) -> None:
        """The card follows."""
        event.stop()
        if self.shown:
            self._retell()

    def on_table_opened(self, event: Table.Opened) -> None:
        """To the newer run, at the task."""
        event.stop()
        if self.run_argument:
            self.go("run", self.run_argument)

    def do_diff_all(self) -> None:
        self._all = not self._all
        self._filter_rows()


def sides(client: Client, argument: str) -> tuple[Side, Side]:
    """The two runs, the older one first. RequestError when there is nothing to compare with."""
    names = argument.split() or ["last"]
    if len(names) > 2:
        raise RequestError("Two runs are compared: `:diff RUN RUN`, or `:diff RUN` with its last success.")
    one = client.run(names[0])
    other = client.run(names[1]) if len(names) == 2 else _before(client, one)
    if one.run_id == other.run_id:
        raise RequestError("These are one and the same run; name another one.")
    older, newer = sorted((one, other), key=lambda run: (run.triggered_at, run.run_id))
    return _side(client, older), _side(client, newer)


def _before(client: Client, run: PipelineRun) -> PipelineRun:
    good = client.queries.last_success(run.pipeline_id, before=run.triggered_at)
    if good is not None:
        return good
    found, _ = client.queries.runs(pipeline_id=run.pipeline_id, limit=_LOOKED_THROUGH)
    earlier = [each for each in found if each.triggered_at < run.triggered_at]
    if not earlier:
        raise RequestError(f"No run of '{run.pipeline_id}' was before this one; name the other: `:diff RUN RUN`.")
    return earlier[0]


def _side(client: Client, run: PipelineRun) -> Side:
    version = client.queries.version(run.pipeline_id, run.version)
    executions = client.queries.executions(run.run_id)
    return Side(run=run, executions=executions, document=version.document if version is not None else {})
