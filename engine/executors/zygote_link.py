"""The engine's hold on one zygote: its process, its socket, what it said last.

Law: never blocks. What the socket does not take now waits in order, and the handles that go with it are closed
when they have been sent or when the zygote is gone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.executors.birth import TOKEN_ROOM
from engine.executors.processes import TOKEN

LARGEST_REPLY = 1 << 16
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])['path']; "
    "from engine.executors.zygote import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZygoteSettings:
    """How a zygote is started. Nothing in it is secret but `environment`, which goes by exec only."""

    name: str
    runner: str
    preload: tuple[str, ...]
    rehearsal: str
    root: str
    scratch: str
    staging: str
    environment: Mapping[str, str]
    spares: int  # children kept ready while orders come


class ZygoteLink:
    """One zygote from its start to its end."""

    def __init__(self, settings: ZygoteSettings) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.socket = ours
        self.ready = False
        self.heard_at: float | None = None
        self.pinged_at: float | None = None
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._last_words = b""
        try:
            self.process = _spawn(settings, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        assert self.process.stderr is not None
        self.errors = self.process.stderr.fileno()
        os.set_blocking(self.errors, False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def wants_to_write(self) -> bool:
        return bool(self._waiting)

    def send(self, message: Mapping[str, Any], handles: Sequence[int] = ()) -> None:
        """Say something; `handles` are this link's to close from now on."""
        self._waiting.append((msgspec.json.encode(message), list(handles)))
        self.push()

    def push(self) -> None:
        """Send what waits, as far as it goes."""
        while self._waiting:
            data, handles = self._waiting[0]
            try:
                socket.send_fds(self.socket, [data], handles)
            except BlockingIOError:
                return
            except OSError:
                return  # gone: the reading side will see the end and close the rest
            self._waiting.popleft()
            for handle in handles:
                os.close(handle)

    def receive(self, now: float) -> Iterator[Mapping[str, Any]]:
        """What it said. EOFError: it is gone."""
        for _ in range(256):
            try:
                data = self.socket.recv(LARGEST_REPLY)
            except BlockingIOError:
                return
            except OSError as error:
                raise EOFError from error
            if not data:
                raise EOFError
            self.heard_at, self.pinged_at = now, None
            message: Mapping[str, Any] = msgspec.json.decode(data)
            yield message

    def read_errors(self) -> bytes:
        """What it wrote to stderr; b"" at its end. Attempts write to pipes of their own."""
        try:
            data = os.read(self.errors, 1 << 16)
        except BlockingIOError:
            return b" "
        self._last_words = (self._last_words + data)[-4096:]
        return data

    def last_words(self) -> str:
        """The last line it wrote to stderr."""
        lines = self._last_words.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self, *, kill: bool) -> int | None:
        """Let go: without `kill` it sees the end of the socket, kills what it has left and ends by itself."""
        if kill:
            self.process.send_signal(signal.SIGKILL)
        self.socket.close()
        for _, handles in self._waiting:
            for handle in handles:
                os.close(handle)
        self._waiting.clear()
        try:
            return self.process.wait(timeout=12.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stderr is not None:
                self.process.stderr.close()


def _spawn(settings: ZygoteSettings, theirs: socket.socket) -> subprocess.Popen[bytes]:
    told = {
        "path": [entry for entry in sys.path if entry],
        "name": settings.name,
        "runner": settings.runner,
        "preload": list(settings.preload),
        "rehearsal": settings.rehearsal,
        "root": settings.root,
        "scratch": settings.scratch,
        "staging": settings.staging,
        "spares": settings.spares,
    }
    return subprocess.Popen(
        # -P: no module of the folder we happen to stand in; utf8: whatever the locale of the SSH line was.
        [sys.executable, "-P", "-X", "utf8", "-c", _CODE, json.dumps(told), str(theirs.fileno())],
        env={**settings.environment, TOKEN: "-" * TOKEN_ROOM},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=settings.root,
    )
