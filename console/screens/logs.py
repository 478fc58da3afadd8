"""Logs of a run, merged by time, or of one task: the end first, then all of it, then what is written.

Law: how it is read and searched is the business of `Following`; here is what is shown and said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from console.going import split_argument
from console.logtail import LogTail, Read
from console.messages import Batch
from console.place import Place
from console.present.cells import Cell, cell
from console.present.logs import LEVELS, line
from console.present.times import counted
from console.screens.following import Following
from console.screens.view import View
from console.widgets.log import LogView
from console.widgets.logstore import LogRecord, LogStore
from console.widgets.strips import Strips

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client


class LogsView(View):
    """The log."""

    NAME = "logs"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.run_id, self.task_name = split_argument(place.argument)
        self.log_view = LogView(self.looks, empty="Reading" + self.looks.ellipsis)
        self.log_view.named = self.task_name is None  # lines of several tasks carry their names
        self._tail = LogTail(self.run_id, self.task_name)
        self._following = Following(self, self.log_view, self._took)
        self._following.turn(self._tail, LogStore())  # everything from the start, until it has caught up
        self._pipeline = ""

    def compose(self) -> ComposeResult:
        yield self.log_view
        yield Strips(self.looks, id="status")

    @property
    def crumbs(self) -> list[str]:
        return ["Runs", self._pipeline or self.run_id, self.task_name or "all tasks", "Logs"]

    @property
    def run_argument(self) -> str:
        return self.place.argument

    # ---- reading

    def look(self) -> None:
        """The end at once; then everything."""
        if self._following.into is None:
            self._following.read()
            return
        self.ask("end", lambda client: (client.run(self.run_id).pipeline_id, self._tail.end(client)), self._end)

    def vanish(self) -> None:
        super().vanish()
        self.stale = self.stale or not self._following.ended

    def _end(self, found: tuple[str, list[LogRecord]]) -> None:
        self._pipeline, records = found
        if self._following.into is not None and not len(self.log_view.store):
            self.log_view.add(records)
        self.console.show_frame()
        self._following.read()

    def _took(self, read: Read) -> None:
        following = self._following
        if following.into is None:
            self.log_view.add(read.records)
        elif read.whole:
            self.log_view.swap(following.into)
            following.into = None
        if read.whole:
            self.log_view.say_empty("Nothing was written." if read.ended else "Nothing was written yet.")
        self._status()

    def take(self, batch: Batch) -> None:
        """A run that was opened again writes again."""
        if self._following.ended and batch.concerns(self.run_id):
            self._following.read()

    # ---- what is said about it

    def _status(self) -> None:
        log = self.log_view
        parts = [counted(len(log), "line")]
        if len(log) != len(log.store):
            parts[0] += f" of {len(log.store):,}"
        if (into := self._following.into) is not None:
            parts.append(f"reading, {len(into):,} so far")
        parts.append(LEVELS[log.level])
        parts.append("all attempts" if log.attempt is None else f"attempt {log.attempt}")
        parts.append("wrapped" if log.wraps else "cut")
        said: list[Cell] = [Cell(" "), self._following.word]
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
        self._following.search()

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
        return self._following.on_screen()

    def escape(self) -> bool:
        return self._following.forget()
