"""CSV: read block by block, several blocks converted at once.

Law: kinds come from the first block or from `types`; a later cell that does not fit is refused with file, row and
column. An unquoted empty cell is null, a quoted one is the empty string. Rows are counted without the header.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from engine.connectors.files.formats.csv_blocks import BLOCK, Block, blocks, first_record
from engine.connectors.files.formats.csv_kinds import kinds
from engine.connectors.files.names import shown
from engine.connectors.files.options import ReadOptions
from engine.connectors.files.readahead import ReadAhead
from engine.connectors.files.sniffing import delimiter_of
from engine.connectors.files.source_file import SourceFile
from engine.dataflow.kinds import kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

SAMPLE = 1 << 20
TRUE = ["true", "True", "TRUE", "1", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y", "t", "T"]
FALSE = ["false", "False", "FALSE", "0", "no", "No", "NO", "off", "Off", "OFF", "n", "N", "f", "F"]
_LINE_ENDS = (b"", b"\r", b"\n")
_AHEAD = 2  # blocks being converted while one is consumed
_CELL = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)
_SHAPE = re.compile(r"CSV parse error: (?:Row #(\d+): )?(Expected \d+ columns, got \d+)")
_VALUE = re.compile(r"(?:invalid value|The string) '(.*)'", re.DOTALL)


class CsvText:
    """How the text of one file is to be taken."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.options: ReadOptions = file.options
        self.delimiter = file.options.delimiter or delimiter_of(file.entry.name)
        self.quote = file.options.quote

    def names(self, given: Block) -> tuple[list[str], int]:
        """The columns, and where the rows begin. DataQualityError for two of one name."""
        block = bytes(given)
        cut = first_record(block, self.quote.encode())
        cells = self._cells(block[:cut])
        if not self.options.header:
            made = [f"column_{at}" for at in range(1, len(cells) + 1)]
            return list(self.options.names) or made, 0
        names = [cell or f"column_{at}" for at, cell in enumerate(cells, 1)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataQualityError(f"'{self.file.name}' has two columns named '{shown(twice)}'; rename one.")
        return names, cut

    def _cells(self, record: bytes) -> Sequence[str]:
        try:
            text = record.decode()
        except UnicodeDecodeError as error:
            raise DataQualityError(
                f"'{self.file.name}' is not UTF-8 text; say what it is with `encoding`."
            ) from error
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )
        return next(reader, [""])

    def table(self, block: Block, names: Sequence[str], types: pa.Schema | None, wanted: Sequence[str]) -> pa.Table:
        """One block as Arrow; its errors are Arrow's."""
        convert = arrow_csv.ConvertOptions(
            column_types=types,
            include_columns=list(wanted),
            null_values=list(self.options.null_values),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=TRUE if types is not None else TRUE[:3],
            false_values=FALSE if types is not None else FALSE[:3],
        )
        parse = arrow_csv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,
        )
        read = arrow_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=list(names))
        return arrow_csv.read_csv(pa.BufferReader(block), read, parse, convert)


def look(file: SourceFile) -> pa.Schema:
    """The columns as the header and the first block tell them."""
    text = CsvText(file)
    names, sample = list(file.options.names), b""
    with file.plain() as plain:
        for at, block in enumerate(blocks(plain, text.quote, file.options.encoding, file.entry.name, SAMPLE)):
            if at == 0:
                names, cut = text.names(block)
                block = block[cut:]
            sample += block
            if sample:
                break
    if not sample.strip(b"\r\n"):
        told = file.options.types
        return pa.schema([told[each].field(each) if each in told else pa.field(each, pa.null()) for each in names])
    as_text = pa.schema([(name, pa.string()) for name in names])
    try:
        return kinds(
            text.table(sample, names, as_text, names), text.table(sample, names, None, names), file.options
        )
    except pa.ArrowInvalid as error:
        raise _refused(error, file, as_text, names, 0) from error


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows, in the columns and types of `schema`."""
    reader = _Reader(file, schema)
    with file.plain() as plain, ThreadPoolExecutor(_AHEAD, "csv") as pool:
        cut = ReadAhead(blocks(plain, reader.text.quote, file.options.encoding, file.entry.name), depth=1)
        try:
            yield from reader.batches(cut, pool)
        finally:
            cut.close()
            pool.shutdown(wait=True, cancel_futures=True)


class _Reader:
    """One file's blocks on their way to batches."""

    def __init__(self, file: SourceFile, schema: pa.Schema) -> None:
        self.text, self.schema, self.file = CsvText(file), schema, file
        self.names: list[str] = []
        self.rows = 0
        self._parsed = pa.schema([(one.name, self._parsed_as(one)) for one in schema])
        self._plain = self._parsed.types == schema.types

    def _parsed_as(self, one: pa.Field) -> pa.DataType:
        told = self.file.options.types.get(one.name)
        as_text = told is not None and told.format is not None
        return pa.string() if as_text or pa.types.is_binary(one.type) or pa.types.is_null(one.type) else one.type

    def batches(self, given: Iterator[Block], pool: ThreadPoolExecutor) -> Iterator[pa.RecordBatch]:
        waiting: deque[Future[pa.Table]] = deque()
        for block in given:
            if not self.names:
                self.names, cut = self.text.names(block)
                block = block[cut:]
            if block[:1] not in _LINE_ENDS or bytes(block).strip(b"\r\n") or len(self.names) == 1:
                waiting.append(pool.submit(self._table, block))
            if len(waiting) > _AHEAD:
                yield from self._finished(waiting.popleft())
        while waiting:
            yield from self._finished(waiting.popleft())

    def _table(self, block: Block) -> pa.Table:
        return self.text.table(block, self.names, self._parsed, self.schema.names) if block else None

    def _finished(self, future: Future[pa.Table]) -> Iterator[pa.RecordBatch]:
        try:
            table = future.result()
        except pa.ArrowInvalid as error:
            raise _refused(error, self.file, self.schema, self.names, self.rows) from error
        if table is None:
            return
        for batch in table.to_batches(max_chunksize=self.file.options.batch_rows):
            yield batch if self._plain else self._converted(batch)
            self.rows += batch.num_rows

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [self._column(column, one) for column, one in zip(batch.columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _column(self, column: pa.Array, one: pa.Field) -> pa.Array:
        told = self.file.options.types.get(one.name)
        if told is not None and told.format is not None:
            instants = pc.strptime(column, told.format, "us", error_is_null=True)
            self._check(column, instants, one, f" of the form {told.format}")
            return pc.cast(pc.cast(instants, pa.timestamp("us")), one.type)
        if pa.types.is_binary(one.type):
            return pa.array([self._bytes(cell, one) for cell in column.to_pylist()], one.type)
        return column if column.type == one.type else pc.cast(column, one.type)

    def _bytes(self, cell: str | None, one: pa.Field) -> bytes | None:
        try:
            return None if cell is None else base64.b64decode(cell, validate=True)
        except ValueError as error:
            raise _cell(self.file, one, None, cell or "", " in base64") from error

    def _check(self, given: pa.Array, made: pa.Array, one: pa.Field, form: str) -> None:
        if given.null_count != made.null_count:
            at = pc.index(pc.and_(pc.is_valid(given), pc.is_null(made)), True).as_py()
            raise _cell(self.file, one, self.rows + at + 1, given[at].as_py(), form)


def _refused(
    error: pa.ArrowInvalid, file: SourceFile, schema: pa.Schema, names: Sequence[str], before: int
) -> DataQualityError:
    """Arrow's complaint about a block, in terms of the file."""
    said = str(error)
    shape = _SHAPE.match(said)
    if shape:
        return DataQualityError(
            f"'{file.name}', row {before + int(shape.group(1) or 1):,}: {shape.group(2).lower()}. A cell with the "
            "delimiter in it needs quotes; check `delimiter` and `quote`."
        )
    if "invalid UTF8" in said:
        return DataQualityError(f"'{file.name}' is not UTF-8 text; say what it is with `encoding`.")
    found = _CELL.match(said)
    if not found:
        return DataQualityError(f"'{file.name}' cannot be read as CSV: {shown(said.splitlines()[0])}")
    name = names[int(found.group(1))] if int(found.group(1)) < len(names) else ""
    one = schema.field(name) if name in schema.names else pa.field(name, pa.string())
    row = before + int(found.group(2)) if found.group(2) else None
    value = _VALUE.search(found.group(3))
    return _cell(file, one, row, value.group(1) if value else None, "" if value else f" ({found.group(3)[:120]})")


def _cell(file: SourceFile, one: pa.Field, row: int | None, value: str | None, form: str) -> DataQualityError:
    what = kind_of(one).value + (f" ({one.type})" if kind_of(one) in (DataKind.DECIMAL, DataKind.TIMESTAMP) else "")
    where = f"'{file.name}'" + (f", row {row:,}" if row is not None else "")
    found = f" '{shown(value, 80)}' is" if value is not None else " a cell is"
    return DataQualityError(
        f"{where}, column '{shown(one.name)}':{found} no {what}{shown(form)}. Correct the file, or give the column "
        "another kind in `types`."
    )


__all__ = ["BLOCK", "CsvText", "look", "read"]
