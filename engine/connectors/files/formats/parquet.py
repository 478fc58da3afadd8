"""Parquet: row group by row group, only the columns that are wanted."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from engine.connectors.files.names import shown
from engine.connectors.files.shapes import BATCH_BYTES, converted, slices, travelling
from engine.connectors.files.source_file import SourceFile
from engine.model.errors import DataQualityError

_FIRST = 64  # rows looked at to know how wide they are


def look(file: SourceFile) -> pa.Schema:
    """The columns, from the footer."""
    with file.seekable() as opened:
        try:
            return travelling(pq.ParquetFile(opened).schema_arrow)
        except (pa.ArrowInvalid, OSError) as error:
            raise _torn(file, error) from error


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows, in the columns and types of `schema`."""
    with file.seekable() as opened:
        try:
            parquet = pq.ParquetFile(opened, buffer_size=1 << 20, pre_buffer=False)
            rows = _rows(parquet, schema, file.options.batch_rows)
            for batch in parquet.iter_batches(rows, columns=schema.names, use_threads=False):
                for part in slices(batch, BATCH_BYTES):
                    yield converted(part, schema, file.entry.name)
        except (pa.ArrowInvalid, OSError) as error:
            raise _torn(file, error) from error


def _rows(parquet: pq.ParquetFile, schema: pa.Schema, most: int) -> int:
    """Rows in a batch of some megabytes, going by the first ones: a page may unfold a thousand times."""
    first = next(parquet.iter_batches(min(most, _FIRST), columns=schema.names, use_threads=False), None)
    if first is None or not first.num_rows:
        return most
    fitting: int = BATCH_BYTES * first.num_rows // max(1, first.nbytes)
    return max(1, min(most, fitting))


def _torn(file: SourceFile, error: Exception) -> DataQualityError:
    return DataQualityError(
        f"'{file.name}' is no whole {file.format} file: {shown(str(error).splitlines()[0])} "
        "Nothing of it is loaded; have it written again."
    )
