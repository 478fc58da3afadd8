"""The rate of one connection, over all processes of a workspace.

Law: what has been asked stands in a small file below the workspace's private folder, locked while it is looked at
and never while somebody waits. Who has to wait takes nothing, asks again, and leaves nothing behind when it dies;
no order is promised. Time is the machine's monotonic clock, which its processes share. A file of before a boot
counts for nothing; a damaged one for a burst that is spent. Where there is no private folder, or the file cannot be
had, the rate holds within the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine.rules.rates import next_moment

HOME, FOLDER = ".penstock", "rates"
LONGEST_HOLD = 30.0  # seconds that a server's Retry-After makes all wait
LOCK_SECONDS = 1.0  # who is stopped with the lock in hand holds nobody up for longer
_BYTES = 160
_NEAR = 1e-6  # seconds; who waited as long as it was told is served, whatever floats made of it


class State(NamedTuple):
    """What has been asked, in seconds of the clock."""

    full_at: float = 0.0  # when a whole burst may go again
    hold: float = 0.0  # a server asked for patience until then


class Rate:
    """For one connection; the same file for each of its processes, or none."""

    def __init__(self, per_second: float, burst: int, file: Path | None = None) -> None:
        self._per_second, self._burst, self._file = per_second, burst, file
        self._slack = (burst - 1) / per_second
        self._own = State()  # what this process knows, and goes by where there is no file

    def wait(self, now: float) -> float:
        """0.0, and one request may go; or the seconds after which to ask again."""
        wait = 0.0

        def take(state: State) -> State:
            nonlocal wait
            moment, full_at = next_moment(state.full_at, now, self._per_second, self._burst)
            wait = max(moment, state.hold) - now
            if wait > _NEAR:
                return state
            wait = 0.0
            return State(full_at, state.hold)

        self._changed(now, take)
        return wait

    def hold(self, until: float, now: float) -> None:
        """A server asked for patience: nobody asks before, and then one after the other."""
        end = min(until, now + LONGEST_HOLD)
        self._changed(now, lambda state: State(max(state.full_at, end + self._slack), max(state.hold, end)))

    def _changed(self, now: float, change: Callable[[State], State]) -> State:
        if self._file is not None:
            try:
                with _locked(self._file) as descriptor:
                    found = self._read(descriptor, now)
                    # Whoever wrote the file or took it away, this process keeps the rate at the least.
                    changed = change(State(*map(max, found, self._own)))
                    if changed != found:
                        _write(descriptor, changed)
                self._own = changed
                return changed
            except OSError:
                pass  # a folder that cannot be written, or somebody who stands still with the lock
        self._own = change(self._own)
        return self._own

    def _read(self, descriptor: int, now: float) -> State:
        content = os.pread(descriptor, _BYTES, 0)
        if not content:
            return State()
        try:
            boot, full_at, hold = json.loads(content)
            if boot != _boot():
                return State()
            state = State(float(full_at), float(hold))
        except (ValueError, TypeError, OverflowError):
            return State(now + self._slack)
        furthest = now + LONGEST_HOLD + self._burst / self._per_second + 1
        sound = all(math.isfinite(each) and each <= furthest for each in state)
        return state if sound else State(now + self._slack)


def file_of(root: Path | None, connection: str) -> Path | None:
    """Where the processes of a workspace meet; None where it has no private folder."""
    home = None if root is None else root / HOME
    if home is None or not home.is_dir():
        return None
    words = re.sub(r"[^A-Za-z0-9_-]", "_", connection)[:40]
    return home / FOLDER / f"{words}.{hashlib.sha256(connection.encode()).hexdigest()[:8]}"


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """The open file, made where it is missing. OSError where it cannot be had soon."""
    descriptor = _opened(file)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.005)
        yield descriptor
    finally:
        os.close(descriptor)  # and with it the lock


def _opened(file: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        return os.open(file, flags)
    except FileNotFoundError:
        pass
    # As the private folder is, for a group too where that is the group's.
    shared = stat.S_IMODE(os.stat(file.parent.parent).st_mode) & (stat.S_ISGID | stat.S_IRWXG)
    try:
        file.parent.mkdir(mode=0o700)
        file.parent.chmod(0o700 | shared)
    except FileExistsError:
        pass  # another process was quicker
    made = os.open(file, flags | os.O_CREAT, 0o600)
    try:
        os.fchmod(made, 0o600 | (shared & 0o060))
    except PermissionError:
        pass  # another user of the group was quicker
    return made


def _write(descriptor: int, state: State) -> None:
    """In one piece, always as long: a kill leaves the old or the new."""
    text = json.dumps([_boot(), state.full_at, state.hold])
    os.pwrite(descriptor, text.encode().ljust(_BYTES - 1) + b"\n", 0)


def _boot() -> str:
    """Changes with each boot, where the system says so."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
