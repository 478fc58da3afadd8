"""Compressed files, streamed both ways.

Law: a stream that ends before its compressed end is torn and refused. What comes out is counted, and ends with an
error at the cap: a few kilobytes can unfold into terabytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any

import pyarrow as pa

from engine.connectors.files.names import shown
from engine.model.errors import ConfigurationError, DataQualityError, ResourceExhaustion

SUFFIXES: Mapping[str, str] = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
ENDINGS: Mapping[str, str] = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2"}
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))


def by_content(head: bytes) -> str | None:
    """The compression whose mark a file begins with."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


class Plain:
    """The decompressed bytes of one file, counted and capped."""

    def __init__(self, file: IO[bytes], compression: str | None, name: str, most: int) -> None:
        self._name, self._most, self._file = name, most, file
        self._from: Any = file
        if compression is not None:
            self._from = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)
        self._compression = compression
        self.count = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; empty at the end. DataQualityError for a torn or an endless file."""
        try:
            data: bytes = self._from.read(size) or b""
        except OSError as error:
            if error.errno is not None:  # the system's own word, not Arrow's on what it was given
                raise ResourceExhaustion(f"'{shown(self._name)}' cannot be read: {error.strerror}.") from error
            raise DataQualityError(
                f"'{shown(self._name)}' is cut short or damaged: its {self._compression} data does not end as it "
                "should. Nothing of it is loaded; have it written again."
            ) from error
        self.count += len(data)
        if self.count > self._most:
            raise DataQualityError(
                f"'{shown(self._name)}' unfolds to more than {self._most:,} bytes; "
                "if that is right, raise `max_bytes` of the connection."
            )
        return data

    def unread(self, size: int) -> bool:
        """Go back, so that the last `size` bytes come again; whether this file can."""
        if self._compression is not None or not self._file.seekable():
            return False
        self._file.seek(-size, os.SEEK_CUR)
        self.count -= size
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._from is not self._file:
            self._from.close()
        self._file.close()


class Compressed:
    """A file to write to, whose bytes are compressed on their way. Closing it does not close the file below."""

    def __init__(self, file: Any, compression: str | None) -> None:
        self._to = file
        self._pressed = None
        if compression is not None:
            if compression not in ENDINGS:
                raise ConfigurationError(f"A file is not written with `compression: {shown(compression)}`.")
            self._pressed = pa.CompressedOutputStream(pa.PythonFile(_Kept(file), mode="w"), compression)

    def write(self, data: Any) -> None:
        """Add bytes."""
        (self._pressed or self._to).write(data)

    def close(self) -> None:
        """Write what the compressor still holds."""
        if self._pressed is not None:
            self._pressed.close()
            self._pressed = None


class _Kept:
    """A file that Arrow may write to and not close."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        return int(self._file.write(data))

    def flush(self) -> None:
        """The owner flushes."""

    def close(self) -> None:
        """The owner closes."""
