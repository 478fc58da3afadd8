"""An object store as a place: S3, GCS and Azure through obstore.

Law: an object is read by its ETag: one that is replaced meanwhile is refused, not mixed. Keys are below the
connection's prefix.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, cast

import obstore
from obstore import exceptions as trouble

from engine.connectors.files.globs import Pattern
from engine.connectors.files.names import encoded, parts_of
from engine.connectors.files.object_failures import Missing, failure_of
from engine.connectors.files.place import Entry
from engine.model.errors import DataQualityError

CHUNK = 4 << 20


class ObjectStore:
    """See engine.connectors.files.place.Place."""

    def __init__(self, connection_id: str, store: Any, base: str, prefix: str = "") -> None:
        self._id, self.store, self._base, self._prefix = connection_id, store, base, prefix

    def key(self, name: str) -> str:
        """The key of a name below the prefix."""
        return "/".join((*([self._prefix] if self._prefix else []), *parts_of(name)))

    def test(self) -> str:
        self.asked(lambda: next(iter(obstore.list(self.store, self._prefix or None, chunk_size=1)), None), "")
        return f"{self._base} can be listed."

    def find(self, name: str) -> Entry | None:
        try:
            found = self.asked(lambda: obstore.head(self.store, self.key(name)), name)
        except Missing:
            return None
        return self._entry(found)

    def is_folder(self, name: str) -> bool:
        found = self.asked(
            lambda: next(iter(obstore.list(self.store, self.key(name) or None, chunk_size=1)), []), name
        )
        return bool(found)

    def matching(self, pattern: Pattern) -> Iterator[Entry]:
        listed = self.asked(lambda: obstore.list(self.store, self.key("/".join(pattern.fixed)) or None), "")
        while True:
            chunk = self.asked(lambda: next(iter(listed), None), "/".join(pattern.parts))
            if chunk is None:
                return
            entries = (self._entry(each) for each in chunk)
            yield from (entry for entry in entries if pattern.matches(entry.name))

    def _entry(self, meta: Mapping[str, Any]) -> Entry:
        name = str(meta["path"])
        if self._prefix:
            name = name[len(self._prefix) + 1 :]
        at = meta["last_modified"]
        mtime_ns = int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
        return Entry(name=name, size=int(meta["size"]), mtime_ns=mtime_ns, tag=_quoted(meta.get("e_tag")))

    def open(self, entry: Entry, *, seekable: bool = False) -> OpenedObject:
        if seekable:
            ranges = _Ranges(self, entry)
            return OpenedObject(cast(IO[bytes], io.BufferedReader(ranges, 1 << 20)), entry)
        got = self.asked(
            lambda: obstore.get(self.store, self.key(entry.name), options=condition(entry)), entry.name
        )
        return OpenedObject(cast(IO[bytes], _Streamed(self, entry.name, got.stream(min_chunk_size=CHUNK))), entry)

    def uri(self, name: str) -> str:
        return f"{self._base}/{encoded(self.key(name))}"

    def close(self) -> None:
        """The library's client goes with the object."""

    def asked(self, call: Callable[[], Any], name: str) -> Any:
        """One call to the store; what goes wrong is a failure of the right kind."""
        try:
            return call()
        except (trouble.BaseError, OSError, ValueError) as error:
            # Without its cause: the library's text has addresses with signatures in it.
            raise failure_of(error, f"connection '{self._id}', {self._base}", name) from None


class OpenedObject:
    """See engine.connectors.files.place.OpenedFile."""

    def __init__(self, file: IO[bytes], entry: Entry) -> None:
        self.file, self.entry = file, entry

    def check(self) -> None:
        """Each request carried the ETag: the store has checked."""

    def close(self) -> None:
        self.file.close()


def _quoted(tag: Any) -> str:
    """As a header has it: Azure lists ETags without the quotes that it asks for."""
    found = str(tag or "")
    return f'"{found}"' if found and not found.endswith('"') else found


def condition(entry: Entry) -> dict[str, Any]:
    """Only as long as the object is what was found."""
    return {"if_match": entry.tag} if entry.tag else {}


class _Streamed(io.RawIOBase):
    """One answer, read as it comes."""

    def __init__(self, place: ObjectStore, name: str, chunks: Any) -> None:
        self._place, self._name, self._chunks = place, name, iter(chunks)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            chunk = self._place.asked(lambda: next(self._chunks, None), self._name)
            self._held = memoryview(bytes(chunk) if chunk is not None else b"")
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


class _Ranges(io.RawIOBase):
    """An object read piece by piece, for formats that begin at the end."""

    def __init__(self, place: ObjectStore, entry: Entry) -> None:
        self._place, self._entry, self._at = place, entry, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._entry.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._entry.size)
        if self._at >= end:
            return 0
        options = {**condition(self._entry), "range": (self._at, end)}
        place, entry = self._place, self._entry
        data = place.asked(
            lambda: bytes(obstore.get(place.store, place.key(entry.name), options=options).bytes()), entry.name
        )
        if len(data) != end - self._at:
            raise DataQualityError(f"'{entry.shown}' was cut short: {len(data)} bytes instead of {end - self._at}.")
        buffer[: len(data)] = data
        self._at = end
        return len(data)
