"""Tails the outbox and the vital signs in a thread, and posts what it finds in batches.

Law: at most four batches a second, however much happens; nothing is posted when nothing changed. Trouble is
told once and tried again. The thread only reads.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from console.messages import Batch, Signs, StoreTrouble
from engine.client.feed import Feed
from engine.model.errors import PenstockError

if TYPE_CHECKING:
    from console.session import Session
    from engine.client import Client
    from engine.client.values import Counts, Lease
    from engine.model.event import Event

BATCH_SECONDS = 0.3
MOST_EVENTS = 2_000  # in one batch; more means: read anew
_LOOK_SECONDS = 0.5  # how long one wait for events may take
_SIGNS_SECONDS = 2.0  # between two readings while nothing happens
_DISK_SECONDS = 60.0
_TROUBLE_SECONDS = 1.0


class Tail:
    """One per console; `run` is the thread."""

    def __init__(self, session: Session, post: Callable[[Message], object]) -> None:
        self._session = session
        self._post = post
        self._signs: tuple[Lease | None, Counts, int | None] | None = None
        self._signs_at = 0.0
        self._seen: object = None  # where the store stood when it was counted
        self._posted_at = 0.0
        self._disk: tuple[float, int | None] = (0.0, None)
        self._troubled = False
        self.read_at: datetime | None = None  # of the last successful reading; the app compares it to its clock

    def run(self, client: Client) -> None:
        """Until the console closes."""
        feed: Feed | None = None
        while not self._session.closing.is_set():
            try:
                feed = feed or Feed(client.queries)
                self._look_at_signs(client)
                events = feed.next(_LOOK_SECONDS)
                if events:
                    self._gather(feed, events)
                    self._look_at_signs(client, now=True)
                self.read_at = client.clock.now()
            except (PenstockError, OSError) as error:
                self._tell(str(error), client.clock.now())
                self._session.closing.wait(_TROUBLE_SECONDS)

    def _gather(self, feed: Feed, events: Sequence[Event]) -> None:
        """What came, and what comes until the next batch is due."""
        found = list(events)
        wait = self._posted_at + BATCH_SECONDS - time.monotonic()
        if wait > 0:
            self._session.closing.wait(wait)
        lost = False
        while more := feed.next(0):
            if len(found) + len(more) > MOST_EVENTS:
                lost = True
                found.clear()
            found += more
        self._posted_at = time.monotonic()
        self._post(Batch(found, lost))

    def _look_at_signs(self, client: Client, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._signs_at < _SIGNS_SECONDS:
            return
        changed, self._seen = client.queries.changed(self._seen)
        counts = client.queries.counts() if changed or self._signs is None else self._signs[1]
        signs = (self._session.keeper.leader(), counts, self._disk_used())
        self._signs_at = time.monotonic()
        self.read_at = client.clock.now()
        if self._troubled or not _same(self._signs, signs):
            self._troubled = False
            self._signs = signs
            self._post(Signs(*signs, at=self.read_at))

    def _disk_used(self) -> int | None:
        at, used = self._disk
        if used is None or time.monotonic() - at > _DISK_SECONDS:
            used = _percent(self._session.root)
            self._disk = (time.monotonic(), used)
        return used

    def _tell(self, sentence: str, at: datetime) -> None:
        if not self._troubled:
            self._troubled = True
            self._post(StoreTrouble(sentence, at))


def _same(
    old: tuple[Lease | None, Counts, int | None] | None, new: tuple[Lease | None, Counts, int | None]
) -> bool:
    """Whether nobody would see a difference: a lease that was renewed is the same lease."""
    if old is None:
        return False
    return (_leads(old[0]), old[1:]) == (_leads(new[0]), new[1:])


def _leads(lease: Lease | None) -> tuple[object, ...] | None:
    return None if lease is None else (lease.holder, lease.epoch, lease.scope)


def _percent(folder: Path) -> int | None:
    """Of what users may fill, as `df` and `penstock health` say it: what is kept for root is not free."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    room = usage.used + usage.free
    return round(100 * usage.used / room) if room else None
