"""A bounded read of a queue: messages as rows, confirmed when the rows are safe.

Law: it ends after `max_messages` or `max_seconds`, whichever comes first. JSON objects become columns, anything
else one column `value`, text or bytes; `_id`, `_at` and `_key` say which message a row came from. Nothing is
confirmed but by `acknowledge`, so a read that dies loses nothing, and a message may come twice: `_id` tells.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from engine.connectors.queues.messages import Consumer, Message
from engine.dataflow.kinds import columns_of
from engine.dataflow.records import Record, Shape
from engine.model.dataset import DatasetTouch, Direction
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.source import Seen, Selection
from engine.ports.stream import RawText

MAX_MESSAGES, MAX_SECONDS = 10_000, 10.0
_META: Mapping[str, str] = {"_id": "string", "_at": "timestamp", "_key": "string"}
_PULL, _FIRST_PULL = 500, 50
_SAMPLE = 1000  # messages looked at before the columns stand
_SAMPLE_SECONDS = 0.2  # how long more of them are waited for
_BATCH_ROWS = 10_000
_BATCH_BYTES = 4 << 20


class QueueReading:
    """See engine.ports.source.Reading."""

    acknowledges = True

    def __init__(self, consumer: Consumer, selection: Selection, *, where: str, dataset: str, uri: str) -> None:
        if selection.window is not None:
            raise ConfigurationError(
                f"{where}: a queue hands out each message until it is confirmed; leave `incremental` out."
            )
        options = selection.options
        self._consumer, self._where, self._dataset, self._uri = consumer, where, dataset, uri
        self._most = int(options.get("max_messages", MAX_MESSAGES))
        self._batch_rows = int(options.get("batch_rows") or _BATCH_ROWS)
        self._seconds = float(options.get("max_seconds", MAX_SECONDS))
        types = {str(name): str(kind) for name, kind in (options.get("types") or {}).items()}
        self._as = types.get("value", "")  # what every payload is, where the definition says so
        self._shape = Shape({**types, **_META}, selection.columns)
        self._until: float | None = None
        self._pulled = self._bytes = self._handed = 0
        self._first: list[Message] = []
        self._schema: pa.Schema | None = None
        self._batches: Iterator[pa.RecordBatch] | None = None

    @property
    def schema(self) -> pa.Schema:
        """Learned from the first messages; without any, the three columns that every message has."""
        if self._schema is None:
            self._learn()
        assert self._schema is not None
        return self._schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._batches is None:
            self._batches = self._read()
        return self._batches

    def close(self) -> None:
        """What was not acknowledged goes back."""
        self._consumer.close()

    def touches(self) -> Sequence[DatasetTouch]:
        columns = columns_of(self._schema) if self._schema is not None else ()
        return (
            DatasetTouch(
                direction=Direction.READ,
                dataset=self._dataset,
                uri=self._uri,
                bytes=self._bytes,
                columns=columns,
                transformation="extract",
            ),
        )

    def seen(self) -> Seen | None:
        """The broker remembers, not a watermark."""
        return None

    def position(self) -> Any:
        """A read starts anew: what was not confirmed is handed out again."""
        return None

    def raw(self) -> RawText | None:
        return None

    def acknowledge(self) -> None:
        if self._pulled:
            self._consumer.acknowledge()

    def _learn(self) -> None:
        for some in self._pulls():
            self._first += some
            if len(self._first) >= _SAMPLE or self._bytes >= _BATCH_BYTES:
                break
        if not self._as:
            self._as = _payload_kind(self._first)
        self._shape.learn(self._record(each) for each in self._first)
        self._schema = self._shape.schema

    def _pulls(self, patient: bool = False) -> Iterator[list[Message]]:
        """Messages as they come, up to the bounds; impatient: once some are there, only what follows soon."""
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        while self._pulled < self._most:
            left = self._until - time.monotonic()
            if left <= 0:
                return
            wait = left if patient or not self._pulled else min(left, _SAMPLE_SECONDS)
            some = self._consumer.pull(min(self._at_once(), self._most - self._pulled), wait)
            if not some and not patient and self._pulled:
                return
            self._pulled += len(some)
            self._bytes += sum(len(each.payload) for each in some)
            if some:
                yield some

    def _at_once(self) -> int:
        """How many messages one pull asks for: what fits a batch, by the size of those that came."""
        if not self._bytes:
            return _FIRST_PULL
        return max(1, min(_PULL, _BATCH_BYTES * self._pulled // self._bytes))

    def _read(self) -> Iterator[pa.RecordBatch]:
        assert self.schema is not None  # asked first: it takes the sample
        held, size = self._first, sum(len(each.payload) for each in self._first)
        self._first = []
        for some in self._pulls(patient=True):
            held += some
            size += sum(len(each.payload) for each in some)
            if len(held) >= self._batch_rows or size >= _BATCH_BYTES:
                yield self._batch(held)
                held, size = [], 0
        if held:
            yield self._batch(held)

    def _batch(self, messages: Sequence[Message]) -> pa.RecordBatch:
        begin, self._handed = self._handed + 1, self._handed + len(messages)
        where = f"{self._where}, messages {begin} to {self._handed}"
        return self._shape.batch([self._record(each) for each in messages], where)

    def _record(self, message: Message) -> Record:
        meta = {"_id": message.id, "_at": message.at, "_key": message.key}
        if self._as != "object":
            return {"value": self._value(message), **meta}
        found = _object(message.payload, exact=self._shape.exact)
        if found is None:
            raise DataQualityError(
                f"{self._where}: message {message.id or self._handed + 1} is no JSON object, as the first ones "
                "are. To take messages of any kind, write `types: {value: string}` or `binary`."
            )
        # The message's own `_id` stays, beside the one that names the message.
        return {**{f"{name}_" if name in _META else name: value for name, value in found.items()}, **meta}

    def _value(self, message: Message) -> Any:
        if self._as in ("binary", "bytes"):
            return message.payload
        try:
            text = message.payload.decode()
            return json.loads(text) if self._as == "json" else text
        except (ValueError, RecursionError):
            raise DataQualityError(
                f"{self._where}: message {message.id or self._handed + 1} is no {self._as or 'text'}, as the rest. "
                "To take messages of any kind, write `types: {value: binary}`."
            ) from None


def _payload_kind(messages: Sequence[Message]) -> str:
    if messages and all(_object(each.payload) is not None for each in messages):
        return "object"
    try:
        for each in messages:
            each.payload.decode()
    except UnicodeDecodeError:
        return "bytes"
    return "text"


def _object(payload: bytes, exact: bool = False) -> dict[str, Any] | None:
    if not payload.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(payload, parse_float=Decimal if exact else None)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
