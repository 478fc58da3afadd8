"""One attempt that does nothing, run inside a zygote before it forks any, and in each spare child before its order.

Law: it leaves nothing behind that an attempt could see. What a first call writes all over the interpreter's memory
(specialised bytecode, caches of types and attributes) is written in the zygote once and shared from then on. What
each process must copy to write on it (every object used is counted, and a count is written), a spare copies while
nobody waits for it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from importlib.machinery import FileFinder
from pathlib import Path

from engine.bootstrap import stage
from engine.bootstrap.attempt import run
from engine.ports.executor import AttemptSpec
from engine.sdk import wire
from engine.sdk.attempt import log_through
from engine.sdk.channel import SocketChannel, Workplace

_VARIABLE = "PENSTOCK_REHEARSAL"
_FOLDER, _MODULE = str(Path(stage.__file__).parent), "stage"
_NOWHERE = Path("/nonexistent")
_NOTHING = AttemptSpec(
    token="rehearsal",
    epoch=0,
    run_id="rehearsal",
    pipeline_id="rehearsal",
    task_id="rehearsal",
    map_index=None,
    execution_id="rehearsal",
    attempt=1,
    type="python",
    config={"callable": f"{_MODULE}:nothing"},
    context={"logical_date": "2000-01-01T00:00:00+00:00"},
    log="rehearsal",
)
_SPOKEN = wire.encode(_NOTHING)
_PLACE = Workplace(root=_NOWHERE, scratch=_NOWHERE, staging=_NOWHERE)
# A test that has attempts die somewhere does not mean the zygote or a spare.
_WANTED = "PENSTOCK_FAILPOINT" not in os.environ


def rehearse() -> None:
    """From the spec's arrival to the outcome's departure, over a socket to nobody. Of the environment one variable
    that is no attempt's: the C library then moves its table once, here, and not in each of them."""
    if not _WANTED:
        return
    on_term = signal.getsignal(signal.SIGTERM)
    os.environ[_VARIABLE] = ""
    del os.environ[_VARIABLE]
    ours, theirs = socket.socketpair()
    _set_the_stage()
    try:
        with ours, theirs:
            channel = SocketChannel(theirs)
            ours.sendall(_SPOKEN)
            channel.outcome(run(channel.receive_spec(), channel, _PLACE))
    finally:
        _clear_the_stage()
        log_through(None)  # the root logger stays as each attempt needs it, and says nothing to nobody
        signal.signal(signal.SIGTERM, on_term)


def _set_the_stage() -> None:
    """The module is found as an author's is: first in the path, its folder listed anew."""
    sys.path.insert(0, _FOLDER)
    finder = sys.path_importer_cache.get(_FOLDER)
    if isinstance(finder, FileFinder):
        finder.invalidate_caches()


def _clear_the_stage() -> None:
    sys.path.remove(_FOLDER)
    sys.modules.pop(_MODULE, None)
