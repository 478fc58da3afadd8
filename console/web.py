"""A console in a browser: its terminal is a pipe to the server that started it.

Law: it ends with its server, whatever ended that: a server that was killed tells nobody.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import MutableMapping

_LOOK_SECONDS = 0.5
_LEAVE_SECONDS = 3.0  # for a clean end; the pipe is broken by then, and nobody watches


def served_by(environment: MutableMapping[str, str]) -> int | None:
    """The process of `penstock web` that started this one; None in a terminal. Taken away: what this console starts
    (an engine) is not served."""
    text = environment.pop("PENSTOCK_SERVED_BY", "")
    return int(text) if text.isdecimal() else None


def end_with(server: int) -> None:
    """Watch the server from a thread; once it is gone, leave, and after a moment leave for certain."""

    def watch() -> None:
        never = threading.Event()
        while os.getppid() == server:
            never.wait(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        never.wait(_LEAVE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="server-watch", daemon=True).start()
