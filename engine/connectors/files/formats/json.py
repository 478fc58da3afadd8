"""JSON: one document with a list of records, at its top or at `data_path`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from engine.connectors.files.compression import Plain
from engine.connectors.files.formats import records
from engine.connectors.files.formats.json_stream import JsonText, elements
from engine.connectors.files.source_file import SourceFile
from engine.model.dataset import DataKind


def look(file: SourceFile) -> pa.Schema:
    """The columns of the first records."""
    with file.plain() as plain, closing(_records(file, plain)) as found:
        return records.look(found, file.options, file.entry.name)


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The records, and the rest of the document to its end."""
    with file.plain() as plain, closing(_records(file, plain)) as found:
        told = file.options, file.entry.name, lambda: plain.count
        yield from records.read(found, schema, file.known, *told)


def _records(file: SourceFile, plain: Plain) -> Generator[Any, None, None]:
    text = JsonText(plain, file.entry.name, file.options.encoding, exact(file))
    yield from elements(text, [part for part in file.options.data_path.split(".") if part], file.entry.name)
    text.finish()


def exact(file: SourceFile) -> bool:
    """Whether a column wants the digits of numbers as they are written."""
    return any(each.kind is DataKind.DECIMAL for each in file.options.types.values())
