"""A doorbell beside the mailbox: whoever drops a command rings, and the engine need not keep looking.

Law: ringing never blocks and never fails: the letter lies in the mailbox whether or not anybody heard. A FIFO in
the state's folder; only its owner (or group, where the folder is shared) can ring.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable
from pathlib import Path


class Bell:
    """One FIFO."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode

    def ring(self) -> None:
        """Tell who listens, if anybody does."""
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return  # nobody listens, or there is no bell yet
        try:
            if stat.S_ISFIFO(os.fstat(handle).st_mode):
                os.write(handle, b"!")
        except OSError:
            return  # full: it is ringing already
        finally:
            os.close(handle)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None] | None:
        """Call back at every ring, on a thread of its own, until the returned function is called; None where there
        can be no bell."""
        try:
            self._make()
            # Open for writing too: a FIFO without a writer would wake its reader all the time.
            handle = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC)

        def wait() -> None:
            while True:
                ready, _, _ = select.select([handle, wake_read], [], [])
                if wake_read in ready:
                    return
                os.read(handle, 4096)
                heard()

        thread = threading.Thread(target=wait, name="bell", daemon=True)
        thread.start()

        def stop() -> None:
            os.write(wake_write, b"!")
            thread.join()
            for each in (handle, wake_read, wake_write):
                os.close(each)

        return stop

    def _make(self) -> None:
        try:
            os.mkfifo(self._path, self._mode)
            os.chmod(self._path, self._mode)  # whatever the umask took away
        except FileExistsError:
            if not stat.S_ISFIFO(os.lstat(self._path).st_mode):
                raise OSError(f"{self._path} is no FIFO") from None
