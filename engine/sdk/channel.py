"""The attempt's end of the wire to its supervisor.

Law: whatever an attempt says goes through here and blocks when the supervisor is behind, so a flood slows its
own author only. A process forked by user code shares the socket but not the right to speak.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from engine.model.errors import ErrorKind
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec
from engine.sdk import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where an attempt works. `scratch` is made on first use and removed by the supervisor."""

    root: Path
    scratch: Path
    staging: Path
    token: str = ""  # of the attempt whose scratch folder is meant; without one, `scratch` is it

    def of(self, token: str) -> Workplace:
        """The same for one attempt of a zygote."""
        return Workplace(root=self.root, scratch=self.scratch, staging=self.staging, token=token)

    @property
    def own_scratch(self) -> Path:
        """The attempt's. Worked out when asked for: joining paths copies a dozen pages, and few attempts ask."""
        return self.scratch / self.token if self.token else self.scratch


class Channel(Protocol):
    """What an attempt can say and ask. Thread-safe."""

    def log(self, level: str, logger: str, text: str) -> None:
        """One record of `logging`."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """How far it is."""

    def metric(self, name: str, value: float) -> None:
        """One custom metric."""

    def checkpoint(self, value: object) -> None:
        """Returns when the engine has committed the value (plain JSON)."""

    def connection(self, connection_id: str) -> Connection:
        """A connection with its secrets resolved."""


Runner = Callable[[AttemptSpec, Channel, Workplace], Outcome]
"""What a zygote is handed by dotted name: runs one attempt inside its process and answers with its outcome.
It turns every exception of the task into an Outcome; what still escapes it is classified by the executor."""


class ChannelClosed(Exception):
    """The supervisor is gone; this process is about to be killed."""


class ConnectionRefused(Exception):
    """The supervisor could not resolve a connection; `kind` says what sort of failure that is."""

    def __init__(self, message: str, kind: ErrorKind) -> None:
        super().__init__(message)
        self.kind = kind


class SocketChannel:
    """Channel over a stream socket."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._numbers = 0
        self._reader: wire.FrameReader | None = None
        self._frames: Iterator[bytes] = iter(())
        self._main = threading.get_ident()
        self.speaking = False  # the main thread is inside a frame: an exception now would tear it
        self.interruption: BaseException | None = None  # to be raised as soon as the frame is out

    def receive_spec(self) -> AttemptSpec:
        """The first frame; nothing comes after it that was not asked for, so no reader is needed to cut it out."""
        data = self._receive()
        size = 4 + int.from_bytes(data[:4], "big")
        while len(data) < size:
            data += self._receive()
        return wire.decode_spec(data[4:])

    def log(self, level: str, logger: str, text: str) -> None:
        self._send(wire.SaidLog(level=level, logger=logger, text=text))

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self._send(wire.SaidProgress(done=done, total=total, unit=unit))

    def metric(self, name: str, value: float) -> None:
        self._send(wire.SaidMetric(name=name, value=value))

    def outcome(self, outcome: Outcome) -> None:
        """The last word."""
        self._send(wire.SaidOutcome(outcome=outcome))

    def checkpoint(self, value: object) -> None:
        with self._asking:
            self._numbers += 1
            self._send(wire.OfferedCheckpoint(number=self._numbers, value=value))
            self._answer(self._numbers)

    def connection(self, connection_id: str) -> Connection:
        with self._asking:
            self._numbers += 1
            self._send(wire.WantedConnection(number=self._numbers, id=connection_id))
            answer = self._answer(self._numbers)
        if not isinstance(answer, wire.Connected) or answer.connection is None:
            reason = getattr(answer, "error", None) or f"Connection '{connection_id}' could not be resolved."
            raise ConnectionRefused(reason, ErrorKind(getattr(answer, "kind", None) or ErrorKind.CONFIGURATION))
        return msgspec.convert(answer.connection, Connection)

    def _answer(self, number: int) -> wire.FromSupervisor:
        while True:
            answer = wire.decode_answer(self._next_frame())
            if answer.number == number:  # an answer to a call that a signal cut short is older: drop it
                return answer

    def _next_frame(self) -> bytes:
        while True:
            for frame in self._frames:
                return frame
            if self._reader is None:
                self._reader = wire.FrameReader(cap=None)
            self._frames = self._reader.feed(self._receive())

    def _receive(self) -> bytes:
        data = self._link.recv(1 << 16)
        if not data:
            raise ChannelClosed("The engine is gone.")
        return data

    def _send(self, message: object) -> None:
        if os.getpid() != self._pid:
            return  # a child of user code: its words would tear the frames of this process
        data = wire.encode(message)
        main = threading.get_ident() == self._main
        try:
            self.speaking = main or self.speaking
            with self._sending:
                self._link.sendall(data)
        except OSError as error:
            raise ChannelClosed("The engine is gone.") from error
        finally:
            if main:
                self.speaking = False
        if main and self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            raise interruption
