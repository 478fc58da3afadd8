"""Other processes as Linux shows them in /proc: who they are, whose children, which attempt's.

Law: looks and signals, keeps nothing. A process is named by pid and start time together, because pids are used
again. A process that ends while being looked at is simply not there.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
from collections.abc import Iterable

TOKEN = "PENSTOCK_ATTEMPT_TOKEN"
_TICKS = os.sysconf("SC_CLK_TCK")

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
# Called in every attempt before anything else: no types to convert to, no errno to keep, no lock to let go of.
_prctl = ctypes.PyDLL(None).prctl
_ATTEMPT_NAME = b"penstock-task"


def prctl(option: int, value: int) -> None:
    """One prctl call; OSError when the kernel refuses."""
    if _prctl(option, value, 0, 0, 0) != 0:
        raise OSError(f"prctl({option}) is refused by the kernel")


def set_name(name: str | None = None) -> None:
    """What `ps` and `top` call this process (15 characters); without a name, an attempt's."""
    if name is None:
        _prctl(PR_SET_NAME, _ATTEMPT_NAME, 0, 0, 0)
    else:
        _prctl(PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]), 0, 0, 0)


def bare_fork() -> int:
    """fork(2) without Python's own hooks around it.

    Those hooks renew locks that other threads may have held, forget those threads, and seed `random` anew; in
    the child they touch 900 KB of pages that fork had shared, a quarter of what an attempt costs. Safe in a
    zygote alone: it has one thread, holds no lock here, and seeds `random` itself before each fork."""
    pid = int(_fork())
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


_fork = ctypes.PyDLL(None, use_errno=True).fork  # PyDLL: the interpreter's lock stays held across the call


class OomScore:
    """How readily the kernel ends this process when memory runs out; children inherit it.

    When that comes it should take an attempt, which is tried again, and neither the engine nor the zygote. So the
    zygote stands in an attempt's place while it forks, and the attempts have nothing to write."""

    def __init__(self) -> None:
        try:
            self._handle: int | None = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            self._own = os.read(self._handle, 16)
        except OSError:
            self._handle = None  # not Linux, or a container that forbids it: the kernel chooses by size alone

    def offer(self) -> None:
        """As an attempt."""
        self._write(_OFFERED)

    def take_back(self) -> None:
        """As it was."""
        self._write(self._own)

    def _write(self, score: bytes) -> None:
        if self._handle is not None:
            try:
                os.pwrite(self._handle, score, 0)
            except OSError:
                self._handle = None  # forbidden after all


_OFFERED = b"500"


def start_time(pid: int) -> float | None:
    """Seconds from boot to the process's start: never moved by a change of the clock. None: no such process, or
    only its zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return int(fields[19]) / _TICKS


def name_of(pid: int) -> str:
    """The process's short name."""
    return _read(f"/proc/{pid}/comm").decode("utf-8", "replace").strip() or "?"


def user_of(pid: int) -> str:
    """Whose process it is."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        return pwd.getpwuid(uid).pw_name
    except FileNotFoundError:
        return "?"
    except KeyError:
        return str(uid)


def children(pid: int) -> list[int]:
    """Direct children, of all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def own_children() -> list[int]:
    """Children of this single-threaded process, in one read. Nothing leaves that list but by this process
    waiting for it, so nothing is missed."""
    return [int(child) for child in _read(f"/proc/self/task/{os.getpid()}/children").split()]


def descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        found.extend(below)
        waiting.extend(below)
    return found


def token_of(pid: int) -> str | None:
    """The attempt token in the environment the process was started with; None where there is none or where it
    may not be read."""
    mark = f"{TOKEN}=".encode()
    for entry in _read(f"/proc/{pid}/environ").split(b"\0"):
        if entry.startswith(mark):
            return entry[len(mark) :].decode("ascii", "replace") or None
    return None


def carriers(tokens: Iterable[str]) -> dict[int, str]:
    """Every living process that carries one of the tokens: pid -> token."""
    wanted = set(tokens)
    found: dict[int, str] = {}
    for entry in os.listdir("/proc"):
        token = token_of(int(entry)) if entry.isdigit() else None
        if token is not None and token in wanted and start_time(int(entry)) is not None:
            found[int(entry)] = token
    return found


def zygotes(mark: bytes) -> list[int]:
    """Living zygotes, and what they forked, whose command line holds `mark`."""
    found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    lines = ((pid, _read(f"/proc/{pid}/cmdline")) for pid in found)
    named = [pid for pid, line in lines if mark in line and b"engine.executors.zygote" in line]
    return [pid for pid in named if start_time(pid) is not None]


def send(pid: int, number: int, *, group: bool = False) -> bool:
    """Signal a process or its group; False: we may not. One that is gone counts as done."""
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def kill_tree(pid: int) -> bool:
    """KILL a process, its group if it leads one, and everything below it. False: one of them we may not."""
    below = descendants(pid)
    done = send(pid, signal.SIGKILL)
    try:
        if os.getpgid(pid) == pid:
            done = send(pid, signal.SIGKILL, group=True) and done
    except ProcessLookupError:
        pass
    for one in below:
        done = send(one, signal.SIGKILL) and done
    return done


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name: state first."""
    text = _read(f"/proc/{pid}/stat", whole=False)
    return text[text.rfind(b")") + 2 :].decode("ascii").split() if text else None


def _read(path: str, *, whole: bool = True) -> bytes:
    """What is in it; not `whole`: what one read gives, which for a line of the kernel's is all of it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not whole:
            return os.read(handle, 4096)
        parts = []
        while part := os.read(handle, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(handle)
