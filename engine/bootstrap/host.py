"""host(): an engine in this process, or in a background process of its own.

Law: an engine is built only for an epoch that was won. Scopes: `engine` carries everything; `run` carries only what
is handed to it and leaves when that has ended; `command` applies what the mailbox holds and starts no attempt.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType

from engine.bootstrap.parts import build_parts
from engine.bootstrap.workspace import Workspace, engine_leads
from engine.model.errors import StoreUnusable
from engine.ports.mailbox import Lease
from engine.runtime.dispatcher import Dispatcher
from engine.runtime.engine import Engine, Parts, kill_old
from engine.runtime.lease import LeaseKeeper, candidate
from engine.stores.open import state_epoch

_log = logging.getLogger(__name__)
_LINGER_SECONDS = 3.0  # with nothing to do, before a background engine ends
_SPAWN_SECONDS = 20.0
_YOUNG = 10_000  # objects between two looks of the cycle collector


class Host:
    """One engine of this process."""

    def __init__(self, workspace: Workspace, scope: str) -> None:
        self.workspace = workspace
        self.scope = scope
        keeper = LeaseKeeper(
            workspace.mailbox,
            workspace.clock,
            _candidate(workspace, scope),
            kill_old=kill_old,
            on_lost=self._lost,
        )
        self.engine = Engine(keeper, self._build)
        self._thread: threading.Thread | None = None
        self._leave = threading.Event()
        self._trouble: BaseException | None = None

    def _build(self, lease: Lease, trusted: Callable[[], bool]) -> Parts:
        return build_parts(self.workspace, lease, self.scope, trusted)

    def _lost(self) -> None:
        self.engine.deposed()

    # -- in the foreground -------------------------------------------------------------------------------------

    def serve(
        self,
        *,
        drain: bool = False,
        on_ready: Callable[[], None] | None = None,
        until: Callable[[Dispatcher], bool] | None = None,
    ) -> int:
        """Wait for the lease, lead until SIGTERM, SIGINT, `engine stop` or (drain) nothing is left; then leave."""
        with _Signals(self.engine.request_stop):
            if not self.engine.stand_by():
                return 0
            if on_ready is not None:
                on_ready()
            _spare_the_collector()
            try:
                self.engine.run(until or (_drained if drain else _never))
            finally:
                self.engine.leave(self.workspace.settings.limits.grace_seconds)
        return 0

    # -- beside something else ---------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the lease if it is to be had now."""
        return self.engine.acquire()

    def start(self) -> None:
        """Lead on a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.engine.run(lambda dispatcher: self._leave.is_set() and dispatcher.idle())
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits for this engine
            self._trouble = error
        finally:
            self.engine.leave(self.workspace.settings.limits.grace_seconds)

    def finish(self, run_ids: Sequence[str], timeout: float | None = None) -> None:
        """Return when everything carried here has ended and the lease is given back."""
        del run_ids  # everything in this scope was handed to it: these and what they started
        self._leave.set()
        self._join(timeout)

    def stop(self) -> None:
        """End attempts as losses, give the lease back."""
        self.engine.request_stop()
        self._join(None)

    def _join(self, timeout: float | None) -> None:
        if self._thread is not None:
            self._thread.join(timeout)
        else:
            self.engine.leave(self.workspace.settings.limits.grace_seconds)
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble

    def apply(self, timeout: float = 30.0) -> None:
        """Scope `command`: take the lease, answer what the mailbox holds, give the lease back."""
        if not self.engine.stand_by(min(timeout, 2.0)):
            return  # somebody else leads by now and answers
        dispatcher = self.engine.parts.dispatcher if self.engine.parts else None
        assert dispatcher is not None  # stand_by said so
        end = time.monotonic() + timeout
        while self.workspace.mailbox.pending(1) and time.monotonic() < end:
            dispatcher.turn(0.0)
        self.engine.leave(0.0)


def host(workspace: Workspace, scope: str) -> Host:
    """An engine of this process; it leads once `acquire`, `serve` or `apply` say so."""
    return Host(workspace, scope)


def spawn_engine(workspace: Workspace) -> int:
    """Start the background engine in a session of its own; its pid when it leads."""
    home = workspace.settings.home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "engine.bootstrap.background", str(workspace.settings.root)]
    with (home / "engine.err").open("ab") as errors:
        child = subprocess.Popen(
            [*command, workspace.profile or ""],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            close_fds=True,
            cwd=workspace.settings.root,
        )
    end = time.monotonic() + _SPAWN_SECONDS
    while time.monotonic() < end:
        lease = engine_leads(workspace)
        if lease is not None:
            return lease.pid
        if child.poll() is not None:
            break
        time.sleep(0.02)
    tail = (home / "engine.err").read_text(errors="replace").strip().splitlines()[-1:]
    why = f": {tail[0][:300]}" if tail else ""
    raise StoreUnusable(f"The background engine did not come up{why}. `penstock engine` shows what is wrong.")


def background(workspace: Workspace) -> int:
    """What the background process does: lead while it is needed (`linger`)."""
    return Host(workspace, "engine").serve(until=_Lingering(workspace))


class _Lingering:
    """Says when a background engine may end."""

    def __init__(self, workspace: Workspace) -> None:
        self._linger = workspace.settings.linger
        self._attached = workspace.settings.home / "attached"
        self._idle_since: float | None = None
        self._next_look = 0.0

    def __call__(self, dispatcher: Dispatcher) -> bool:
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + 0.5
        if self._linger == "always":
            return False
        busy = self._linger != "never" and not dispatcher.idle()
        if busy or self._somebody_watches():
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or now
        return now - self._idle_since >= (
            self._linger if isinstance(self._linger, float | int) else _LINGER_SECONDS
        )

    def _somebody_watches(self) -> bool:
        """Consoles leave a file named by their pid while they are open."""
        if not self._attached.is_dir():
            return False
        watching = False
        for entry in self._attached.iterdir():
            if entry.name.isdigit() and Path(f"/proc/{entry.name}").exists():
                watching = True
            else:
                entry.unlink(missing_ok=True)
        return watching


class _Signals:
    """TERM, INT and HUP ask the engine to leave; the old handlers come back."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask

    def __enter__(self) -> None:
        self._before = {name: signal.signal(name, self._asked) for name in (signal.SIGTERM, signal.SIGINT)}
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self._ask()

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)


def _candidate(workspace: Workspace, scope: str) -> Lease:
    now: datetime = workspace.clock.now()
    lease = candidate(scope, workspace.actor.name, f"{os.getpid()}-{workspace.new_id()}", now)
    return replace(lease, epoch=state_epoch(workspace.settings, state=workspace.state))


def _spare_the_collector() -> None:
    """What is loaded by now stays for as long as this process: the cycle collector need not go through it again and
    again, nor look at every few hundred new records, which are no cycles. It was an eighth of what a task cost."""
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def _never(_dispatcher: Dispatcher) -> bool:
    return False


def _drained(dispatcher: Dispatcher) -> bool:
    return dispatcher.idle()
