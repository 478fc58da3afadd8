"""The first rows of what streams past, staged for those who look at the dataset later.

Law: bounded in rows and bytes, whatever a row is. A sample that cannot be taken is none: the rows go on
all the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from engine.dataflow.staging import Staged
from engine.ports.stream import RawText, Stream

ROWS = 1_000
BYTES = 1 << 20  # in memory; one row may be more


class Sampled:
    """A stream that keeps its first rows."""

    def __init__(self, stream: Stream, folder: Path, staging: Path) -> None:
        self._stream = stream
        self._kept: Staged | None = Staged(folder, staging, stream.schema)
        self._block: tuple[RawText, bytes] | None = None
        self._room = BYTES

    @property
    def schema(self) -> pa.Schema:
        return self._stream.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._stream:
            self._keep(batch)
            yield batch

    def close(self) -> None:
        self._drop()
        self._stream.close()

    def text(self, text: RawText) -> RawText:
        """The same where the rows go as text."""
        return replace(text, blocks=self._blocks(text))

    def _blocks(self, text: RawText) -> Iterator[bytes]:
        for block in text.blocks:
            if self._block is None:
                self._block = (text, block)
            yield block

    def publish(self, total: int) -> dict[str, Any] | None:
        """The reference to what was kept of `total` rows; None where nothing was."""
        if self._block is not None:
            self._parse(*self._block)
        kept, self._kept = self._kept, None
        try:
            return kept.publish({"total": total}) if kept is not None and kept.rows else None
        except OSError:
            return None

    def _keep(self, batch: pa.RecordBatch) -> None:
        if self._kept is None or self._room <= 0 or not batch.num_rows:
            return
        rows = min(ROWS - self._kept.rows, max(1, self._room * batch.num_rows // max(1, batch.nbytes)))
        try:
            part = batch.slice(0, rows)
            self._kept.write(part)
        except (OSError, pa.ArrowException):
            self._drop()
            return
        self._room = self._room - part.nbytes if self._kept.rows < ROWS else 0

    def _parse(self, text: RawText, block: bytes) -> None:
        block = block[: _whole(block, text.quote.encode())]
        parsing = csv.ParseOptions(
            delimiter=text.delimiter,
            quote_char=text.quote or False,
            escape_char=text.escape or False,
            newlines_in_values=True,
        )
        kinds = csv.ConvertOptions(
            column_types=self.schema, include_columns=self.schema.names, null_values=[text.null],
            strings_can_be_null=True, quoted_strings_can_be_null=False,
        )  # fmt: skip
        reading = csv.ReadOptions(column_names=list(text.columns), use_threads=False)
        try:
            table = csv.read_csv(io.BytesIO(block), reading, parsing, kinds)
        except (pa.ArrowException, KeyError, ValueError):
            self._drop()  # what our reader bends a little, this one does not
            return
        for batch in table.to_batches():
            self._keep(batch)

    def _drop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.abandon()


def _whole(block: bytes, quote: bytes) -> int:
    """Where the last whole record of a block ends; 0 when none does."""
    cut = block.rfind(b"\n") + 1
    while cut and quote and block.count(quote, 0, cut) % 2:
        cut = block.rfind(b"\n", 0, cut - 1) + 1
    return cut


def total_of(manifest: Mapping[str, Any]) -> int:
    """How many rows the dataset has that a manifest is of, all or the first."""
    return int(manifest.get("total", manifest["rows"]))
