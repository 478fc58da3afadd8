"""An iterator read a little ahead, on a thread of its own.

Law: no more than `depth` items wait; when the consumer stops, so does the thread, and it is waited for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
_END = object()


class ReadAhead(Generic[T]):
    """Iterates over `source` while the next items are already being read."""

    def __init__(self, source: Iterator[T], depth: int = 2) -> None:
        self._source = source
        self._ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._started = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if not self._started:
            self._started = True
            self._thread.start()
        item = self._ready.get() if not self._stop.is_set() else _END
        if item is _END:
            self.close()
            raise StopIteration
        if isinstance(item, BaseException):
            self.close()
            raise item
        return cast(T, item)

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._stop.set()
        if self._started:
            self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._hand(item):
                    break
            ending = getattr(self._source, "close", None)
            if ending is not None:
                ending()
            self._hand(_END)
        except BaseException as error:  # noqa: BLE001  it is raised where the items are consumed
            self._hand(error)

    def _hand(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
