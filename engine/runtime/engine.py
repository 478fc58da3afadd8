"""One engine: it wins the lease, takes over, turns until it is told to stop, and gives the lease back.

Law: stopping cancels nothing. Attempts are ended as losses, so that the next engine goes on where this one left. A
deposed engine rolls back and ends at once, without another write.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from engine.model.errors import Deposed, StoreBusy
from engine.ports import failpoint
from engine.ports.mailbox import Lease
from engine.ports.store import StateStore
from engine.runtime.dispatcher import LOOK_IDLE, Dispatcher
from engine.runtime.lease import LeaseKeeper, holder_gone

DEPOSED_EXIT = 75
KILLED_WITHIN = 5.0
OUTLIVED_LOOKS = timedelta(seconds=2)
STANDBY_LOOKS = 0.5  # seconds between looks at somebody else's lease


Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Parts:
    """What an engine needs once it leads; built by bootstrap for the epoch that was won."""

    dispatcher: Dispatcher
    store: StateStore
    start: Callable[[], None]  # executor, watcher
    stop: Callable[[float], None]  # ends attempts within so many seconds
    close: list[Callable[[], None]] = field(default_factory=list)


class Engine:
    """Used from one thread; `request_stop` from any."""

    def __init__(self, keeper: LeaseKeeper, build: Callable[[Lease, Callable[[], bool]], Parts]) -> None:
        self.keeper = keeper
        self.build = build
        self.parts: Parts | None = None
        self._stop = threading.Event()
        self._failed = False  # a turn broke off: what is in memory may never have been written

    def acquire(self, *, patient: bool = False) -> bool:
        """Take the lease if it is to be had now, and take over. Patient: however long somebody locks the store."""
        lease = self.keeper.try_acquire()
        if lease is None:
            return False
        self.keeper.keep()
        try:
            parts = self._when_free(lambda: self.build(lease, self.keeper.trusted), patient)
            self._mind_outlived(parts)
            self._when_free(lambda: parts.store.take_over(lease.epoch, lease.holder, lease.acquired_at), patient)
            failpoint.hit("engine.took_over")
            parts.start()
            parts.dispatcher.take_over()
        except Deposed:
            self.deposed()
        except BaseException:
            self.keeper.release()
            raise
        self.parts = parts
        return True

    def _when_free(self, act: Callable[[], Result], patient: bool) -> Result:
        """A backup, or an engine that sleeps in a transaction, may hold the store; the lease is kept meanwhile."""
        while True:
            try:
                return act()
            except StoreBusy:
                if not patient or self._stop.wait(STANDBY_LOOKS):
                    raise

    def _mind_outlived(self, parts: Parts) -> None:
        """SQLite's checkpoint is safe with one process only: none while an old holder we may not end lives."""
        old = self.keeper.outlived
        if old is None:
            return
        desk = parts.dispatcher.desk

        def look() -> None:
            if holder_gone(old):
                parts.store.allow_checkpoints(True)
            else:
                desk.timers.set("outlived", desk.now + OUTLIVED_LOOKS, look)

        parts.store.allow_checkpoints(False)
        desk.timers.set("outlived", desk.now + OUTLIVED_LOOKS, look)

    def stand_by(self, seconds: float | None = None) -> bool:
        """Wait until the lease can be had; False when told to stop first or the time is over."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._stop.is_set():
            try:
                if self.acquire(patient=end is None):
                    return True
            except StoreBusy:
                if not self._stop.is_set():
                    raise
            if end is not None and time.monotonic() >= end:
                return False
            self._stop.wait(STANDBY_LOOKS)
        return False

    def run(self, until: Callable[[Dispatcher], bool] = lambda _dispatcher: False) -> None:
        """Turn until told to stop, or until this says so."""
        assert self.parts is not None, "acquire comes first"
        dispatcher = self.parts.dispatcher
        try:
            while not (self._stop.is_set() or dispatcher.stopping or until(dispatcher)):
                dispatcher.turn()
        except Deposed:
            self.deposed()
        except BaseException:
            self._failed = True
            raise

    def request_stop(self) -> None:
        """Ask it to leave; it does so within its turn."""
        self._stop.set()
        if self.parts is not None:
            self.parts.dispatcher.stop()

    def leave(self, grace_seconds: float) -> None:
        """End attempts as losses, write their ends, give the lease back and close.

        After a turn that broke off nothing more is decided or written: what memory holds then may not be in the
        store, and an answer that rests on it would be wrong for good. The next engine reads what is there."""
        parts = self.parts
        if parts is None:
            return
        self.parts = None
        parts.dispatcher.stopping = True  # nothing new is admitted any more
        away: StoreBusy | None = None  # the ends are not written: the next engine finds attempts without a process
        try:
            failpoint.hit("engine.before_stop")
            parts.stop(grace_seconds)
            failpoint.hit("engine.attempts_ended")
            if not self._failed:
                _write_the_ends(parts.dispatcher)
        except Deposed:
            self.deposed()
        except StoreBusy as busy:
            away = busy
        parts.dispatcher.close()
        for close in parts.close:
            close()
        try:
            parts.store.close()
            self.keeper.release()
        except StoreBusy as busy:
            away = away or busy  # the lease runs out by itself
        if away is not None and not self._failed:
            raise away

    def deposed(self) -> None:
        """Another engine leads: not one more write, no checkpoint, no clean close."""
        try:
            sys.stderr.write("penstock: another engine leads this workspace now; this one ends at once\n")
            sys.stderr.flush()
        finally:  # also where nobody reads stderr any more
            os._exit(DEPOSED_EXIT)


def _write_the_ends(dispatcher: Dispatcher) -> None:
    """What the ended attempts have reported, and that the engine has left."""
    deadline = time.monotonic() + 2.0
    while dispatcher.turn(LOOK_IDLE) and time.monotonic() < deadline:
        pass
    dispatcher.desk.event("engine.stopped", epoch=dispatcher.desk.tools.epoch)
    dispatcher.commit()


def kill_old(lease: Lease) -> None:
    """End an expired holder on this machine before its place is taken; it may be stopped, not dead.

    A pid of another machine is somebody else's here."""
    if lease.host != socket.gethostname() or lease.pid == os.getpid() or holder_gone(lease):
        return
    try:
        os.kill(lease.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # its epoch fences it all the same
    until = time.monotonic() + KILLED_WITHIN
    while not holder_gone(lease) and time.monotonic() < until:  # a zombie that nobody reaps yet is gone
        time.sleep(0.01)
