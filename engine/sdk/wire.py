"""The messages between an attempt and its supervisor, and how they travel.

Law: a frame is a length (4 bytes, big-endian) and that many bytes of JSON. What comes from an attempt is
hostile until decoded: only the shapes below are accepted, a frame beyond the cap is skipped without being kept,
and nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.model.run import Outcome
from engine.ports.executor import AttemptSpec

MAX_MESSAGE = 1 << 20  # what an attempt may say at once; the other direction is trusted
INLINE_OUTPUTS = 64 << 10  # JSON of all outputs of one attempt; the rest is staged as files

# ------------------------------------------------------------------------------ attempt -> supervisor


class SaidProgress(msgspec.Struct, tag="progress", tag_field="t", frozen=True):
    """ctx.progress."""

    done: float
    total: float | None = None
    unit: str = "rows"


class SaidMetric(msgspec.Struct, tag="metric", tag_field="t", frozen=True):
    """ctx.metric."""

    name: str
    value: float


class SaidLog(msgspec.Struct, tag="log", tag_field="t", frozen=True):
    """One record of `logging`."""

    level: str
    logger: str
    text: str


class OfferedCheckpoint(msgspec.Struct, tag="checkpoint", tag_field="t", frozen=True):
    """ctx.checkpoint.save: the attempt waits for Acknowledged."""

    number: int
    value: Any


class WantedConnection(msgspec.Struct, tag="connection", tag_field="t", frozen=True):
    """ctx.connection: the attempt waits for Connected."""

    number: int
    id: str


class SaidOutcome(msgspec.Struct, tag="outcome", tag_field="t", frozen=True):
    """The last word of an attempt."""

    outcome: Outcome


FromAttempt = SaidProgress | SaidMetric | SaidLog | OfferedCheckpoint | WantedConnection | SaidOutcome

# ------------------------------------------------------------------------------ supervisor -> attempt


class Acknowledged(msgspec.Struct, tag="ack", tag_field="t", frozen=True):
    """Checkpoint `number` is committed."""

    number: int


class Connected(msgspec.Struct, tag="connected", tag_field="t", frozen=True):
    """A connection with its secrets resolved, or the sentence that says why not."""

    number: int
    connection: Mapping[str, Any] | None = None
    error: str | None = None
    kind: str | None = None


FromSupervisor = Acknowledged | Connected

_encoder = msgspec.json.Encoder()
_from_attempt: msgspec.json.Decoder[FromAttempt] = msgspec.json.Decoder(FromAttempt)
_from_supervisor: msgspec.json.Decoder[FromSupervisor] = msgspec.json.Decoder(FromSupervisor)
_spec = msgspec.json.Decoder(AttemptSpec)


def encode(message: object) -> bytes:
    """A whole frame. Raises what msgspec raises for what is not JSON."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_said(body: bytes) -> FromAttempt:
    """One message of an attempt. ValueError for anything that is not exactly one of the shapes above."""
    try:
        return _from_attempt.decode(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def decode_answer(body: bytes) -> FromSupervisor:
    """One message of the supervisor."""
    return _from_supervisor.decode(body)


def decode_spec(body: bytes) -> AttemptSpec:
    """The first message of the supervisor."""
    return _spec.decode(body)


class FrameReader:
    """Cuts a stream of bytes into frames and holds at most one unfinished frame. A frame longer than `cap` is
    counted in `skipped` and thrown away as it arrives."""

    __slots__ = ("_buffer", "_cap", "_skip", "skipped")

    def __init__(self, cap: int | None = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._cap = cap
        self._skip = 0
        self.skipped = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now; take them all before feeding again."""
        self._buffer += data
        at = 0
        while True:
            at = self._pass_over(at)
            if len(self._buffer) - at < 4:
                break
            size = int.from_bytes(self._buffer[at : at + 4], "big")
            if self._cap is not None and size > self._cap:
                self.skipped += 1
                self._skip = size + 4
                continue
            if len(self._buffer) - at - 4 < size:
                break
            yield bytes(self._buffer[at + 4 : at + 4 + size])
            at += 4 + size
        del self._buffer[:at]

    def _pass_over(self, at: int) -> int:
        """Step over what is left of a frame that is being skipped."""
        if not self._skip:
            return at
        step = min(self._skip, len(self._buffer) - at)
        self._skip -= step
        return at + step
