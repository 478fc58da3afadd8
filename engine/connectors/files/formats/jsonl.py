"""JSON Lines: one record a line."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pyarrow as pa

from engine.connectors.files.compression import Plain
from engine.connectors.files.formats import records
from engine.connectors.files.formats.csv_blocks import BLOCK, blocks
from engine.connectors.files.formats.json import exact
from engine.connectors.files.names import shown
from engine.connectors.files.source_file import SourceFile
from engine.model.errors import DataQualityError


def look(file: SourceFile) -> pa.Schema:
    """The columns of the first records."""
    with file.plain() as plain, closing(_records(file, plain, 1 << 18)) as found:
        return records.look(found, file.options, file.entry.name)


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The records, line by line."""
    with file.plain() as plain, closing(_records(file, plain, BLOCK)) as found:
        told = file.options, file.entry.name, lambda: plain.count
        yield from records.read(found, schema, file.known, *told)


def _records(file: SourceFile, plain: Plain, size: int) -> Generator[Any, None, None]:
    decode = json.JSONDecoder(parse_float=Decimal if exact(file) else None).decode
    number = 0
    for block in blocks(plain, "", file.options.encoding, file.entry.name, size):
        for line in bytes(block).split(b"\n"):
            number += 1
            if line and not line.isspace():
                try:
                    yield decode(line.decode())
                except (ValueError, RecursionError) as error:
                    near = shown(line[:80].decode(errors="replace"), 60)
                    raise DataQualityError(
                        f"'{file.name}', line {number:,} is no JSON or cut short: {near} Correct the file."
                    ) from error
        number -= 1  # a block ends with its last line's end
