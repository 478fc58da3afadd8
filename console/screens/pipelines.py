"""Pipelines: what the workspace defines, how each fares, and what is wrong with those that do not load.

Law: the table is there as soon as the definitions are; numbers of the past are read pipeline by pipeline only for
those that something happened to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.messages import Batch
from console.place import Place
from console.present.cells import Line
from console.present.filters import Facts
from console.present.pipelines import (
    FIELDS,
    PipelineDetail,
    PipelineRow,
    card,
    columns,
    facts,
    natural,
)
from console.screens import defining
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.table import Table
from engine.client.values import PipelineReport, PipelineStatistics
from engine.model.errors import RequestError
from engine.model.pipeline import Pipeline
from engine.model.run import PipelineRun

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_AGAIN_SECONDS = 1.0
_FIRES = 3


class PipelinesView(SplitView):
    """The table of pipelines."""

    NAME = "pipelines"
    FILTER_HINT = "text, /regex/, state:failed, owner:ana, tag:nightly, is:broken, is:paused"
    CARD = 54

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._begun = False
        self._told: dict[str, Sequence[Line]] = {}
        self._changed: set[str] = set()
        self._read_at = float("-inf")

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield Table(
                columns(self.looks),
                key=lambda row: row.key,
                natural=natural,
                look=self.looks,
                now=self.now,
                empty="Reading definitions" + self.looks.ellipsis,
            )
            yield Divider(self.looks)
            yield Card(self.looks)

    @property
    def table(self) -> Table[PipelineRow]:
        """The table."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        if not self._begun:
            return ["Pipelines"]
        rows = self.table.rows
        found = f"{len(rows):,}" if len(rows) == rows.total else f"{len(rows):,} of {rows.total:,}"
        marked = f", {len(rows.marked):,} marked" if rows.marked else ""
        return [f"Pipelines {found}{marked}"]

    @property
    def run_argument(self) -> str:
        row = self.table.selected
        return f"last:{row.id}" if row is not None and row.states else ""

    @property
    def pipeline_argument(self) -> str:
        row = self.table.selected
        return row.id if row is not None else ""

    # ---- reading

    def look(self) -> None:
        """Every definition, and how each fares."""
        self._read_at = time.monotonic()
        self._changed.clear()
        self.ask("pipelines", read_rows, self._show)

    def take(self, batch: Batch) -> None:
        if batch.lost or any(each.type.startswith(("schedule.", "definition")) for each in batch.events):
            self._changed.add("")
        self._changed |= {each.pipeline_id for each in batch.events if each.pipeline_id is not None}
        self._catch_up()

    def tick(self, now: datetime) -> None:
        self._catch_up()
        self.table.tick()

    def _catch_up(self) -> None:
        if not self._changed or time.monotonic() - self._read_at < _AGAIN_SECONDS:
            return
        if "" in self._changed:
            self.look()
            return
        self._read_at = time.monotonic()
        wanted, self._changed = frozenset(self._changed), set()
        self.ask("some", lambda client: read_rows(client, wanted), self._put, about=wanted)

    def _show(self, rows: list[PipelineRow]) -> None:
        self._begun = True
        self._told.clear()
        self.table.say_empty("No pipelines yet. Put a definition into pipelines/, then press Ctrl+R.")
        self.table.take_away([row.key for row in self._all() if row.key not in {each.key for each in rows}])
        self.table.put(rows)
        self._tell()
        self.console.show_frame()

    def _put(self, rows: list[PipelineRow]) -> None:
        for row in rows:
            self._told.pop(row.key, None)
        self.table.put(rows)
        self._tell()

    def _all(self) -> list[PipelineRow]:
        rows = self.table.rows
        return [rows.at(line) for line in range(len(rows))]

    # ---- the card

    def make_room(self) -> None:
        super().make_room()
        self._tell()

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another pipeline is told."""
        event.stop()
        self._tell()
        if self.shown:
            self.console.show_frame()

    def _tell(self) -> None:
        row, there = self.table.selected, self.query_one(Card)
        if row is None or not there.display:
            return
        known = self._told.get(row.key)
        if known is not None:
            there.show(known)
            return

        def told(detail: PipelineDetail) -> None:
            self._told[row.key] = card(detail, self.now(), self.looks)
            if self.table.selected == row:
                there.show(self._told[row.key])

        self.ask("detail", lambda client: read_detail(client, row), told, about=row.key)

    # ---- what is shown

    def filter(self, text: str) -> str | None:
        try:
            keep: Callable[[Facts], bool] | None = self.parsed(text, FIELDS)
        except RequestError as error:
            return str(error)
        shown = None if keep is None else lambda row: keep(facts(row))
        self.table.filter_rows(shown, unmatched="No pipeline matches. Esc takes the filter away.")
        return None

    def copied(self) -> str:
        there = self.query_one(Card)
        return there.text if not self.table.display else "\n".join(row.id for row in self.table.chosen)

    def on_table_opened(self, event: Table.Opened) -> None:
        """Into the pipeline."""
        event.stop()
        row = self.table.selected
        if row is not None:
            self.go("pipeline", row.id)

    # ---- actions

    def do_pipeline_trigger(self) -> None:
        chosen = self.table.chosen
        if len(chosen) == 1:
            defining.trigger(self, chosen[0])
        else:
            self.console.say(
                "Trigger one at a time: each has its own parameters." if chosen else "Nothing selected."
            )

    def do_pipeline_pause(self) -> None:
        defining.pause(self, self.table.chosen)

    def do_pipeline_edit(self) -> None:
        if self.table.selected is not None:
            defining.edit(self, self.table.selected)

    def do_pipeline_validate(self) -> None:
        defining.validate(self, self.table.chosen)

    def do_pipeline_graph(self) -> None:
        if self.table.selected is not None:
            self.go("pipeline", f"{self.table.selected.id} graph")

    def do_pipeline_runs(self) -> None:
        if self.table.selected is not None:
            self.go("runs", f"pipeline:{self.table.selected.id}")

    def do_pipeline_details(self) -> None:
        self.toggle_details()


# ---- questions


def read_rows(client: Client, wanted: frozenset[str] | None = None) -> list[PipelineRow]:
    """All pipelines after a look at their files, or some of them as they were read last."""
    if wanted is None:
        client.catalog.refresh()
    usable = set(client.catalog.ids())
    scheduled = {each["pipeline_id"]: each for each in client.schedules()["schedules"]}
    return [
        _row(client, report, _definition(client, report, usable), scheduled.get(report.id or "", {}))
        for report in _reports(client.catalog.reports())
        if wanted is None or report.id in wanted
    ]


def _reports(reports: Iterable[PipelineReport]) -> list[PipelineReport]:
    """Every pipeline, and files that should hold one."""
    return [each for each in reports if each.id is not None or each.errors]


def _definition(client: Client, report: PipelineReport, usable: set[str]) -> Pipeline | None:
    if report.pipeline is not None:
        return report.pipeline
    return client.catalog.get(report.id) if report.id in usable and report.id is not None else None


def _row(
    client: Client, report: PipelineReport, pipeline: Pipeline | None, schedule: Mapping[str, Any]
) -> PipelineRow:
    name = report.id or report.file
    past = client.queries.statistics(name) if report.id is not None else _NOTHING
    last = _last(client, name) if past.runs else None
    paused = f"by {schedule['paused_by']}: {schedule['pause_reason']}" if schedule.get("paused") else ""
    fires = schedule.get("next_fire")
    return PipelineRow(
        id=name,
        name=pipeline.name if pipeline is not None else name,
        file=report.file,
        states=tuple(past.last_states),
        last_at=last.triggered_at if last is not None else None,
        cron=schedule.get("cron", ""),
        timezone=schedule.get("timezone", ""),
        next_fire=datetime.fromisoformat(fires) if fires else None,
        paused=paused,
        enabled=schedule.get("enabled", True),
        rate=past.success_rate,
        median=past.median_seconds,
        p95=past.p95_seconds,
        trend=past.trend,
        owner=pipeline.owner if pipeline is not None else "",
        tags=tuple(pipeline.tags) if pipeline is not None else (),
        version=last.version if last is not None else None,
        tasks=len(pipeline.tasks) if pipeline is not None else 0,
        errors=tuple(report.errors),
        warnings=tuple(report.warnings),
    )


_NOTHING = PipelineStatistics(runs=0, success_rate=None, median_seconds=None, p95_seconds=None, last_states=())


def _last(client: Client, pipeline_id: str) -> PipelineRun | None:
    found, _ = client.queries.runs(pipeline_id=pipeline_id, limit=1)
    return found[0] if found else None


def read_detail(client: Client, row: PipelineRow) -> PipelineDetail:
    """What is read for one pipeline alone."""
    usable = row.id in client.catalog.ids()
    last = _last(client, row.id)
    return PipelineDetail(
        row=row,
        pipeline=client.catalog.get(row.id) if usable else None,
        statistics=client.queries.statistics(row.id),
        fires=client.next_fires(row.id, _FIRES)["fires"] if usable and row.cron and row.enabled else (),
        versions=client.queries.versions(row.id),
        last=last,
        executions=client.queries.executions(last.run_id) if last is not None else (),
    )
