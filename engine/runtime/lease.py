"""Who leads: taking, keeping and giving back the lease.

Law: trust in one's own lease is counted from the start of the renewing request and ends before the lease does; a
holder on this machine that is gone (pid and start time) is not waited for. The lease only says who may try: the
epoch checked inside each transaction is what fences.
"""

from __future__ import annotations

import os
import pwd
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from engine.model.errors import StoreError
from engine.ports import failpoint
from engine.ports.clock import Clock
from engine.ports.mailbox import Lease, Mailbox

LASTS = timedelta(seconds=10)
RENEW_EVERY = 3.0
TRUST = 7.0  # seconds after the start of a successful renewal in which we may act on it


def boot_id() -> str:
    """Changes with each boot, so that a pid of before is nobody's."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else str(psutil.boot_time())


def started_at(pid: int) -> float | None:
    """When a living process began; None when there is none.

    On Linux counted from boot: the same moment told by the wall clock moves whenever that clock is put right, and a
    leader that lives would be taken for gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    except ProcessLookupError:
        return None  # it ended while it was looked at
    fields = text[text.rfind(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else float(fields[19])


def _started_elsewhere(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def candidate(scope: str, started_by: str, name: str, now: datetime) -> Lease:
    """This process as a would-be leader."""
    return Lease(
        holder=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        pid_started=started_at(os.getpid()) or 0.0,
        boot_id=boot_id(),
        user=pwd.getpwuid(os.geteuid()).pw_name,
        started_by=started_by,
        scope=scope,
        epoch=0,
        acquired_at=now,
        expires_at=now + LASTS,
    )


def holder_gone(lease: Lease) -> bool:
    """Proof that the holder's process is no more. Only this machine can be judged."""
    if lease.host != socket.gethostname():
        return False
    if lease.boot_id != boot_id():
        return True
    return started_at(lease.pid) != lease.pid_started


def leads(lease: Lease | None, now: datetime) -> bool:
    """Whether this lease is somebody's who lives."""
    return lease is not None and lease.expires_at > now and not holder_gone(lease)


class LeaseKeeper:
    """Takes the lease and renews it on a thread of its own, so that a slow turn never costs it."""

    def __init__(
        self,
        mailbox: Mailbox,
        clock: Clock,
        me: Lease,
        *,
        kill_old: Callable[[Lease], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._me = me
        self._kill_old = kill_old
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trusted_until = 0.0
        self.lease: Lease | None = None
        self.outlived: Lease | None = None  # whose place was taken, though its process on this machine lives on

    def try_acquire(self) -> Lease | None:
        """One try. An expired holder that still lives on this machine is killed before its place is taken."""
        now = self._clock.now()
        standing = self._mailbox.lease()
        gone = standing is not None and holder_gone(standing)
        if standing is not None and not gone:
            if standing.expires_at > now:
                return None
            self._kill_old(standing)
        began = self._clock.monotonic()
        floor = max(self._me.epoch, standing.epoch if standing is not None else 0)
        me = replace(self._me, epoch=floor, acquired_at=now, expires_at=now + LASTS)
        won = self._mailbox.acquire(me, now, holder_gone=gone)
        failpoint.hit("lease.acquired")
        if won is not None:
            here = standing is not None and standing.host == won.host and standing.pid != won.pid
            self.outlived = standing if here and standing is not None and not holder_gone(standing) else None
            self.lease = won
            self._trusted_until = began + TRUST
        return won

    def keep(self) -> None:
        """Start renewing."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew_for_ever, name="lease", daemon=True)
        self._thread.start()

    def trusted(self) -> bool:
        """Whether we may still act as the leader without asking."""
        return self.lease is not None and self._clock.monotonic() < self._trusted_until

    def release(self) -> None:
        """Stop renewing and give the lease back."""
        self.stop()
        if self.lease is not None:
            failpoint.hit("lease.before_release")
            self._mailbox.release(self.lease)
            failpoint.hit("lease.released")
            self.lease = None

    def stop(self) -> None:
        """Stop renewing; the lease stays until it expires."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _renew_for_ever(self) -> None:
        while not self._stop.wait(RENEW_EVERY if self.trusted() else 0.5):
            self._renew_once()

    def _renew_once(self) -> None:
        lease = self.lease
        if lease is None:
            return
        began = self._clock.monotonic()
        try:
            ours = self._mailbox.renew(lease, self._clock.now() + LASTS)
        except StoreError:
            return  # trust runs out by itself; the next try may come through
        failpoint.hit("lease.renewed")
        if ours:
            self._trusted_until = began + TRUST
        else:
            self._on_lost()
