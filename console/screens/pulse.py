"""Pulse, where the console begins: what runs, what failed since somebody last looked, what is late, what comes.

Law: the state is read in one go, at most once a second; Enter leads to whatever a row is about. Looking counts as
having looked when the console closes, or when somebody says so, never merely because the view was in the way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from console import screens
from console.present.cells import Cell, Line, cell, labelled
from console.present.pulse import HOURS, Fire, Going, Pulse, Row, columns, fires_of, first, rows, summary
from console.present.times import ago, stamp
from console.screens.explaining import explain, explained
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.circuits import left_alone
from engine.model.run import PipelineRun, RunState

if TYPE_CHECKING:
    from console.app import Console
    from console.messages import Batch
    from console.place import Place
    from console.state import State
    from engine.client import Client
    from engine.client.machine import PoolUse
    from engine.client.values import Explanation, PipelineStatistics

_AGAIN_SECONDS = 1.0  # between two readings, however much happens
_QUIET_SECONDS = 30.0  # time moves what is late and what comes next, even when nothing happens
_PLANS_SECONDS = 10.0  # schedules are counted anew so often, and when something of theirs happened
_USUAL_SECONDS = 60.0  # how long durations of the past are remembered
_CALM_TICKS = 5  # seconds after which rows are made anew where nothing runs
_ACTIVE, _FAILED, _LETTERS, _HELD = 100, 200, 100, 200
_DAY = timedelta(hours=24)


class PulseView(SplitView):
    """The workspace at a glance."""

    NAME = "pulse"
    CARD = 54
    ALONE = False  # Enter leads to all that the card tells
    DEFAULT_CSS = """
    PulseView #sums { padding: 0 0; }
    PulseView #rows { width: 1fr; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.pulse: Pulse | None = None
        self._since: datetime | None = None  # when somebody last looked
        self._before: datetime | None = None  # what that was before it was moved
        self._fires: Sequence[Fire] = ()
        self._pools: Sequence[PoolUse] = ()
        self._shown: list[Row] = []
        self._usual: dict[str, tuple[float, PipelineStatistics]] = {}
        self._read_at = float("-inf")
        self._plans_at = float("-inf")
        self._behind = False  # something happened since the last reading
        self._told: dict[str, Sequence[Line]] = {}
        self._ticks = 0

    def compose(self) -> ComposeResult:
        yield Strips(self.looks, id="sums")
        with Horizontal(id="body"):
            yield Table(
                columns(self.looks),
                key=lambda row: row.id,
                natural=lambda row: row.rank,
                look=self.looks,
                now=self.now,
                empty="Reading" + self.looks.ellipsis,
                header=False,
                id="rows",
            )
            yield Divider(self.looks)
            yield Card(self.looks)

    def on_resize(self) -> None:
        """As much as there is room for."""
        if self.pulse is not None:
            self._sum_up(self.pulse)
            self._tell()

    def on_unmount(self) -> None:
        """The console closes: what was shown has been looked at."""
        if self.pulse is not None and self.session.closing.is_set():
            self._remember(self.now())

    @property
    def table(self) -> Table[Row]:
        """The rows."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        return ["Pulse"]

    @property
    def run_argument(self) -> str:
        row = self.table.selected
        return f"{row.run_id} {row.task}".strip() if row is not None and row.run_id else ""

    @property
    def pipeline_argument(self) -> str:
        row = self.table.selected
        if row is None:
            return ""
        named = row.kind in ("failed", "active", "late")
        return row.argument if row.view == "pipeline" else row.name.text if named else ""

    # ---- reading

    def look(self) -> None:
        """All of it."""
        self._read_at, self._behind = time.monotonic(), False
        self.ask("pulse", self._read, self._show)
        if self.pulse is not None:  # the first time what runs and what failed is all that is asked for
            self._look_further()

    def _look_further(self) -> None:
        """What takes longer to read than the state."""
        if time.monotonic() - self._plans_at >= _PLANS_SECONDS:
            self._plans_at = time.monotonic()
            self.ask("plans", read_fires, self._plan)
        self.ask("pools", lambda client: client.machine.pools(), self._pool)

    def take(self, batch: Batch) -> None:
        self._told.clear()
        if batch.lost or any(each.type.startswith("schedule.") for each in batch.events):
            self._plans_at = float("-inf")
        if time.monotonic() - self._read_at >= _AGAIN_SECONDS:
            self.look()
        else:
            self._behind = True

    def vitals(self, state: State) -> None:
        """Who leads may have changed, and with it why something waits."""
        self._told.clear()

    def tick(self, now: datetime) -> None:
        waited = time.monotonic() - self._read_at
        if (self._behind and waited >= _AGAIN_SECONDS) or waited >= _QUIET_SECONDS:
            self.look()
        elif self.pulse is not None:
            self._ticks += 1
            if self.pulse.active or not self._ticks % _CALM_TICKS:  # without runs only what is late moves by itself
                self._put(self.pulse)
            self.table.tick()

    def _read(self, client: Client) -> tuple[Pulse, datetime]:
        now = client.clock.now()
        since = self._since or self.session.memory.looked(self._workspace) or now - _DAY
        return read(client, since, self._usual), since

    def _show(self, answer: tuple[Pulse, datetime]) -> None:
        known, (pulse, self._since) = self.pulse, answer
        pulse = replace(pulse, fires=self._fires, pools=self._pools)
        self._sum_up(pulse)
        self.table.say_empty("Nothing runs and nothing failed. `:pipelines` shows what there is to start.")
        self._put(pulse)
        start = first(self._shown)
        if known is None and start is not None:
            self.table.select(start.id)
        self._tell()
        self.console.show_frame()
        if known is None:
            self._look_further()

    def _plan(self, fires: Sequence[Fire]) -> None:
        """Definitions take longer to read than the state; they come when they come."""
        self._fires = fires
        if self.pulse is not None:
            self._put(replace(self.pulse, fires=fires))

    def _pool(self, pools: Sequence[PoolUse]) -> None:
        self._pools = pools
        if self.pulse is not None:
            self._put(replace(self.pulse, pools=pools))

    def _put(self, pulse: Pulse) -> None:
        self.pulse = pulse
        made = rows(pulse, self.now(), self.looks)
        if made == self._shown:
            return
        gone = {row.id for row in self._shown} - {row.id for row in made}
        for row in set(self._shown) - set(made):  # what the card said of it is no longer so
            if not row.run_id:
                self._told.pop(row.id, None)
        self._shown = made
        self.table.take_away(gone)
        self.table.put(made)
        chosen = self.table.selected
        if chosen is not None and chosen.kind == "circuit" and chosen.id not in self._told:
            self._tell()

    def _sum_up(self, pulse: Pulse) -> None:
        self.query_one("#sums", Strips).show(summary(pulse, self.looks, self.size.width))

    # ---- the card beside: the reason, before anybody asks

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another row is told."""
        event.stop()
        self._tell()
        if self.shown:
            self.console.show_frame()

    def _tell(self) -> None:
        row = self.table.selected
        if not self.wide or row is None:
            return
        known = self._told.get(row.id)
        if known is not None:
            self.query_one(Card).show(known)
        elif row.run_id:
            self._ask_why(row)
        else:
            self._told[row.id] = lines = self._facts(row)
            self.query_one(Card).show(lines)

    def _ask_why(self, row: Row) -> None:
        leader = self.console.state.leader

        def why(client: Client) -> Explanation:
            return client.why(row.run_id, row.task or None, leader=leader)

        def told(found: Explanation) -> None:
            lines: list[Line] = [[cell(row.run_id, "dim")], *explained(found, self)]
            self._told[row.id] = lines
            selected = self.table.selected
            if selected is not None and selected.id == row.id:
                self.query_one(Card).show(lines)

        self.ask("told", why, told, about=row.id, fail=lambda sentence: None)

    def _facts(self, row: Row) -> list[Line]:
        what = [row.what] if isinstance(row.what, Cell) else [*row.what]
        lines: list[Line] = [[row.name], [], what]
        if row.at is not None:
            lines.append(labelled("at", f"{stamp(row.at)} ({ago(row.at, self.now())})"))
        leads = screens.entry(row.view)
        if leads is not None:
            lines += [[], [Cell("Enter  ", "key"), Cell(f"opens {leads.title}".rstrip())]]
        return lines

    # ---- what is done

    def on_table_opened(self, event: Table.Opened) -> None:
        """To what the row is about."""
        event.stop()
        row = self.table.selected
        if row is None:
            return
        if screens.entry(row.view) is not None:
            self.go(row.view, row.argument)
        elif row.run_id:
            self.go("run", f"{row.run_id} {row.task}".strip())
        else:
            self.go("runs")

    def copied(self) -> str:
        return self.run_argument

    def do_run_why(self) -> None:
        row = self.table.selected
        if row is None or not row.run_id:
            self.console.say("Select something that runs, waits or failed; w then says why.")
            return
        explain(self, row.run_id, row.task or None)

    def do_run_logs(self) -> None:
        if self.run_argument:
            self.go("logs", self.run_argument)

    def do_pulse_seen(self) -> None:
        """Once: everything is seen; again: it is not."""
        if self.pulse is None or self._since is None:
            return
        if self._before is not None:
            self._since, self._before = self._before, None
            self.console.say("What failed is new again.")
        else:
            self._before, self._since = self._since, self.now()
            self.console.say("Everything up to now counts as seen.", "ok")
        since = self._since
        self.ask("remember", lambda client: self._remember(since), lambda nothing: self.look())

    @property
    def _workspace(self) -> str:
        return f"{self.session.root}:{self.session.profile or ''}"

    def _remember(self, at: datetime) -> None:
        self.session.memory.look(self._workspace, at)


def read(client: Client, since: datetime, known: dict[str, tuple[float, PipelineStatistics]]) -> Pulse:
    """What the state says; durations of the past are remembered in `known`."""
    queries, now = client.queries, client.clock.now()
    active = queries.runs(active=True, limit=_ACTIVE)[0]
    failed = queries.runs(state=RunState.FAILED, limit=_FAILED)[0]
    start = min(since, now - _DAY)
    begin = (now - _DAY).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return Pulse(
        since=since,
        active=_going(client, active, known),
        failed=[run for run in failed if (run.completed_at or run.triggered_at) > start],
        letters=queries.letters(limit=_LETTERS)[0],
        queues={queue: count for queue, count in queries.counts().letters.items() if count},
        held=queries.queued(_HELD),
        circuits=left_alone(client),
        ended=queries.activity(begin, 3_600, HOURS),
    )


def read_fires(client: Client) -> list[Fire]:
    """What comes, and what the engine remembers to be due."""
    states = [each for each in client.queries.schedules() if each.profile == client.profile]
    return fires_of(client.schedules()["schedules"], {each.pipeline_id: each.next_fire for each in states})


def _going(
    client: Client, active: Sequence[PipelineRun], known: dict[str, tuple[float, PipelineStatistics]]
) -> list[Going]:
    progress = client.queries.progress([run.run_id for run in active])
    found = []
    for run in sorted(active, key=lambda each: (each.state is RunState.PENDING, each.triggered_at)):
        usual = _statistics(client, run.pipeline_id, known)
        tasks = progress.get(run.run_id, {})
        found.append(Going(run=run, tasks=tasks, usual=usual.median_seconds, slow=usual.p95_seconds))
    return found


def _statistics(
    client: Client, pipeline_id: str, known: dict[str, tuple[float, PipelineStatistics]]
) -> PipelineStatistics:
    at, found = known.get(pipeline_id, (float("-inf"), None))
    if found is None or time.monotonic() - at > _USUAL_SECONDS:
        found = client.queries.statistics(pipeline_id)
        known[pipeline_id] = (time.monotonic(), found)
    return found
