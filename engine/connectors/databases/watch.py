"""A socket that has fallen silent is closed, so that whoever waits for it hears of it.

Law: only time spent waiting for the other side counts. A peer that answers keepalives and nothing else would hold
an attempt until its own time is up.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Watch:
    """Watches one socket while somebody waits for it."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._descriptor, self._seconds = descriptor, seconds
        self._since: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.silent = False  # it was closed for its silence

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The caller waits for the other side now."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="penstock-watch", daemon=True)
            self._thread.start()
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def heard(self) -> None:
        """Something came, or went out."""
        if self._since is not None:
            self._since = time.monotonic()

    def _look(self) -> None:
        while not self._ended.wait(min(1.0, self._seconds / 4)):
            since = self._since
            if since is not None and time.monotonic() - since > self._seconds:
                self.silent = True
                self._close()
                return

    def _close(self) -> None:
        try:
            with socket.socket(fileno=os.dup(self._descriptor)) as ours:
                ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
