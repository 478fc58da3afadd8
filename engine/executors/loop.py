"""One thread, one selector, timers.

Law: callbacks never block and never raise out of the loop; a fault in one is logged and costs nobody else
anything. Other threads only `call`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

Callback = Callable[[], None]


class Timer:
    """A callback at a time. Cancelled, it holds nothing: a day's timeout of a task that took a second costs no
    memory for a day."""

    __slots__ = ("_order", "callback", "when")

    def __init__(self, when: float, order: int, callback: Callback) -> None:
        self.when = when
        self._order = order
        self.callback: Callback | None = callback

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self._order) < (other.when, other._order)

    def cancel(self) -> None:
        """Not any more."""
        self.callback = None


class Loop:
    """Runs until `stop`."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._inbox: deque[Callback] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._timers: list[Timer] = []
        self._sift_at = 256  # timers; beyond that the cancelled ones are thrown out
        self._order = itertools.count()
        self._running = True
        self._selector.register(self._wake_out, selectors.EVENT_READ, (0, lambda _mask: self._drain_wake()))
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def call(self, callback: Callback) -> None:
        """From any thread: run `callback` on the loop's, soon."""
        self._inbox.append(callback)
        try:
            self._wake_in.send(b"x")
        except OSError:
            pass  # full: it is awake already; closed: it has ended

    def later(self, seconds: float, callback: Callback) -> Timer:
        """On the loop's thread: run `callback` after so many seconds."""
        timer = Timer(time.monotonic() + seconds, next(self._order), callback)
        if len(self._timers) >= self._sift_at:
            self._timers = [one for one in self._timers if one.callback is not None]
            heapq.heapify(self._timers)
            self._sift_at = max(256, 2 * len(self._timers))
        heapq.heappush(self._timers, timer)
        return timer

    def watch(self, handle: Any, events: int, callback: Callable[[int], None], *, rank: int = 1) -> None:
        """Call back when the handle is ready; of several that are, the lower rank goes first."""
        number = handle if isinstance(handle, int) else handle.fileno()
        if number in self._watched:
            self._selector.modify(handle, events, (rank, callback))
        else:
            self._selector.register(handle, events, (rank, callback))
            self._watched.add(number)

    def unwatch(self, handle: Any) -> None:
        """Not any more; a handle that is not watched is left alone."""
        number = handle if isinstance(handle, int) else handle.fileno()
        # Looked up first: the selector's KeyError describes the socket at length, and an attempt has two of them.
        if number in self._watched:
            self._watched.discard(number)
            self._selector.unregister(handle)

    def stop(self) -> None:
        """On the loop's thread: end after this turn."""
        self._running = False

    def _run(self) -> None:
        while self._running:
            for key, mask in self._ready():
                self._guarded(lambda key=key, mask=mask: key.data[1](mask))  # type: ignore[misc]  # bound now
            while self._inbox:
                self._guarded(self._inbox.popleft())
            # Timers come after what is ready: an answer that lies there is not overdue.
            now = time.monotonic()
            while self._timers and self._timers[0].when <= now:
                callback = heapq.heappop(self._timers).callback
                if callback is not None:
                    self._guarded(callback)
        self._selector.close()
        self._wake_out.close()
        self._wake_in.close()

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        patience = None
        if self._inbox:
            patience = 0.0
        elif self._timers:
            patience = max(0.0, self._timers[0].when - time.monotonic())
        found = self._selector.select(patience)
        if len(found) > 1:
            found.sort(key=lambda one: one[0].data[0])
        return found

    def _drain_wake(self) -> None:
        self._wake_out.recv(4096)  # ready, so there is something; more than that many calls and it is ready again

    @staticmethod
    def _guarded(callback: Callback) -> None:
        try:
            callback()
        except Exception:
            log.exception("A step of the supervisor failed; it goes on with the next")
