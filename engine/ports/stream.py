"""Streams: how rows travel inside an attempt.

Law: a stream is an Arrow schema and record batches handed out once, one at a time; whoever opened it closes it. A
consumer that is slow makes its producer wait, and nobody holds more than a few batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Stream(Protocol):
    """Rows of one dataset."""

    @property
    def schema(self) -> pa.Schema:
        """Known before the first batch. A field's metadata {b"penstock.kind": b"json"} marks JSON kept as text."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches of `schema`, none empty but perhaps the only one. Once."""

    def close(self) -> None:
        """Let go of what it reads from; allowed at any time, twice too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawText:
    """A delimited file's bytes, for a destination that reads such text itself."""

    blocks: Iterator[bytes]  # without the header line
    columns: Sequence[str]  # in the order of the file
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    null: str = ""  # an unquoted cell that is this is null
    encoding: str = "utf-8"
    schema: pa.Schema | None = None  # the columns as the rows would be handed out; None: nobody has looked
    counted: dict[str, int] = field(default_factory=dict)  # "bytes": so many so far
