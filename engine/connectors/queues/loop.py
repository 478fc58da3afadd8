"""An event loop in a thread of its own, for the libraries that know only asyncio, and a connection in it.

Law: heartbeats go on while the attempt is busy with a load. Every call has a deadline; closing ends every task and
the thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as Late
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_ENDING = 5.0  # seconds for tasks to end
MARGIN = 5.0  # beyond a call's own deadline, before its thread gives up on it


class Loop:
    """Runs coroutines for a thread that is not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-queue", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Its result; TimeoutError when it takes longer."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except Late:
            future.cancel()
            raise TimeoutError from None

    def close(self) -> None:
        """End what still runs."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result(_ENDING * 2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Opening(Protocol):
    """A connector whose library is asynchronous."""

    connecting: float

    def attempt(self, ask: Callable[[], Any], name: str = "") -> Any:
        """See engine.connectors.queues.connector."""

    async def open(self) -> Any:
        """A connection that is not mended behind our back."""


class Link:
    """A connection in a loop of its own."""

    def __init__(self, connector: Opening, name: str) -> None:
        self._connector, self._name = connector, name
        self._loop = Loop()
        try:
            self.connection = self.run(connector.open(), connector.connecting)
        except BaseException:
            self._loop.close()
            raise

    def run(self, work: Any, seconds: float) -> Any:
        """A coroutine's result, its errors as ours."""
        return self._connector.attempt(lambda: self._loop.run(work, seconds + MARGIN), self._name)

    def close(self) -> None:
        """Let go."""
        try:
            self._loop.run(self.connection.close(), MARGIN)
        except Exception:  # noqa: BLE001, S110  it is being given up; the other end notices that by itself
            pass
        self._loop.close()


async def _end_all() -> None:
    mine = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not mine]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_ENDING)
