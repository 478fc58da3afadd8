"""A limited Python process that answers JSON over pipes; template rendering and Python definitions run in one.

Law: the child inherits no secret (a handful of harmless variables is all it gets), no handle and no session.
Every answer has a deadline and a size; a child that passes either is killed with its whole process group.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

MAX_ANSWER = 16 << 20
_HEAD = 4
_START_SECONDS = 20.0  # a machine under load may take its time to start Python
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")


class ChildTimeout(Exception):
    """No answer in time; the child has been killed."""


class ChildDied(Exception):
    """The child ended instead of answering."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode
        how = f"signal {-returncode}" if returncode < 0 else f"exit {returncode}"
        super().__init__(how)


class Child:
    """One running child. Not thread-safe; its owner locks."""

    def __init__(self, module: str, cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=cwd or "/",
            env=_bare_environment(),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # asked for above
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._buffer = bytearray()
        try:
            self._frame(time.monotonic() + _START_SECONDS, _START_SECONDS)  # the child says that it is ready
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, message: Any, *, seconds: float, total: float | None = None) -> Any:
        """Send a message, read the answer; an empty one means "still at it" and renews `seconds` up to `total`. A
        child that a busy machine does not let run is not slow: up to `total`, only its own time counts."""
        body = json.dumps(message, default=to_json).encode()
        last = time.monotonic() + (total or seconds)
        try:
            self._send(len(body).to_bytes(_HEAD, "big") + body, last)
            while not (frame := self._frame(last, seconds)):
                pass
            return json.loads(frame)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child and everything it started."""
        if self._process.returncode is None:
            self._end_group()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._to, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._to, view[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._died() from None

    def _frame(self, last: float, seconds: float) -> bytes:
        head = self._take(_HEAD, last, seconds)
        size = int.from_bytes(head, "big")
        if size > MAX_ANSWER:
            raise ChildTimeout(f"the answer is larger than {MAX_ANSWER >> 20} MiB")
        return self._take(size, last, seconds)

    def _take(self, size: int, last: float, seconds: float) -> bytes:
        spent = self._spent()
        while len(self._buffer) < size:
            try:
                self._wait(self._from, select.POLLIN, min(last, time.monotonic() + seconds))
            except ChildTimeout:
                now = self._spent()
                if time.monotonic() >= last or spent is None or now is None or now - spent >= seconds / 2:
                    raise
            try:
                chunk = os.read(self._from, 1 << 16)
            except BlockingIOError:
                continue
            if not chunk:
                raise self._died()
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _spent(self) -> float | None:
        """Processor seconds of the child; None where that is not told."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        times = text[text.rfind(")") + 2 :].split()[11:13]
        if len(times) < 2:
            return None  # read while the kernel takes the process away: there is nothing to count any more
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def _wait(self, fd: int, what: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(fd, what)
        if left <= 0 or not poll.poll(left * 1000):
            raise ChildTimeout("no answer in time")

    def _died(self) -> ChildDied:
        """How it ended. One that only closed its pipe and lives on is ended here."""
        deadline = time.monotonic() + 1
        looking = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while os.waitid(os.P_PID, self._process.pid, looking) is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return ChildDied(self._end_group())

    def _end_group(self) -> int:
        """Kill the group while its leader is not reaped yet: until then its number can't belong to anybody else."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        return self._process.wait()


def _bare_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    home_of_engine = str(Path(__file__).resolve().parents[2])
    return {**kept, "PYTHONPATH": home_of_engine, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}


def to_json(value: Any) -> Any:
    """For json.dumps: what a context holds beside JSON. Instants travel tagged, so that the child has them."""
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def from_json(pairs: dict[str, Any]) -> Any:
    """The object_hook that undoes to_json."""
    if len(pairs) == 1 and isinstance(pairs.get("$datetime"), str):
        return datetime.fromisoformat(pairs["$datetime"])
    return pairs


class Parent:
    """The child's side of the pipes. Whatever user code prints goes to stderr, never into an answer."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        os.set_inheritable(self._in.fileno(), False)
        os.dup2(2, 1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)

    def limit(self, *, memory_mb: int, cpu_seconds: int | None = None) -> None:
        """Lower this process's limits for good."""
        _lower(resource.RLIMIT_AS, memory_mb << 20)
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, 64 << 20)
        if cpu_seconds is not None:
            _lower(resource.RLIMIT_CPU, cpu_seconds)

    def ready(self) -> None:
        """Tell the parent that messages are taken."""
        self.tick()

    def tick(self) -> None:
        """Tell the parent that work goes on."""
        self._write(b"")

    def receive(self) -> Any | None:
        """The next message; None when the parent is gone."""
        head = self._in.read(_HEAD)
        if len(head) < _HEAD:
            return None
        return json.loads(self._in.read(int.from_bytes(head, "big")), object_hook=from_json)

    def answer(self, message: Any) -> None:
        """Reply. ValueError when the answer is no JSON or too large."""
        body = json.dumps(message, allow_nan=False).encode()
        if len(body) > MAX_ANSWER:
            raise ValueError(f"the result is larger than {MAX_ANSWER >> 20} MiB")
        self._write(body)

    def _write(self, body: bytes) -> None:
        self._out.write(len(body).to_bytes(_HEAD, "big") + body)
        self._out.flush()


def _lower(which: int, wanted: int) -> None:
    _, hard = resource.getrlimit(which)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (limit, limit))
