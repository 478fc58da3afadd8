"""The log below a run: what the task under the cursor writes, from the end of its newest attempt on.

Law: the view says what the cursor is on and what was read of the run; this reads logs only, and only while it is
seen. What stands in its line is about the lines that stand under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from console.logtail import Read, TaskTail
from console.present.cells import Cell, cell
from console.present.logs import LEVELS
from console.present.rundetail import RunDetail
from console.screens.following import Following
from console.widgets.divider import Rail, Sill
from console.widgets.log import LogView
from console.widgets.logstore import LogRecord, LogStore
from engine.model.run import Attempt

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.screens.split import SplitView

TALL = 36  # rows of a terminal that has room for it
_LEAST = 4  # rows of it
_ABOVE = 16  # rows of the terminal that stay for the rest
_STEP = 2  # rows by a key
_SETTLED_SECONDS = 0.15  # that the cursor stays on a task
_MOST_LINES = 20_000  # kept of what is followed
_KEPT_LINES = 1_000


class LogBelow(Vertical):
    """A line with the task in it, and its log."""

    KIND = "@logbelow"
    DEFAULT_CSS = "LogBelow { width: 1fr; }"

    def __init__(self, view: SplitView, run_id: str) -> None:
        super().__init__(id="below")
        self.display = False
        self._view = view
        self._run_id = run_id
        self._key = f"{view.NAME}.log"
        self._sill = Sill(view.looks)
        self.log_view = LogView(view.looks)
        self._following = Following(view, self.log_view, self._took, lambda: bool(self.display))
        self._tail: TaskTail | None = None
        self._detail: RunDetail | None = None
        self._attempts: list[Attempt] = []
        self._wanted: str | None = None  # what the cursor is on
        self._turned: str | None = None  # what is being read
        self._named: str | None = None  # what the lines are of
        self._fresh = False  # nothing of it was read yet
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._sill
        yield self.log_view

    # ---- room

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self._view.wide and self._view.console.size.height >= TALL

    def make_room(self) -> None:
        """As there is room, and as it is wanted."""
        session, height = self._view.session, self._view.console.size.height
        shown = self.fits and self._key not in session.closed
        rows = session.splits.get(self._key, height // 3)
        self.styles.height = self._within(rows)
        if shown != self.display:
            focused = self.has_focus_within
            self.display = shown
            if focused:
                self._view.focus_first()
            self.wake()

    def _within(self, rows: int) -> int:
        return max(_LEAST, min(self._view.console.size.height - _ABOVE, rows))

    def toggle(self) -> bool:
        """Open or closed, and so the next time; False where there is no room."""
        if not self.fits:
            return False
        session = self._view.session
        session.closed.symmetric_difference_update({self._key})
        memory, closed = session.memory, set(session.closed)
        self._view.ask("closed", lambda client: memory.keep_closed(closed), lambda nothing: None)
        self.make_room()
        return True

    def resize(self, *, higher: bool) -> bool:
        """By a few rows; False where it is not there."""
        if self.display:
            self._move(self._within(self.size.height + (_STEP if higher else -_STEP)), keep=True)
        return bool(self.display)

    def on_rail_dragged(self, event: Rail.Dragged) -> None:
        """The line follows the mouse."""
        event.stop()
        self._move(self.region.bottom - event.row, keep=event.done)

    def _move(self, rows: int, *, keep: bool) -> None:
        self._view.session.splits[self._key] = self._within(rows)
        self.make_room()
        if keep:
            self._view.keep_splits()

    # ---- what it is about

    def point(self, name: str | None, *, at_once: bool = False) -> None:
        """The cursor is on a task, or on an item of one."""
        if name == self._wanted:
            return
        self._wanted = name
        if self._timer is not None:
            self._timer.stop()
        self._timer = None if at_once else self.set_timer(_SETTLED_SECONDS, self._settle)
        if at_once:
            self.wake()

    def _settle(self) -> None:
        self._timer = None
        if self._wanted != self._turned:
            self.wake()

    def learn(self, detail: RunDetail) -> None:
        """The run as it is now."""
        self._detail = detail
        if self._tail is None or self._turned is None:
            self.wake()
        elif self._seen:
            before, self._attempts = self._attempts, detail.newest(self._turned)
            if self.log_view.following and _begun_anew(before, self._attempts):
                self.wake()
            elif self._tail.note(self._attempts):
                self._following.read()

    @property
    def _seen(self) -> bool:
        return bool(self.display) and self._view.shown

    @property
    def settled(self) -> bool:
        """Whether it is about what the cursor is on."""
        return self._timer is None

    def wake(self) -> None:
        """Somebody looks, or at something else: its end, read anew."""
        if self._detail is None or self._wanted is None or not self._seen:
            return
        self._turned, self._fresh = self._wanted, True
        self._tail, self._attempts = TaskTail(), self._detail.newest(self._turned)
        self._tail.note(self._attempts)
        self._following.turn(self._tail)
        if self._attempts:
            self._following.read()
        else:
            self._took(Read(records=[], whole=True, ended=True))

    def _took(self, read: Read) -> None:
        log = self.log_view
        log.named = len(self._attempts) > 1
        if self._fresh:
            self._fresh, self._named = False, self._turned
            self._begin(read.records)
        elif log.following and not read.whole:  # faster than anybody reads
            self.wake()
            return
        else:
            log.add(read.records)
            if log.following and len(log.store) > _MOST_LINES:
                self._begin([log.store.at(i) for i in range(len(log.store) - _KEPT_LINES, len(log.store))])
        nothing = "Nothing was written" + ("." if read.ended else " yet.")
        log.say_empty(nothing if self._attempts else "It was not tried.")
        self._tell()

    def _begin(self, records: list[LogRecord]) -> None:
        store = LogStore()
        store.add(records)
        self.log_view.swap(store, another=True)

    # ---- what is said about it

    def _tell(self) -> None:
        """In the line above; not while the lines are still those of another task."""
        if self._fresh:
            return
        log, dot = self.log_view, Cell(f" {self._view.looks.dot} ", "dim")
        said = [Cell("log of ", "dim"), cell(self._named or "", "strong")]
        if len(self._attempts) == 1:
            last = self._attempts[0].number
            first = log.store.at(0).attempt if len(log.store) else last
            said += [dot, Cell(f"attempt {last}" if first == last else f"attempts {first} to {last}")]
        elif self._attempts:
            said += [dot, Cell(f"the {len(self._attempts)} newest items")]
        if self._attempts:
            said += [dot, self._following.word]
        if log.level:
            said += [dot, Cell(LEVELS[log.level], "warn")]
        if log.pattern is not None:
            said += [dot, Cell("/", "key"), cell(log.pattern.text)]
        self._sill.show(said, lit=self.has_focus_within)

    def on_log_view_changed(self, event: LogView.Changed) -> None:
        """Say it."""
        event.stop()
        self._tell()

    def on_descendant_focus(self) -> None:
        """Keys go here."""
        self._tell()

    def on_descendant_blur(self) -> None:
        """Keys go elsewhere."""
        self._tell()

    # ---- what is done with it

    @property
    def copied(self) -> str:
        """What is on the screen of it, while keys go here."""
        return self._following.on_screen() if self.has_focus_within else ""

    def escape(self) -> bool:
        """Esc: its search goes, then the focus; False when the focus is not here."""
        if not self.has_focus_within:
            return False
        if not self._following.forget():
            self._view.focus_first()
        return True

    def on_log_view_search_asked(self, event: LogView.SearchAsked) -> None:
        """Ask what for."""
        event.stop()
        self._following.search()

    def do_logbelow_open(self) -> None:
        self._view.go("logs", f"{self._run_id} {self._named}" if self._named else self._run_id)


def _begun_anew(before: list[Attempt], after: list[Attempt]) -> bool:
    """Whether somebody had a task done again; an attempt that follows a failed one comes below it instead."""
    return len(before) == len(after) == 1 and before[0].execution_id != after[0].execution_id
