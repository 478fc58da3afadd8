"""CSV cut into blocks of whole records.

Law: a block ends where a record ends: at a line end with an even number of quotes before it. A quote that is never
closed is a torn file. No record may be longer than a cap, so that a broken quote cannot fill memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TypeAlias

from engine.connectors.files.compression import Plain
from engine.connectors.files.names import shown
from engine.model.errors import DataQualityError

BLOCK = 1 << 20  # smaller ones cost more of everything that is done once a block; larger ones more memory
LONGEST_RECORD = 64 << 20
Block: TypeAlias = bytes | memoryview
_BOM = b"\xef\xbb\xbf"


def blocks(plain: Plain, quote: str, encoding: str, name: str, size: int = BLOCK) -> Iterator[Block]:
    """The file as UTF-8, without its mark, in blocks of whole records. What is behind the last of them is read once
    more where that can be, which takes less than to put blocks together."""
    mark = quote.encode()
    held = b""
    for data in _texts(plain, encoding, name, size):
        held = held + data if held else data
        cut = boundary(held, mark)
        if cut:
            yield memoryview(held)[:cut]
            held = held[cut:]
            if encoding == "utf-8" and plain.unread(len(held)):
                held = b""
        elif len(held) > LONGEST_RECORD:
            raise DataQualityError(
                f"'{shown(name)}' has a record of more than {LONGEST_RECORD >> 20} MB: a quote is opened and "
                f"not closed. "
                "If quotes mean nothing in it, write `quote: ''`."
            )
    if held:
        if mark and held.count(mark) % 2:
            raise torn(name)
        yield held


def torn(name: str) -> DataQualityError:
    """The refusal of a file that ends inside quotes."""
    return DataQualityError(
        f"'{shown(name)}' ends inside a quoted cell: it is cut short, or a quote in it is not doubled. Nothing "
        f"of it is "
        "loaded; have it written again."
    )


def _texts(plain: Plain, encoding: str, name: str, size: int) -> Iterator[bytes]:
    if encoding != "utf-8":
        yield from _recoded(plain, encoding, name, size)
        return
    first = True
    while data := _full(plain, size):
        yield data.removeprefix(_BOM) if first else data
        first = False


def _full(plain: Plain, size: int) -> bytes:
    """Exactly `size` bytes but at the end: a decompressor hands out less."""
    data = plain.read(size)
    if len(data) in (0, size):
        return data
    parts, count = [data], len(data)
    while count < size and (data := plain.read(size - count)):
        parts.append(data)
        count += len(data)
    return b"".join(parts)


def _recoded(plain: Plain, encoding: str, name: str, size: int) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while data := plain.read(size):
            yield decoder.decode(data).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise DataQualityError(
            f"'{shown(name)}' is not {encoding} text; say what it is with `encoding`."
        ) from error


def boundary(held: bytes, mark: bytes) -> int:
    """Where the last whole record ends; 0 when none does."""
    end = b"\n" if b"\n" in held else b"\r"
    cut = held.rfind(end, 0, None if end == b"\n" else -1) + 1  # the other half of a last \r may be yet to come
    if not mark or not cut or mark not in held:
        return cut
    quotes = held.count(mark, 0, cut)
    while cut and quotes % 2:
        before = held.rfind(end, 0, cut - 1) + 1
        quotes -= held.count(mark, before, cut)
        cut = before
    return cut


def first_record(block: bytes, mark: bytes) -> int:
    """Where the first record of a block ends."""
    end = b"\n" if b"\n" in block else b"\r"
    cut = 0
    while True:
        found = block.find(end, cut)
        if found < 0:
            return len(block)
        cut = found + 1
        if not mark or block.count(mark, 0, cut) % 2 == 0:
            return cut
