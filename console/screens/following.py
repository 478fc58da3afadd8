"""The reading of one log for a view: what was written is asked for again and again, and searched.

Law: reading goes on in a thread and is asked for again only after the last answer; a view that is hidden, or does
not want it, reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from console.logtail import Read, Tail
from console.present.cells import Cell
from console.present.logs import line
from console.screens.view import View
from console.widgets.log import LogView
from console.widgets.logstore import LogStore

if TYPE_CHECKING:
    from textual.timer import Timer

_POLL_SECONDS = 0.3


class Following:
    """One log of one view."""

    def __init__(
        self, view: View, log: LogView, took: Callable[[Read], None], wanted: Callable[[], bool] = lambda: True
    ) -> None:
        self._view = view
        self._log = log
        self._took = took
        self._wanted = wanted
        self._tail: Tail | None = None
        self._turn = 0
        self._timer: Timer | None = None
        self._searched = ""
        self.into: LogStore | None = None  # a store that is filled where it is read, until it is taken away
        self.ended = False  # nothing more will come by itself

    # ---- reading

    def turn(self, tail: Tail, into: LogStore | None = None) -> None:
        """To a log; answers about the one before are dropped."""
        self._tail, self.into, self.ended = tail, into, False
        self._turn += 1

    def read(self) -> None:
        """Now, and again by itself until nothing more will come or nobody looks."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        tail, into = self._tail, self.into
        if tail is not None and self._view.shown and self._wanted():
            more = partial(tail.more, into=into)
            self._view.ask("read", more, self._answered, about=self._turn, restless=into is not None)

    def _answered(self, read: Read) -> None:
        turn, self.ended = self._turn, read.ended
        self._took(read)
        if turn != self._turn:  # whoever took it turned to another one
            return
        if not read.whole:
            self.read()
        elif not read.ended:
            self._timer = self._view.set_timer(_POLL_SECONDS, self.read)

    @property
    def word(self) -> Cell:
        """Whether what is written comes to be seen."""
        if not self._log.following:
            return Cell("not following")
        return Cell("ended" if self.ended else "following", "ok")

    # ---- what is done with it

    def search(self) -> None:
        """Ask what for."""
        log = self._log

        def entered(text: str) -> str | None:
            if not text:
                log.pattern = None
                log.refresh()
                return None
            self._searched = text
            return log.search(text)

        self._view.console.goer.open(
            "search /", entered, text=self._searched, hint="text, or /regular expression/; n and N go on"
        )

    def forget(self) -> bool:
        """Take the search away; whether there was one."""
        log = self._log
        if log.pattern is None:
            return False
        log.pattern = log.matched = None
        log.refilter()
        return True

    def on_screen(self) -> str:
        """The lines on the screen, to be copied."""
        log = self._log
        records = (log.store.at(log.number(i)) for i in range(log.top, min(len(log), log.top + log.size.height)))
        cells = (line(each, named=log.named, times="none", first=0) for each in records)
        return "\n".join("".join(each.text for each in one) for one in cells)
