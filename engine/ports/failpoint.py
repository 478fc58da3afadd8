"""Named places where a test may make a process die.

Law: `hit(name)` does nothing unless the environment variable PENSTOCK_FAILPOINT names it ("name" or "name:3"
for the third hit), in which case the process kills itself with SIGKILL, as a power cut would, or stops itself where
PENSTOCK_FAILPOINT_SIGNAL says SIGSTOP. Production never sets the variables; a hit costs one comparison.
"""

from __future__ import annotations

import os
import signal

_wanted, _, _count = os.environ.get("PENSTOCK_FAILPOINT", "").partition(":")
_left = [int(_count or 1)]
_signal = signal.Signals[os.environ.get("PENSTOCK_FAILPOINT_SIGNAL", "SIGKILL")]


def hit(name: str) -> None:
    """Die here if this place was named."""
    if _wanted and name == _wanted:
        _left[0] -= 1
        if _left[0] == 0:
            os.kill(os.getpid(), _signal)
