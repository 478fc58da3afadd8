"""Arrow IPC, as a stream or as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from engine.connectors.files.names import shown
from engine.connectors.files.shapes import BATCH_BYTES, converted, slices, travelling
from engine.connectors.files.source_file import SourceFile
from engine.model.errors import DataQualityError

_FILE = b"ARROW1"


def look(file: SourceFile) -> pa.Schema:
    """The columns, from the head or the footer."""
    with _opened(file) as reader:
        return travelling(reader.schema)


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows, in the columns and types of `schema`."""
    with _opened(file) as reader:
        for batch in _batches(reader):
            for part in slices(batch, BATCH_BYTES, file.options.batch_rows):
                yield converted(part, schema, file.entry.name)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if hasattr(reader, "num_record_batches"):
        for at in range(reader.num_record_batches):
            yield reader.get_batch(at)
    else:
        yield from reader


@contextmanager
def _opened(file: SourceFile) -> Iterator[Any]:
    try:
        with file.plain() as plain:
            is_file = plain.read(len(_FILE)) == _FILE
        if is_file:
            with file.seekable() as opened:
                yield pa.ipc.open_file(opened)
        else:
            with file.plain() as plain:
                yield pa.ipc.open_stream(pa.PythonFile(_Readable(plain), mode="r"))
    except (pa.ArrowInvalid, OSError) as error:
        said = shown(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise DataQualityError(
            f"'{file.name}' is no whole Arrow file: {said} Nothing of it is loaded; have it written again."
        ) from error


class _Readable:
    """What Arrow asks of a Python file."""

    closed = False

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def read(self, size: int = -1) -> bytes:
        found = b""
        while len(found) < size and (data := self._plain.read(size - len(found))):
            found += data
        return found

    def close(self) -> None:
        self.closed = True
