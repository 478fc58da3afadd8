"""Opens the workspace and watches the engine: starts one where nobody leads, again when it dies.

Law: everything slow happens in threads. An engine that was stopped on purpose is not started again unasked; one
that dies again and again is given up with its reason.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

from console.messages import Batch, EngineStarting, EngineTrouble, Signs
from console.unstarted import unstarted
from engine.model.errors import PenstockError

if TYPE_CHECKING:
    from console.app import Console
    from console.feed import Tail
    from engine.client import Client

_MOST_STARTS = 3
_WITHIN_SECONDS = 60.0


class Watcher:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._session = console.session
        self._tail: Tail | None = None  # loaded with the client: it is not needed for the first paint
        self._starts: list[float] = []
        self._starting = False
        self._stopped = False  # on purpose, by whoever

    @property
    def read_at(self) -> datetime | None:
        """When the state was last read."""
        return self._tail.read_at if self._tail is not None else None

    def begin(self) -> None:
        """Open the workspace in a thread, then tail it in another."""
        self._console.run_worker(unstarted(self._open), exit_on_error=False, group="open")

    async def _open(self) -> None:
        try:
            client, tail = await asyncio.to_thread(self._prepare)
        except (PenstockError, OSError) as error:
            self._console.opened(None, error)
            self._console.say(str(error), "bad")
            return
        self._tail = tail
        self._console.opened(client)
        self._console.run_worker(lambda: tail.run(client), thread=True, exit_on_error=False, group="feed")

    def _prepare(self) -> tuple[Client, Tail]:
        from console.feed import Tail

        client = self._session.open_client()
        if self._session.keep_engine:
            self._session.keeper.attach()
        return client, Tail(self._session, self._console.post_message)

    def heard(self, batch: Batch) -> None:
        """Was the engine stopped on purpose?"""
        for event in batch.events:
            if event.type == "engine.started":
                self._stopped = False
            elif event.type == "engine.stopped":
                self._stopped = True

    def saw(self, signs: Signs) -> None:
        """Start one when nobody leads and nobody wanted it so."""
        if signs.leader is None and self._session.start_engine and not self._stopped:
            self.start_engine()

    def start_engine(self, *, asked: bool = False) -> None:
        """In a thread; several calls at once are one."""
        if self._session.read_only:
            self._console.say("This console is read-only; it starts no engine.", "bad")
            return
        now = time.monotonic()
        self._starts = [each for each in self._starts if now - each < _WITHIN_SECONDS]
        if self._starting or (len(self._starts) >= _MOST_STARTS and not asked):
            return
        self._starts.append(now)
        self._starting, self._stopped = True, False
        self._console.post_message(EngineStarting())
        self._console.run_worker(unstarted(self._start), exit_on_error=False, group="engine")

    async def _start(self) -> None:
        trouble = ""
        try:
            await asyncio.to_thread(self._start_in_thread)
        except (PenstockError, OSError) as error:
            trouble = str(error)
        finally:
            self._starting = False
        self._console.post_message(EngineTrouble(trouble))

    def _start_in_thread(self) -> None:
        if self._session.keeper.leader() is None:
            self._session.keeper.start()
