"""JSON and JSON Lines, written.

Law: decimals are number literals with all their digits, times ISO 8601, binary base64; JSON columns are put in as
the values they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa

from engine.connectors.files.names import shown
from engine.connectors.files.shapes import converted, travelling
from engine.dataflow.kinds import kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError


class _Rows:
    """Batches as encoded objects."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = travelling(schema)
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number").encode
        self._raw = [one.name for one in schema if kind_of(one) is DataKind.JSON]

    def lines(self, batch: pa.RecordBatch) -> list[bytes]:
        rows: list[dict[str, Any]] = converted(batch, self._schema, "rows").to_pylist()
        for name in self._raw:
            for row in rows:
                if row[name] is not None:
                    row[name] = _value(row[name], name)
        return [self._encode(row) for row in rows]


def _value(text: str, name: str) -> Any:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise DataQualityError(f"Column '{shown(name)}' is JSON, but {shown(text, 80)} is none.") from error
    return msgspec.Raw(text.encode())


class JsonlSink:
    """One object a line."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._file, self._rows = file, _Rows(schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._file.write(b"".join(line + b"\n" for line in self._rows.lines(batch)))

    def close(self) -> None:
        """Every line is written as it comes."""


class JsonSink:
    """One list of objects."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._file, self._rows, self._any = file, _Rows(schema), False
        self._file.write(b"[")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        lines = self._rows.lines(batch)
        if lines:
            self._file.write((b",\n" if self._any else b"\n") + b",\n".join(lines))
            self._any = True

    def close(self) -> None:
        """End the list."""
        self._file.write(b"\n]\n")
