"""One attempt as the supervisor sees it: its handles, what it said, what is to become of it.

Law: everything read from an attempt is bounded, masked before it is stored, and believed only in the shapes of
engine.sdk.wire. No loop, no timers, no process here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.executors import processes
from engine.executors.lines import Lines
from engine.executors.logfile import AttemptLog
from engine.executors.loop import Timer
from engine.executors.mask import Masker
from engine.executors.zygote_link import ZygoteLink
from engine.model.run import Outcome
from engine.ports.executor import AttemptSpec
from engine.sdk import wire

READ = 1 << 18  # bytes taken from one handle in one turn of the loop
WARNINGS = 5  # per attempt: what it should not have sent is not worth more lines
LEVELS = {"stdout": "INFO", "stderr": "WARNING"}


@dataclass(slots=True, kw_only=True)
class Usage:
    """What sampling saw of an attempt's process tree."""

    cpu_seconds: float = 0.0
    rss_mb: float = 0.0
    peak_mb: float = 0.0
    read_bytes: int = 0
    write_bytes: int = 0
    taken: bool = False


@dataclass(slots=True, kw_only=True)
class Pipe:
    """One of the two output pipes."""

    stream: str
    handle: int
    lines: Lines
    open: bool = True


@dataclass(slots=True, kw_only=True)
class Live:
    """See the file."""

    spec: AttemptSpec
    link: ZygoteLink
    log: AttemptLog
    masker: Masker
    stamp: Callable[[], str]
    control: socket.socket
    pipes: tuple[Pipe, ...]
    submitted_at: float
    out: bytearray = field(default_factory=bytearray)  # for the control socket
    reader: wire.FrameReader = field(default_factory=wire.FrameReader)
    control_open: bool = True
    watched: int = 0  # what the loop watches the control socket for
    timers: list[Timer] = field(default_factory=list)
    quiet: bool = False  # the last read of the control socket found nothing
    pid: int | None = None
    pid_started: float = 0.0
    started_at: float | None = None
    killed_for: str | None = None
    kill_grace: float = 0.0
    outcome: Outcome | None = None
    usage: Usage = field(default_factory=Usage)
    waiting_checkpoint: int | None = None
    waiting_connection: int | None = None
    progress: wire.SaidProgress | None = None  # the latest, not delivered yet
    metrics: dict[str, float] = field(default_factory=dict)  # the latest of each, not delivered yet
    told_at: float = 0.0
    telling: bool = False  # a timer will deliver progress and metrics
    paused: bool = False  # it floods; its handles are not read for a moment
    window_at: float = 0.0
    window_lines: int = 0
    warnings: int = 0

    def look(self) -> float:
        """When its process started, looked up once; 0.0: so short that it has ended already."""
        if self.pid is not None and not self.pid_started:
            self.pid_started = processes.start_time(self.pid) or 0.0
        return self.pid_started

    # ----------------------------------------------------------------------------------------- what it says

    def hear(self) -> Iterator[wire.FromAttempt]:
        """One read of the control socket: the messages that are whole. Whatever else comes is noted and ignored."""
        try:
            data = self.control.recv(READ)
        except BlockingIOError:
            self.quiet = True
            return
        except OSError:
            data = b""
        self.quiet = False
        if not data:
            self.control_open = False
            return
        skipped = self.reader.skipped
        for frame in self.reader.feed(data):
            self.window_lines += 1
            try:
                yield wire.decode_said(frame)
            except ValueError as error:
                self.warn(f"The attempt sent a message that is not understood and was ignored: {str(error)[:200]}")
        if self.reader.skipped > skipped:
            self.warn(f"The attempt sent a message of more than {wire.MAX_MESSAGE} bytes; it was ignored.")

    def read_pipe(self, pipe: Pipe) -> int:
        """One read of an output pipe into the log; the bytes read, 0 when nothing came."""
        try:
            data = os.read(pipe.handle, READ)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            pipe.open = False
        self._record(pipe, pipe.lines.feed(data) if data else pipe.lines.end())
        return len(data)

    def _record(self, pipe: Pipe, lines: Iterator[tuple[bytes, bool]]) -> None:
        at, level = self.stamp(), LEVELS[pipe.stream]
        for line, more in lines:
            self.window_lines += 1
            self.log.add(pipe.stream, level, line, at=at, more=more)

    def say_log(self, said: wire.SaidLog) -> None:
        """A record of `logging`, cut like any other line."""
        data = said.text.encode("utf-8", "replace")
        lines = Lines(self.masker)
        for line, more in [*lines.feed(data), *lines.end()] or [(b"", False)]:
            self.log.add("log", said.level[:20], line, at=self.stamp(), more=more, logger=said.logger[:80] or None)

    def note(self, level: str, text: str) -> None:
        """A line of the engine's own in the attempt's log."""
        self.log.add("engine", level, self.masker.text(text).encode("utf-8", "replace"), at=self.stamp())

    def warn(self, text: str) -> None:
        """A note about what should not have been sent; a flood of them says nothing more."""
        self.warnings += 1
        if self.warnings <= WARNINGS:
            self.note("WARNING", text)

    # --------------------------------------------------------------------------------------- what it is told

    def tell(self, message: object) -> None:
        """Queue an answer; `push` sends."""
        self.out += wire.encode(message)
        self.push()

    def push(self) -> None:
        """Send what waits, as far as it goes."""
        while self.out and self.control_open:
            try:
                sent = self.control.send(memoryview(self.out)[: 1 << 20])
            except BlockingIOError:
                return
            except OSError:
                self.out.clear()  # it does not listen any more; its exit will tell
                return
            del self.out[:sent]

    # ------------------------------------------------------------------------------------------ at its end

    def drain(self) -> Iterator[wire.FromAttempt]:
        """What is still in the handles when no process is left to write: all of it, bounded by their buffers."""
        while self.control_open and not self.quiet:
            yield from self.hear()
        for pipe in self.pipes:
            while pipe.open and self.read_pipe(pipe):
                pass
            if pipe.open:  # somebody outside holds the other end; what was said is said
                self._record(pipe, pipe.lines.end())

    def last_error_line(self) -> str:
        """The last line on stderr, where programs say what went wrong."""
        for pipe in self.pipes:
            if pipe.stream == "stderr" and pipe.lines.last:
                return pipe.lines.last[-300:].decode("utf-8", "replace").strip()
        return ""

    def close(self) -> None:
        """Let go of every handle."""
        self.log.close()
        self.control.close()
        for pipe in self.pipes:
            os.close(pipe.handle)

    def mask(self, value: Any) -> Any:
        """Plain JSON without secrets."""
        return self.masker.json(value)
