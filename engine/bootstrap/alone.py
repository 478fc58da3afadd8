"""The lease without an engine: for work on the state file that nobody may lead through.

Law: the lease is held, and renewed, from before the first look to after the last write; an engine that starts
meanwhile stands by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from engine.bootstrap.workspace import Workspace
from engine.model.errors import Refused
from engine.ports.mailbox import Lease
from engine.runtime.lease import LeaseKeeper, candidate


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Hold the lease; Refused while an engine leads."""
    me = candidate("command", workspace.actor.name, f"{os.getpid()}-{workspace.new_id()}", workspace.clock.now())
    keeper = LeaseKeeper(workspace.mailbox, workspace.clock, me, kill_old=_refuse, on_lost=_ended)
    if keeper.try_acquire() is None:
        held = workspace.mailbox.lease()
        raise _led(held)
    keeper.keep()
    try:
        yield
    finally:
        keeper.release()


def _refuse(held: Lease) -> None:
    """An engine that sleeps past its lease may wake up: it is not for this command to end it."""
    raise _led(held)


def _led(held: Lease | None) -> Refused:
    who = f" (process {held.pid})" if held is not None else ""
    return Refused(f"An engine leads{who}; end it first: `penstock engine stop`.")


def _ended() -> None:
    """Somebody took the lease after all: stop before another byte is written."""
    os._exit(70)
