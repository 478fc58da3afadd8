"""Logs of a run, merged by time, or of one task: the end first, then all of it, then what is written.

Law: reading goes on in a thread and is asked for again only after the last answer; a hidden view reads nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.timer import Timer

from console.going import split_argument
from console.logtail import LogTail, Read
from console.messages import Batch
from console.place import Place
from console.present.cells import Cell, cell
from console.present.logs import line
from console.present.times import counted
from console.screens.view import View
from console.widgets.log import LogView
from console.widgets.logstore import LogRecord, LogStore
from console.widgets.strips import Strips

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_POLL_SECONDS = 0.3
_SHOWN_LEVELS = ("all levels", "warnings and errors", "errors")


class LogsView(View):
    """The log."""

    NAME = "logs"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.run_id, self.task_name = split_argument(place.argument)
        self._tail = LogTail(self.run_id, self.task_name)
        self._reading: LogStore | None = LogStore()  # everything from the start, until it has caught up
        self._ended = False
        self._timer: Timer | None = None
        self._pipeline = ""
        self._searched = ""

    def compose(self) -> ComposeResult:
        yield LogView(self.looks, empty="Reading" + self.looks.ellipsis)
        yield Strips(self.looks, id="status")

    def on_mount(self) -> None:
        """Lines of several tasks carry their names."""
        self.log_view.named = self.task_name is None

    @property
    def log_view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    @property
    def crumbs(self) -> list[str]:
        return ["Runs", self._pipeline or self.run_id, self.task_name or "all tasks", "Logs"]

    @property
    def run_argument(self) -> str:
        return self.place.argument

    # ---- reading

    def look(self) -> None:
        """The end at once; then everything."""
        if self._reading is None:
            self._read()
            return
        self.ask("end", lambda client: (client.run(self.run_id).pipeline_id, self._tail.end(client)), self._end)

    def _end(self, found: tuple[str, list[LogRecord]]) -> None:
        self._pipeline, records = found
        if self._reading is not None and not len(self.log_view.store):
            self.log_view.add(records)
        self.console.show_frame()
        self._read()

    def _read(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.shown:
            into = self._reading
            self.ask("read", lambda client: self._tail.more(client, into), self._took)
        else:
            self.stale = True

    def _took(self, read: Read) -> None:
        if self._reading is not None:
            if read.whole:
                self.log_view.swap(self._reading)
                self._reading = None
        else:
            self.log_view.add(read.records)
        self._ended = read.ended
        if read.whole:
            self.log_view.say_empty("Nothing was written." if read.ended else "Nothing was written yet.")
        if not read.whole:
            self._read()
        elif not read.ended:
            self._timer = self.set_timer(_POLL_SECONDS, self._read)
        self._status()

    def take(self, batch: Batch) -> None:
        """A run that was opened again writes again."""
        if self._ended and batch.concerns(self.run_id):
            self._read()

    # ---- what is said about it

    def _status(self) -> None:
        log = self.log_view
        parts = [counted(len(log), "line")]
        if len(log) != len(log.store):
            parts[0] += f" of {len(log.store):,}"
        if self._reading is not None:
            parts.append(f"reading, {len(self._reading):,} so far")
        parts.append(_SHOWN_LEVELS[log.level])
        parts.append("all attempts" if log.attempt is None else f"attempt {log.attempt}")
        parts.append("wrapped" if log.wraps else "cut")
        state = "ended" if self._ended and log.following else "following" if log.following else "not following"
        said: list[Cell] = [Cell(" "), Cell(state, "ok" if log.following else "")]
        for part in parts:
            said += [Cell(f" {self.looks.dot} ", "dim"), Cell(part, "dim")]
        if log.pattern is not None:
            said += [Cell(f" {self.looks.dot} /", "key"), cell(log.pattern.text)]
        self.query_one("#status", Strips).show([said])

    def on_log_view_changed(self, event: LogView.Changed) -> None:
        """Say it."""
        event.stop()
        self._status()

    # ---- actions

    def on_log_view_search_asked(self, event: LogView.SearchAsked) -> None:
        """Ask what for."""
        event.stop()

        def entered(text: str) -> str | None:
            if not text:
                self.log_view.pattern = None
                self.log_view.refresh()
                return None
            self._searched = text
            return self.log_view.search(text)

        self.console.goer.open(
            "search /", entered, text=self._searched, hint="text, or /regular expression/; n and N go on"
        )

    def do_log_attempt(self) -> None:
        """The next attempt, after the last one all."""
        known: list[int | None] = [None, *self.log_view.store.attempts()]
        log = self.log_view
        log.attempt = known[(known.index(log.attempt) + 1) % len(known)] if log.attempt in known else None
        log.refilter()

    def do_log_save(self) -> None:
        """Into a file of the current folder, sanitised."""
        store, named = self.log_view.store, self.log_view.named
        path = Path.cwd() / f"{self.run_id}{'.' + self.task_name if self.task_name else ''}.log".replace("/", "_")

        def save(client: Client) -> int:
            with path.open("w", encoding="utf-8", errors="replace") as file:
                for record in store:
                    cells = line(record, named=named, times="absolute", first=0.0)
                    file.write("".join(each.text for each in cells) + "\n")
            return len(store)

        self.ask("save", save, lambda count: self.console.say(f"Wrote {counted(count, 'line')} to {path}", "ok"))

    def copied(self) -> str:
        """What is on the screen."""
        log = self.log_view
        rows = range(log.top, min(len(log), log.top + log.size.height))
        records = [log.store.at(log.number(i)) for i in rows]
        return "\n".join(
            "".join(each.text for each in line(r, named=log.named, times="none", first=0)) for r in records
        )

    def escape(self) -> bool:
        log = self.log_view
        if log.pattern is None:
            return False
        log.pattern = log.matched = None
        log.refilter()
        return True
