"""Staged datasets: rows between two tasks, as Arrow files under the workspace's staging folder.

Law: parts are Arrow IPC streams (zstd), closed and on the disk before anything names them. A manifest names the
parts with their sizes and hashes; it is published by rename, and only the one an outcome's commit names counts, so
a late attempt's files are never read. A part is named relative to the staging folder and never read outside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from engine.dataflow.kinds import columns_of
from engine.model.errors import ConfigurationError

MARK = "$dataset"  # the key of a task's output that refers to a manifest
PART_BYTES = 256 << 20  # of rows in memory; a part is far smaller on the disk
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


class Staged:
    """Writes one dataset, part after part.

    `before`: parts that an earlier attempt closed and a checkpoint kept; this one goes on after them."""

    def __init__(
        self, folder: Path, staging: Path, schema: pa.Schema, before: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.schema = schema
        self.parts: list[Mapping[str, Any]] = list(before)
        self._folder, self._staging = folder, staging
        self._open: _Part | None = None

    @property
    def rows(self) -> int:
        """So far, with those of parts still open."""
        return sum(int(part["rows"]) for part in self.parts) + (self._open.rows if self._open else 0)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; a part that is large enough is closed."""
        if self._open is None:
            self._open = _Part(self._folder / f"part-{len(self.parts):05}.arrow", self.schema)
        self._open.write(batch)
        if self._open.nbytes >= PART_BYTES:
            self.close_part()

    def close_part(self) -> list[Mapping[str, Any]]:
        """Everything written so far is on the disk; the parts, to be kept in a checkpoint."""
        part, self._open = self._open, None
        if part is not None:
            self.parts.append(part.close(self._staging))
        return list(self.parts)

    def publish(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest; the reference to it, which is the task's output. `details`: reads, watermark ..."""
        if not self.parts and self._open is None:
            self._open = _Part(self._folder / "part-00000.arrow", self.schema)  # no rows: a schema all the same
        parts = self.close_part()
        manifest = {
            "rows": sum(part["rows"] for part in parts),
            "bytes": sum(part["bytes"] for part in parts),
            "columns": [_shown(each) for each in columns_of(self.schema)],
            "parts": parts,
            **details,
        }
        data = json.dumps(manifest, ensure_ascii=False, sort_keys=True).encode()
        path = self._folder / "manifest.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # all parts may be an earlier attempt's
        _write_durably(path, data)
        return {
            MARK: str(path.relative_to(self._staging)),
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": manifest["rows"],
            "bytes": manifest["bytes"],
        }

    def abandon(self) -> None:
        """Remove the open part: nothing names it, and the next attempt may need its room."""
        if self._open is not None:
            self._open.abandon()
            self._open = None


class _Part:
    """One file that is being written, hashed as it goes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._file = _Hashing(path.with_name(f".{path.name}.{os.getpid()}").open("wb"))
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema, options=_OPTIONS)
        self.rows = 0
        self.nbytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self.rows += batch.num_rows
        self.nbytes += batch.nbytes

    def close(self, staging: Path) -> dict[str, Any]:
        try:
            self._writer.close()
            self._file.durable()
            os.rename(self._file.name, self._path)
        except OSError:
            self.abandon()
            raise
        return {
            "path": str(self._path.relative_to(staging)),
            "rows": self.rows,
            "bytes": self._file.size,
            "sha256": self._file.digest(),
        }

    def abandon(self) -> None:
        with suppress(OSError):  # closing writes what is buffered, and the disk may be full
            self._file.close()
        Path(self._file.name).unlink(missing_ok=True)


class _Hashing:
    """A file to write to, for Arrow, that hashes what goes through."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.name = file.name
        self.size = 0

    def write(self, data: Any) -> int:
        self._hash.update(data)
        written = self._file.write(data)
        self.size += written
        return written

    def durable(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()

    def digest(self) -> str:
        return self._hash.hexdigest()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()


def _write_durably(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename too: the outcome's commit will point here
    finally:
        os.close(folder)


def _shown(column: Any) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind.value,
        "nullable": column.nullable,
        "detail": column.detail,
    }


class StagedDataset:
    """A published dataset, to be read. A stream: its batches come once per iteration, part after part."""

    def __init__(self, reference: Mapping[str, Any], staging: Path) -> None:
        self.manifest = read_manifest(reference, staging)
        self._staging = staging
        self._schema: pa.Schema | None = None

    @property
    def schema(self) -> pa.Schema:
        """From the first part: an Arrow file carries it whole."""
        if self._schema is None:
            first = self.manifest["parts"][0]
            with _opened(self._staging, first) as source:
                self._schema = pa.ipc.open_stream(source).schema
        return self._schema

    @property
    def rows(self) -> int:
        return int(self.manifest["rows"])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for part in self.manifest["parts"]:
            with _opened(self._staging, part) as source:
                yield from pa.ipc.open_stream(source)

    def close(self) -> None:
        """Nothing is open between two parts."""


def is_reference(value: Any) -> bool:
    """Whether an output refers to a staged dataset."""
    return isinstance(value, Mapping) and isinstance(value.get(MARK), str)


def read_manifest(reference: Mapping[str, Any], staging: Path) -> dict[str, Any]:
    """The manifest an output refers to. ConfigurationError when it is gone or is not the one that was published."""
    name = str(reference.get(MARK, ""))
    data = _inside(staging, name).read_bytes() if _inside(staging, name).is_file() else None
    if data is None:
        raise ConfigurationError(
            f"The staged dataset '{name}' is gone; retry the task that made it together with this one."
        )
    if hashlib.sha256(data).hexdigest() != reference.get("sha256"):
        raise ConfigurationError(
            f"The staged dataset '{name}' is not what its task published; retry the task that made it."
        )
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def intact(parts: Sequence[Mapping[str, Any]], staging: Path) -> bool:
    """Whether all parts are there, of the size they had."""
    return all(_whole(_inside(staging, str(part["path"])), part) for part in parts)


def _whole(path: Path, part: Mapping[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == part["bytes"]


def _opened(staging: Path, part: Mapping[str, Any]) -> pa.NativeFile:
    path = _inside(staging, str(part["path"]))
    if not _whole(path, part):
        raise ConfigurationError(
            f"The staged part '{part['path']}' is gone or cut short; retry the task that made it."
        )
    return pa.memory_map(str(path))


def _inside(staging: Path, name: str) -> Path:
    path = (staging / name).resolve()
    if not name or not path.is_relative_to(staging.resolve()):
        raise ConfigurationError(f"'{name}' is not a staged dataset of this workspace.")
    return path
