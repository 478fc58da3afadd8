"""A process on a pseudo-terminal of its own, with nobody in front of it: keys go in, a screen comes out.

Law: the process leads its own session with this terminal, as under a shell, so closing it is a hang-up. Waiting is
for something to be seen, with a deadline. It answers what a terminal of today is asked about its modes, no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from checks.screen import Screen

KEYS = {
    "down": "\x1b[B", "up": "\x1b[A", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pagedown": "\x1b[6~", "pageup": "\x1b[5~", "enter": "\r", "escape": "\x1b", "tab": "\t", "backspace": "\x7f",
    "ctrl+a": "\x01", "ctrl+k": "\x0b", "ctrl+q": "\x11", "space": " ",
}  # fmt: skip
_MODERN = b"\x1b[?2026;2$y"  # synchronised output: known


class Terminal:
    """One process and its terminal."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        size: tuple[int, int] = (80, 24),
        limit: float = 60.0,
    ) -> None:
        self.screen = Screen(*size)
        self.limit = limit
        self.raw = bytearray()
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.settings: list[Any] = termios.tcgetattr(self._slave)
        name = os.ttyname(self._slave)
        self.status: int | None = None
        self.started = time.perf_counter()
        self.pid = os.posix_spawn(
            command[0],
            list(command),
            dict(environment),
            setsid=True,  # the first terminal it opens then is its own
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, 0, 2),
            ],
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    # ---- what comes out

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self.screen.text

    def read(self, seconds: float = 0.0) -> bytes:
        """What was written, waiting at most so long for the first of it."""
        if self._master < 0 or not select.select([self._master], [], [], seconds)[0]:
            return b""
        data = os.read(self._master, 1 << 16)
        self.raw += data
        self.screen.feed(data)
        while self.screen.asked:
            if self.screen.asked.pop() == "?2026":
                os.write(self._master, _MODERN)
        return data

    def until(self, condition: str | Callable[[], object], seconds: float | None = None) -> float:
        """Read until a text is on the screen, or the condition holds; when that was, in seconds since the start."""
        met = condition if callable(condition) else lambda: condition in self.text
        end = time.monotonic() + (self.limit if seconds is None else seconds)
        while not met():
            if time.monotonic() > end:
                raise TimeoutError(f"It did not come to be: {condition!r}\n{self.text}")
            self.read(0.02)
        return time.perf_counter() - self.started

    def quiet(self, seconds: float = 0.3, most: float = 10.0) -> int:
        """Read until nothing came for so long; how many bytes came."""
        before, end = len(self.raw), time.monotonic() + most
        while self.read(seconds) and time.monotonic() < end:
            pass
        return len(self.raw) - before

    # ---- what goes in

    def press(self, *keys: str) -> None:
        """Keys by name, or text."""
        os.write(self._master, "".join(KEYS.get(each, each) for each in keys).encode())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """A signal for the process."""
        if self.status is None:
            os.kill(self.pid, number)

    def hang_up(self) -> None:
        """The line is dropped."""
        for handle in (self._slave, self._master):
            if handle >= 0:
                os.close(handle)
        self._slave = self._master = -1

    # ---- how it ends

    def ended(self) -> int | None:
        """Its exit status (minus the number of the signal), while it lives None."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float | None = None) -> int:
        """Until it has ended; everything it wrote is on the screen then."""
        end = time.monotonic() + (self.limit if seconds is None else seconds)
        while (status := self.ended()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"It did not end.\n{self.text}")
            self.read(0.02)
            if self._master < 0:
                time.sleep(0.01)
        while self.read(0.05):
            pass
        return status

    def restored(self) -> dict[str, object]:
        """What an application left otherwise than it found it; empty when it cleaned up."""
        left: dict[str, object] = {}
        wrong = {"1000", "1003", "1004", "1006", "1015", "1049", "2004", "2048"} & self.screen.modes
        if wrong:
            left["modes"] = sorted(wrong)
        if "25" not in self.screen.modes:
            left["cursor"] = "hidden"
        if self.screen.keyboard:
            left["keyboard"] = self.screen.keyboard
        now = termios.tcgetattr(self._slave)
        if now[:6] != self.settings[:6]:
            left["settings"] = now
        return left

    def close(self) -> None:
        """The process is gone afterwards, and so is the terminal."""
        if self.ended() is None:
            self.kill()
            os.waitpid(self.pid, 0)
            self.status = -signal.SIGKILL
        self.hang_up()

    # ---- what it costs

    @property
    def cpu(self) -> float:
        """Seconds of processor time it took, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """Megabytes that are resident."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found.group(1)) / 1024 if found else 0.0


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user with a modern terminal and an empty home."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES", "TMUX")}
    for name in ("config", "state"):
        with contextlib.suppress(FileExistsError):
            (home / name).mkdir(parents=True)
    return {
        **kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state"),
        "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **more,
    }  # fmt: skip
