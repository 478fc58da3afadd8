"""Rows on their way into files: one file, or one per partition.

Law: a sink streams. With `partition_by` no more than a few files are open at once and no more folders are made
than a cap; a partition's value becomes a folder's name percent-encoded, so that no value leads anywhere else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from engine.connectors.files.compression import ENDINGS, Compressed
from engine.connectors.files.dataset import NO_VALUE
from engine.connectors.files.names import shown
from engine.connectors.files.options import WriteOptions
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.destination import Order
from engine.ports.stream import Stream

MOST_OPEN = 16
MOST_PARTITIONS = 10_000
_OWN_CODECS = frozenset({"parquet", "avro", "arrow"})
_ENDINGS = {
    "csv": ".csv",
    "json": ".json",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "avro": ".avro",
    "arrow": ".arrow",
}


class OutFile(Protocol):
    """A file that is being written where nobody looks yet."""

    def write(self, data: Any) -> Any: ...

    def close(self) -> None:
        """It is whole, and safe where it is."""

    def abandon(self) -> None:
        """It will not be."""


@dataclass(slots=True)
class Written:
    """What was written."""

    rows: int = 0
    bytes: int = 0
    files: list[str] = field(default_factory=list)


def ending(options: WriteOptions) -> str:
    """How the names of files of this format end."""
    outer = ENDINGS.get(options.compression or "", "") if options.format not in _OWN_CODECS else ""
    return _ENDINGS[options.format] + outer


def write_rows(
    stream: Stream, order: Order, options: WriteOptions, stem: str, create: Callable[[str], OutFile]
) -> Written:
    """Write all rows; `stem` names the file, or the files in their partitions."""
    writer = _Writer(stream.schema, options, stem, create)
    try:
        for batch in stream:
            writer.write(batch)
            order.progress(writer.written.rows)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return writer.written


class _Writer:
    """The open files of one load."""

    def __init__(
        self, schema: pa.Schema, options: WriteOptions, stem: str, create: Callable[[str], OutFile]
    ) -> None:
        missing = [name for name in options.partition_by if name not in schema.names]
        if missing:
            raise ConfigurationError(f"`partition_by` names '{shown(missing[0])}', which the rows do not have.")
        self._options, self._stem, self._create = options, stem, create
        self._inner = pa.schema([one for one in schema if one.name not in options.partition_by])
        if not len(self._inner):
            raise ConfigurationError("`partition_by` names every column; at least one has to remain in the files.")
        self._open: OrderedDict[str, _Sink] = OrderedDict()
        self._made: dict[str, int] = {}
        self.written = Written()

    def write(self, batch: pa.RecordBatch) -> None:
        for folder, part in _parts(batch, self._options.partition_by):
            self._sink(folder).write(part.select(self._inner.names) if folder else part)
        self.written.rows += batch.num_rows

    def _sink(self, folder: str) -> _Sink:
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
            return found
        if len(self._open) >= MOST_OPEN:
            self._finish(self._open.popitem(last=False)[1])
        count = self._made.get(folder, 0)
        if not count and len(self._made) >= MOST_PARTITIONS:
            raise DataQualityError(
                f"`partition_by` would make more than {MOST_PARTITIONS:,} folders; choose a column with fewer "
                f"values."
            )
        self._made[folder] = count + 1
        name = f"{folder}{self._stem}{f'-{count}' if count else ''}{ending(self._options) if self._stem else ''}"
        self._open[folder] = self._sink_on(self._create(name))
        self.written.files.append(name)
        return self._open[folder]

    def _sink_on(self, file: OutFile) -> _Sink:
        try:
            return _Sink(file, self._inner, self._options)
        except BaseException:
            file.abandon()
            raise

    def _finish(self, sink: _Sink) -> None:
        sink.close()
        self.written.bytes += sink.count

    def close(self) -> None:
        if not self._made and not self._options.partition_by:
            self._sink("")  # no rows: a file with its columns all the same
        while self._open:
            self._finish(self._open.popitem(last=False)[1])

    def abandon(self) -> None:
        for sink in self._open.values():
            sink.abandon()
        self._open.clear()


class _Sink:
    """One file: format over compression over counted bytes."""

    def __init__(self, file: OutFile, schema: pa.Schema, options: WriteOptions) -> None:
        self._file = _Counted(file)
        outer = None if options.format in _OWN_CODECS or options.compression == "none" else options.compression
        self._compressed = Compressed(self._file, outer)
        self._format = _format(self._compressed, schema, options)

    @property
    def count(self) -> int:
        return self._file.count

    def write(self, batch: pa.RecordBatch) -> None:
        self._format.write(batch)

    def close(self) -> None:
        self._format.close()
        self._compressed.close()
        self._file.file.close()

    def abandon(self) -> None:
        self._file.muted = True
        try:
            self._format.close()  # a writer that is not closed closes itself later, into a closed file
        except (OSError, ValueError, pa.ArrowException):
            pass
        self._file.file.abandon()


class _Counted:
    """Bytes on their way to a file."""

    def __init__(self, file: OutFile) -> None:
        self.file, self.count, self.muted = file, 0, False

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if not self.muted:
            self.file.write(data)
            self.count += size
        return size

    def flush(self) -> None:
        """The file is made safe when it is closed."""


def _format(file: Any, schema: pa.Schema, options: WriteOptions) -> Any:
    from engine.connectors.files.formats import binary_sinks, csv_sink, json_sink

    if options.format == "csv":
        return csv_sink.CsvSink(file, schema, delimiter=options.delimiter, header=options.header)
    if options.format in ("json", "jsonl"):
        return {"json": json_sink.JsonSink, "jsonl": json_sink.JsonlSink}[options.format](file, schema)
    made = {"parquet": binary_sinks.ParquetSink, "arrow": binary_sinks.ArrowSink, "avro": binary_sinks.AvroSink}
    return made[options.format](file, schema, options.compression)


def _parts(batch: pa.RecordBatch, by: tuple[str, ...]) -> Iterator[tuple[str, pa.RecordBatch]]:
    if not by:
        yield "", batch
        return
    columns = [pc.cast(batch.column(name), pa.string()) for name in by]
    folders = [_folder(by, values) for values in zip(*(column.to_pylist() for column in columns), strict=True)]
    keys = pa.array(folders).dictionary_encode()
    for at, folder in enumerate(keys.dictionary.to_pylist()):
        yield folder, batch.filter(pc.equal(keys.indices, at))


def _folder(names: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    pairs = zip(names, values, strict=True)
    return "".join(
        f"{quote(name, safe=' ')}={NO_VALUE if value is None else quote(value, safe=' :')}/"
        for name, value in pairs
    )
