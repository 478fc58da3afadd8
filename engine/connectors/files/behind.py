"""Work done beside the caller's own, in a thread: while one group of rows is encoded, the next ones are read.

Law: one piece at a time in the whole process, and the next waits for it, so that memory holds one group more and
not one for each open file. The thread starts with the first piece, never in a zygote.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Behind:
    """See the file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def do(self, work: Callable[[], None]) -> Future[None]:
        """Begin, once what was begun before is done; what goes wrong is in the future's `result`."""
        with self._lock:
            if self._last is not None:
                wait((self._last,))
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "penstock-encoding")
            self._last = self._pool.submit(work)
            return self._last


BEHIND = Behind()
