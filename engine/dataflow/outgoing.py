"""Rows as JSON on their way out: to web services and queues.

Law: no value changes on the way: decimals keep their digits, times are ISO 8601, bytes are base64, JSON kept as
text is JSON again, what is no number (NaN) is null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from engine.dataflow.kinds import kind_of
from engine.dataflow.streams import Batches
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError
from engine.ports.stream import Stream

_encode = msgspec.json.Encoder(decimal_format="number").encode


def rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Each row as an object that `json_bytes` takes."""
    nested = [one.name for one in batch.schema if kind_of(one) is DataKind.JSON and _is_text(one.type)]
    for row in batch.to_pylist():
        for name in nested:
            if row[name] is not None:
                row[name] = msgspec.Raw(row[name].encode())
        yield row


def json_bytes(value: Any) -> bytes:
    """A row, or a list of rows."""
    return _encode(value)


def portions(stream: Iterable[pa.RecordBatch], size: int) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists of `size`, the last one shorter; batch borders do not show."""
    held: list[dict[str, Any]] = []
    for batch in stream:
        for row in rows(batch):
            held.append(row)
            if len(held) >= size:
                yield held
                held = []
    if held:
        yield held


def message_id(token: str, number: int, content: bytes) -> str:
    """The same for the same content at the same place of the same load; another where the content changed, so that
    what is known already is left out and nothing else is."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    load = hashlib.sha256(token.encode()).hexdigest()[:24]
    return f"{load}-{number}-{digest}"


def spool(stream: Stream, file: Path) -> int:
    """Rows into a local Arrow file, to be sent later; how many."""
    count = 0
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, stream.schema) as writer:
        for batch in stream:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def spooled(file: Path) -> Stream:
    """What `spool` wrote."""
    if not file.is_file():
        raise ConfigurationError(f"The rows staged in {file.name} are gone; retry the task from its beginning.")
    source = pa.memory_map(str(file))
    reader = pa.ipc.open_stream(source)
    return Batches(reader.schema, iter(reader), source.close)


def _is_text(given: pa.DataType) -> bool:
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
