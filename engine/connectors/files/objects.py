"""An object store as a place: S3, GCS and Azure through obstore.

Law: an object is read by its ETag: one that is replaced meanwhile is refused, not mixed. Keys are below the
connection's prefix. What the library says is shown without query strings, where signatures travel.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, cast
from urllib.parse import urlsplit

import obstore
from obstore import exceptions as trouble

from engine.connectors.files.globs import Pattern
from engine.connectors.files.names import encoded, parts_of, shown
from engine.connectors.files.place import Entry, changed
from engine.model.errors import ConfigurationError, DataQualityError, NetworkError, PermissionFailure, TaskFailure
from engine.model.workspace import Connection

CHUNK = 4 << 20
_QUERY = re.compile(r"\?[^\s)\"']*")


def open_store(connection: Connection) -> ObjectStore:
    """The store of an `s3`, `gcs` or `azure` connection."""
    config = connection.config
    parts = urlsplit(str(config.get("url") or ""))
    bucket = str(config.get("bucket") or config.get("container") or parts.netloc)
    if not bucket:
        raise ConfigurationError(
            f"Connection '{connection.id}' of type '{connection.type}' needs a `bucket` (azure: `container`)."
        )
    prefix = str(config.get("prefix") or config.get("path") or parts.path)
    made = _MAKERS[connection.type](bucket, config)
    scheme = {"s3": "s3", "gcs": "gs", "azure": "az"}[connection.type]
    return ObjectStore(connection.id, made, f"{scheme}://{bucket}", "/".join(parts_of(prefix.strip("/"))))


def _given(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: config[ours] for ours, theirs in names.items() if config.get(ours) not in (None, "")}


def _client(config: Mapping[str, Any]) -> dict[str, Any]:
    plain = str(config.get("endpoint") or "").startswith("http://")
    return {
        "client_options": {"allow_http": plain, "timeout": f"{config.get('timeout_seconds', 60)}s"},
        "retry_config": {"max_retries": int(config.get("retries", 3))},
    }


def _s3(bucket: str, config: Mapping[str, Any]) -> Any:
    from obstore.store import S3Store

    given = _given(
        config,
        {
            "region": "region",
            "endpoint": "endpoint",
            "access_key_id": "access_key_id",
            "secret_access_key": "secret_access_key",
            "session_token": "session_token",
            "anonymous": "skip_signature",
            "virtual_hosted": "virtual_hosted_style_request",
        },
    )
    return S3Store(bucket, **given, **_client(config))


def _gcs(bucket: str, config: Mapping[str, Any]) -> Any:
    from obstore.store import GCSStore

    names = {"service_account": "service_account", "service_account_key": "service_account_key"}
    return GCSStore(bucket, **_given(config, {**names, "anonymous": "skip_signature"}), **_client(config))


def _azure(container: str, config: Mapping[str, Any]) -> Any:
    from obstore.store import AzureStore

    names = {
        "account": "account_name",
        "access_key": "account_key",
        "sas_token": "sas_key",
        "client_id": "client_id",
        "client_secret": "client_secret",
        "tenant_id": "tenant_id",
        "endpoint": "endpoint",
        "anonymous": "skip_signature",
        "emulator": "use_emulator",
    }
    return AzureStore(container, **_given(config, names), **_client(config))


_MAKERS: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {"s3": _s3, "gcs": _gcs, "azure": _azure}


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
        except _Missing:
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
        return Entry(name=name, size=int(meta["size"]), mtime_ns=mtime_ns, tag=str(meta.get("e_tag") or ""))

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
            raise self._failure(error, name) from error

    def _failure(self, error: Exception, name: str) -> TaskFailure:
        said = shown(_QUERY.sub("", str(error).splitlines()[0] if str(error) else type(error).__name__))
        where = f"connection '{self._id}', {self._base}" + (f", '{shown(name)}'" if name else "")
        if isinstance(error, FileNotFoundError | trouble.NotFoundError):
            return _Missing(f"There is no such object: {where}.")
        if isinstance(error, trouble.PermissionDeniedError | trouble.UnauthenticatedError):
            return PermissionFailure(f"Access was refused: {where}. Check the connection's keys and their rights.")
        if isinstance(error, trouble.PreconditionError):
            return changed(name)
        if isinstance(error, ValueError | trouble.InvalidPathError | trouble.UnknownConfigurationKeyError):
            return ConfigurationError(f"{where}: {said}")
        return NetworkError(f"The store did not answer as it should: {where}: {said}")


class OpenedObject:
    """See engine.connectors.files.place.OpenedFile."""

    def __init__(self, file: IO[bytes], entry: Entry) -> None:
        self.file, self.entry = file, entry

    def check(self) -> None:
        """Each request carried the ETag: the store has checked."""

    def close(self) -> None:
        self.file.close()


def condition(entry: Entry) -> dict[str, Any]:
    """Only as long as the object is what was found."""
    return {"if_match": entry.tag} if entry.tag else {}


class _Missing(ConfigurationError):
    """No such object."""


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
