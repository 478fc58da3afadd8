"""Parquet, Arrow and Avro, written.

Law: rows are gathered to row groups of a size that readers like and memory bears; they compress by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import pyarrow as pa

from engine.connectors.files.behind import BEHIND
from engine.connectors.files.formats.avro import library
from engine.connectors.files.names import shown
from engine.connectors.files.shapes import converted, travelling
from engine.dataflow.kinds import MARK, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError

GROUP_ROWS = 122_880
GROUP_BYTES = 8 << 20


def _codec(format: str, given: str | None, known: Mapping[str, str | None], usual: str) -> str | None:
    name = given or usual
    if name not in known:
        raise ConfigurationError(
            f"{format} is not written with `compression: {shown(name)}`; there are {', '.join(known)}."
        )
    return known[name]


class ParquetSink:
    """Row groups of about a hundred thousand rows, or of some megabytes."""

    def __init__(self, file: Any, schema: pa.Schema, compression: str | None) -> None:
        import pyarrow.parquet as pq

        known = {"snappy": "snappy", "zstd": "zstd", "gzip": "gzip", "none": "none"}
        codec = _codec("parquet", compression, known, "snappy")
        self._schema = travelling(schema)
        self._writer = pq.ParquetWriter(pa.PythonFile(Unclosed(file), mode="w"), self._schema, compression=codec)
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._encoded: Future[None] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._held.append(converted(batch, self._schema, "rows"))
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._settle()
        if self._held:
            rows = pa.Table.from_batches(self._held, self._schema)
            self._encoded = BEHIND.do(partial(self._writer.write_table, rows, row_group_size=self._rows))
        self._held, self._rows, self._bytes = [], 0, 0

    def _settle(self) -> None:
        encoded, self._encoded = self._encoded, None
        if encoded is not None:
            encoded.result()

    def close(self) -> None:
        """Write what is held, and the footer."""
        self._flush()
        self._settle()
        self._writer.close()


class ArrowSink:
    """An Arrow IPC file."""

    def __init__(self, file: Any, schema: pa.Schema, compression: str | None) -> None:
        codec = _codec("arrow", compression, {"zstd": "zstd", "none": None}, "zstd")
        self._schema = travelling(schema)
        to = pa.PythonFile(Unclosed(file), mode="w")
        self._writer = pa.ipc.new_file(to, self._schema, options=pa.ipc.IpcWriteOptions(compression=codec))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(converted(batch, self._schema, "rows"))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class AvroSink:
    """An Avro container file."""

    def __init__(self, file: Any, schema: pa.Schema, compression: str | None) -> None:
        known = {"none": "null", "gzip": "deflate", "snappy": "snappy", "zstd": "zstandard", "bz2": "bzip2"}
        codec = _codec("avro", compression, known, "gzip")
        self._schema = travelling(schema)
        given = {"type": "record", "name": "row", "fields": [_avro(one) for one in self._schema]}
        self._names = {one.name: _name(one.name) for one in self._schema}
        made = library()
        from fastavro.write import Writer

        self._writer = Writer(Unclosed(file), made.parse_schema(given), codec=codec, sync_interval=64_000)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        for row in converted(batch, self._schema, "rows").to_pylist():
            self._writer.write({self._names[name]: value for name, value in row.items()})

    def close(self) -> None:
        """Write the last block."""
        self._writer.flush()


_AVRO: Mapping[DataKind, Any] = {
    DataKind.STRING: "string",
    DataKind.INTEGER: "long",
    DataKind.FLOAT: "double",
    DataKind.BOOLEAN: "boolean",
    DataKind.DATE: {"type": "int", "logicalType": "date"},
    DataKind.JSON: {"type": "string", MARK.decode(): DataKind.JSON.value},
    DataKind.BINARY: "bytes",
}


def _avro(one: pa.Field) -> dict[str, Any]:
    kind = kind_of(one)
    if kind is DataKind.DECIMAL:
        given: Any = {
            "type": "bytes",
            "logicalType": "decimal",
            "precision": one.type.precision,
            "scale": one.type.scale,
        }
    elif kind is DataKind.TIMESTAMP:
        local = "local-" if one.type.tz is None else ""
        given = {"type": "long", "logicalType": f"{local}timestamp-micros"}
    else:
        given = _AVRO[kind]
    return {"name": _name(one.name), "type": ["null", given]}


def _name(name: str) -> str:
    made = "".join(char if char.isascii() and (char.isalnum() or char == "_") else "_" for char in name)
    if not made or made != name or made[0].isdigit():
        raise ConfigurationError(
            f"Avro has no column named '{shown(name)}': letters, digits and _ only. Rename it with `columns`."
        )
    return made


class Unclosed:
    """A file that Arrow writes to and whose owner closes it."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self._at = 0

    def write(self, data: Any) -> int:
        """Pass on."""
        self._file.write(data)
        count = memoryview(data).nbytes
        self._at += count
        return count

    def tell(self) -> int:
        """How far it has come."""
        return self._at

    def seekable(self) -> bool:
        """What was written is gone."""
        return False

    def flush(self) -> None:
        """The owner flushes."""

    def close(self) -> None:
        """The owner closes."""
