"""CSV files handed on as the text they are.

Law: blocks end anywhere, the text as a whole is what the rows are: without marks and headers, each file's last line
ended. Torn and changed files are found out at their end, before the consumer can take the text for complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.connectors.files.dataset import FileSet
from engine.connectors.files.formats.csv import CsvText
from engine.connectors.files.formats.csv_blocks import first_record, torn
from engine.connectors.files.names import naming
from engine.connectors.files.readahead import ReadAhead
from engine.connectors.files.source_file import SourceFile
from engine.ports.stream import RawText

BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"


def raw_text(files: FileSet, connection_id: str) -> RawText | None:
    """The rows as text; None where they lie otherwise, or something is asked that needs a look at them."""
    if not files.as_text():
        return None
    texts = [CsvText(file) for file in files.files]
    first = texts[0]
    if any((text.delimiter, text.quote) != (first.delimiter, first.quote) for text in texts):
        return None
    if len(first.quote) != 1 or len(first.delimiter.encode()) != 1 or len(files.schema) < 2:
        return None  # of one column, an empty line is a row to some readers and nothing to others
    counted: dict[str, int] = {"bytes": 0}
    return RawText(
        blocks=ReadAhead(_blocks(files, counted, connection_id)),
        columns=files.schema.names,
        delimiter=first.delimiter,
        quote=first.quote,
        schema=files.schema,
        counted=counted,
    )


def _blocks(files: FileSet, counted: dict[str, int], connection_id: str) -> Iterator[bytes]:
    for file in files.files:
        with naming(connection_id):
            for block in _of(file):
                counted["bytes"] += len(block)
                yield block


def _of(file: SourceFile) -> Iterator[bytes]:
    quote = file.options.quote.encode()
    with file.plain() as plain:
        block = _head(plain.read, quote) if file.options.header else plain.read(BLOCK).removeprefix(_BOM)
        quotes, last = 0, b"\n"
        while block:
            quotes += block.count(quote)
            last = block[-1:]
            yield block
            block = plain.read(BLOCK)
        if quotes % 2:
            raise torn(file.entry.name)
    if last not in b"\r\n":
        yield b"\n"


def _head(read: Callable[[int], bytes], quote: bytes) -> bytes:
    """The first block without the header line."""
    held = b""
    while data := read(BLOCK):
        held += data
        cut = first_record(held.removeprefix(_BOM), quote)
        rest = held.removeprefix(_BOM)[cut:]
        if rest or len(held) > 16 * BLOCK:
            return rest
    return b""
