"""Signals as the system knows them: numbers.

Law: for attempt processes. The functions of `signal` make enumerations of what they are given and of what they
return; in a process that was just forked that alone copies forty pages, and nobody looks at the names.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is built on; typeshed does not describe it
import signal
from collections.abc import Callable
from typing import Any

TERM, KILL, IGNORE = int(signal.SIGTERM), int(signal.SIGKILL), int(signal.SIG_IGN)
BLOCK, UNBLOCK = int(signal.SIG_BLOCK), int(signal.SIG_UNBLOCK)

handle: Callable[[int, Any], Any] = _signal.signal  # number, handler: a function or IGNORE
mask: Callable[[int, tuple[int, ...]], Any] = _signal.pthread_sigmask
