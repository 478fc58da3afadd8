"""One file of a dataset, as a format's reader gets it.

Law: it is opened as often as its reader wants, each time as the entry that was found; whether it is still that one
is asked when its end is reached, before its last rows count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from engine.connectors.files.compression import Plain, by_content
from engine.connectors.files.names import shown
from engine.connectors.files.options import ReadOptions
from engine.connectors.files.place import Entry, Place
from engine.connectors.files.sniffing import by_content as format_by_content
from engine.connectors.files.sniffing import by_name, check_mark
from engine.model.errors import ConfigurationError

HEAD = 64 << 10


class SourceFile:
    """A file whose format and compression are known."""

    def __init__(self, place: Place, entry: Entry, options: ReadOptions) -> None:
        self.place, self.entry, self.options = place, entry, options
        self.known: Sequence[str] = ()  # the columns that records may have, where no header says it
        self.format, self.compression = self._look()

    @property
    def name(self) -> str:
        """As it is shown in messages."""
        return self.entry.shown

    @property
    def empty(self) -> bool:
        """Not one byte."""
        return self.entry.size == 0

    def _look(self) -> tuple[str, str | None]:
        named, compression = by_name(self.entry.name)
        kind = self.options.format or named
        compression = _told(self.options.compression) if self.options.compression else compression
        if self.empty:
            return kind or "csv", None
        with self._opened(seekable=False) as file:
            head = file.read(6)
        if not self.options.compression and (kind not in ("parquet", "avro", "arrow") or compression):
            compression = by_content(head)
        if kind is None or kind in ("parquet", "avro", "arrow"):
            head = self._head(compression)
            kind = kind or format_by_content(head)
            check_mark(kind, head, self.name)
        return kind, compression

    def _head(self, compression: str | None) -> bytes:
        with self._opened(seekable=False) as file:
            return Plain(file, compression, self.entry.name, self.options.max_bytes).read(HEAD)

    @contextmanager
    def _opened(self, *, seekable: bool) -> Iterator[IO[bytes]]:
        opened = self.place.open(self.entry, seekable=seekable)
        try:
            yield opened.file
        finally:
            opened.close()

    @contextmanager
    def plain(self) -> Iterator[Plain]:
        """Its decompressed bytes from the beginning. At the end of the block it is checked to be what it was."""
        opened = self.place.open(self.entry)
        plain = Plain(opened.file, self.compression, self.entry.name, self.options.max_bytes)
        try:
            yield plain
            opened.check()
        finally:
            plain.close()

    @contextmanager
    def seekable(self) -> Iterator[IO[bytes]]:
        """The file itself, for formats that begin at their end."""
        if self.compression is not None:
            raise ConfigurationError(
                f"'{shown(self.entry.name)}' is {self.format} inside {self.compression}, which cannot be read "
                f"piecewise; {self.format} compresses by itself, so unpack the file."
            )
        opened = self.place.open(self.entry, seekable=True)
        try:
            yield opened.file
            opened.check()
        finally:
            opened.close()


def _told(compression: str) -> str | None:
    return None if compression == "none" else compression
