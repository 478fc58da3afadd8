"""Replay: a run that was, played back: states on the graph, slots, and what was being written, in step.

Law: the run is read once and only looked at afterwards; nothing here changes it. What is kept is bounded: so many
changes and so many lines, and it says when there were more. While nothing plays nothing is painted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.app import ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from console.dag.view import DagView
from console.going import split_argument
from console.logtail import LogTail, Read
from console.place import Place
from console.present import replay as present
from console.present.cells import Cell, Line
from console.present.logs import line
from console.present.replay import SPEEDS, Tape
from console.present.rundetail import RunDetail
from console.screens.view import View
from console.theme import Look, style
from console.widgets.logstore import LogStore
from console.widgets.strips import Strips

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

MOST_CHANGES = 50_000
MOST_LINES = 200_000
_FRAME_SECONDS = 0.25
_TENTH = 0.1
_LOG_LINES = (6, 14)  # at 24 rows, and where there is room
_TALL = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is played. `cut`: there was more of it."""

    detail: RunDetail
    tape: Tape
    cut: str


class Timeline(Widget, can_focus=True):
    """How busy the run was over its whole time, and where in it this is."""

    DEFAULT_CSS = "Timeline { height: 1; width: 1fr; }"

    def __init__(self, look: Look) -> None:
        super().__init__(id="timeline")
        self._look = look
        self._tape: Tape | None = None
        self._shown: tuple[str, int] = ("", 0)

    def show(self, tape: Tape) -> None:
        """Painted only when it moved by a cell."""
        fresh = present.timeline(tape, max(1, self.size.width - 2), self._look)
        self._tape = tape
        if fresh == self._shown:
            return
        (before, was), (text, at) = self._shown, fresh
        self._shown = fresh
        if text == before:
            left = min(was, at)
            self.refresh(Region(left + 1, 0, abs(was - at) + 1, 1))
        else:
            self.refresh()

    def on_resize(self) -> None:
        """Other parts of the time."""
        if self._tape is not None:
            self.show(self._tape)

    def render_line(self, y: int) -> Strip:
        """Past, now, future."""
        text, at = self._shown
        here = text[at : at + 1].replace(" ", "|" if self._look.plain else "│")
        parts = [Segment(" "), Segment(text[:at], style("run")), Segment(here, style("", cursor=True))]
        return Strip([*parts, Segment(text[at + 1 :], style("dim"))]).adjust_cell_length(self.size.width)


class ReplayView(View):
    """A run played back."""

    NAME = "replay"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.run_id, _ = split_argument(place.argument)
        self._recording: Recording | None = None
        self._speed = 1.0
        self._timer: Timer | None = None
        self._lines = LogStore()
        self._times = array("d")
        self._tail: LogTail | None = LogTail(self.run_id, None)
        self._lines_cut = False
        self._playing = False

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, id="head")
        yield DagView(looks, id="graph")
        yield Strips(looks, height=2, id="slots")
        yield Timeline(looks)
        yield Strips(looks, id="state")
        yield Strips(looks, height=_LOG_LINES[1], id="written")

    def on_mount(self) -> None:
        """It does not play by itself."""
        self._timer = self.set_interval(_FRAME_SECONDS, self._frame, pause=True)

    def on_resize(self) -> None:
        """Room decides how much of the log is there."""
        self.query_one("#written").styles.height = _LOG_LINES[self.size.height > _TALL]
        self.call_after_refresh(self._retell)

    @property
    def tape(self) -> Tape | None:
        """What is played, once it is read."""
        return self._recording.tape if self._recording is not None else None

    @property
    def playing(self) -> bool:
        """Whether time goes on."""
        return self._playing

    @property
    def crumbs(self) -> list[str]:
        if self._recording is None:
            return ["Runs", self.run_id, "Replay"]
        run = self._recording.detail.run
        return ["Runs", run.pipeline_id, f"{run.logical_date:%Y-%m-%dT%H:%M}", "Replay"]

    @property
    def run_argument(self) -> str:
        current = self.query_one(DagView).current
        return f"{self.run_id} {current}" if current else self.run_id

    def focus_first(self) -> None:
        self.query_one(Timeline).focus()

    # ---- reading

    def look(self) -> None:
        """The run, once; asked again it is read anew and stays where it was."""
        self.ask("recording", lambda client: record(client, self.run_id), self._show, about=self.run_id)

    def _show(self, recording: Recording) -> None:
        before = self.tape
        self._recording = recording
        tape, detail = recording.tape, recording.detail
        if before is None:
            self._speed = tape.speed()
            self._read()
        else:
            tape.wind(before.now)
        self.query_one(DagView).show(detail.graph, tape.overlays(), detail.critical)
        self._retell()
        self.console.show_frame()

    def _read(self) -> None:
        if self._tail is not None:
            self.ask("log", self._tail.more, self._took)

    def _took(self, read: Read) -> None:
        self._lines.add(read.records)
        self._times.extend(each.at for each in read.records)
        self._lines_cut = len(self._times) >= MOST_LINES and not read.whole
        if read.whole or self._lines_cut:
            self._tail = None
        self._read()
        self._retell()

    # ---- showing

    def vanish(self) -> None:
        self._pause()
        super().vanish()

    def tick(self, now: datetime) -> None:
        """Real time means nothing here."""

    def _retell(self) -> None:
        tape = self.tape
        if tape is None:
            return
        looks = self.looks
        self.query_one("#head", Strips).show([present.head(tape, looks)])
        self.query_one(DagView).set_states(tape.overlays())
        self.query_one("#slots", Strips).show([present.slots(tape, looks), present.happened(tape, looks)])
        self.query_one(Timeline).show(tape)
        self.query_one("#state", Strips).show([self._state(tape)])
        self.query_one("#written", Strips).show(self._written(tape))

    def _state(self, tape: Tape) -> list[Cell]:
        word, tone = (
            ("plays", "ok") if self._playing else ("at its end", "dim") if tape.at_end else ("paused", "warn")
        )
        said = [Cell(" "), Cell(word, tone), Cell(f" at {self._speed:g}x", "dim")]
        cut = self._recording.cut if self._recording is not None else ""
        if self._lines_cut:
            cut = f"{cut} Only the first {MOST_LINES:,} lines of the log.".strip()
        return [*said, Cell(f"   {cut}", "warn")] if cut else said

    def _written(self, tape: Tape) -> list[Line]:
        """The last lines that had been written by then."""
        strips = self.query_one("#written", Strips)
        room = max(1, strips.size.height)
        end = bisect_right(self._times, tape.now)
        return [
            [Cell(" "), *line(self._lines.at(i), named=True, times="absolute", first=tape.start)]
            for i in range(max(0, end - room), end)
        ]

    # ---- time

    def _frame(self) -> None:
        tape = self.tape
        if tape is None or not self._playing or not self.shown:
            return
        tape.wind(tape.now + _FRAME_SECONDS * self._speed)
        if tape.at_end:
            self._pause()
        self._retell()

    def _pause(self) -> None:
        self._playing = False
        if self._timer is not None:
            self._timer.pause()

    def _wind(self, at: float) -> None:
        if self.tape is not None:
            self.tape.wind(at)
            self._retell()

    # ---- actions of console.actions.replay

    def do_replay_play(self) -> None:
        tape = self.tape
        if tape is None or self._timer is None:
            return
        if self._playing:
            self._pause()
        else:
            if tape.at_end:
                tape.wind(tape.start)
            self._playing = True
            self._timer.resume()
        self._retell()

    def do_replay_forward(self) -> None:
        self._step(1)

    def do_replay_backward(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        if self.tape is not None:
            self._pause()
            self.tape.step(by)
            self._retell()

    def do_replay_leap_forward(self) -> None:
        if self.tape is not None:
            self._wind(self.tape.now + _TENTH * (self.tape.end - self.tape.start))

    def do_replay_leap_backward(self) -> None:
        if self.tape is not None:
            self._wind(self.tape.now - _TENTH * (self.tape.end - self.tape.start))

    def do_replay_first(self) -> None:
        if self.tape is not None:
            self._wind(self.tape.start)

    def do_replay_last(self) -> None:
        if self.tape is not None:
            self._pause()
            self._wind(self.tape.end)

    def do_replay_faster(self) -> None:
        self._set_speed(1)

    def do_replay_slower(self) -> None:
        self._set_speed(-1)

    def _set_speed(self, by: int) -> None:
        self._speed = SPEEDS[max(0, min(len(SPEEDS) - 1, SPEEDS.index(self._speed) + by))]
        self._retell()

    def do_replay_open(self) -> None:
        self.go("run", self.run_argument)


def record(client: Client, run_id: str) -> Recording:
    """A run with all that happened to it, up to a limit."""
    queries = client.queries
    run = queries.resolve_run(run_id)
    moves = queries.transitions(run_id, limit=MOST_CHANGES + 1)
    executions = queries.executions(run_id, history=True)
    detail = RunDetail(
        run=run,
        executions=executions,
        verdicts={},
        attempts=(),
        pipeline=client.pinned(run),
        medians=queries.task_seconds(run.pipeline_id),
    )
    cut = f"Only the first {MOST_CHANGES:,} changes." if len(moves) > MOST_CHANGES else ""
    return Recording(detail=detail.ready(), tape=Tape(run, executions, moves[:MOST_CHANGES]), cut=cut)
