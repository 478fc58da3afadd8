"""Files as a source and a destination: types `file`, `s3`, `gcs`, `azure`.

Law: nothing outside the connection's `path` (or bucket and prefix) is read or written. Config: file {path}; what
the others take is in engine.connectors.files.object_clients. All take defaults for the options of a read (format,
delimiter, encoding ...) and `max_bytes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.files.dataset import FileSet
from engine.connectors.files.globs import Pattern, is_magic
from engine.connectors.files.local import LocalFolder
from engine.connectors.files.local_target import LocalTarget
from engine.connectors.files.names import encoded, naming, parts_of, shown
from engine.connectors.files.newness import Newness, newest
from engine.connectors.files.options import read_options
from engine.connectors.files.place import MOST_FILES, Entry, Place
from engine.connectors.files.reading import FileReading, Named
from engine.connectors.files.target import Target
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Selection
from engine.ports.stream import RawText, Stream

MOST_LOOKED_AT = 1_000  # files, to find a near name


def connect(connection: Connection, root: Path) -> FileConnector:
    """The connector of a `file`, `s3`, `gcs` or `azure` connection."""
    if connection.type == "file":
        folder = LocalFolder(connection.id, root / str(connection.config.get("path") or "."))
        return FileConnector(connection, folder, LocalTarget(folder, connection))
    from engine.connectors.files.object_clients import open_store
    from engine.connectors.files.object_target import ObjectTarget

    store = open_store(connection, root)
    return FileConnector(connection, store, ObjectTarget(store, connection))


class FileConnector:
    """One root with files. See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, place: Place, target: Target) -> None:
        self._connection, self._place, self._target = connection, place, target

    def test(self) -> str:
        return self._place.test()

    def close(self) -> None:
        self._place.close()

    # ---------------------------------------------------------------------------------------- source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        deep = pattern if "/" in pattern else f"**/{pattern}"
        found = sorted(entry.name for entry in self._entries(deep))
        return [shown(name) for name in found[:limit]]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with naming(self._connection.id):
            entries, what = self._found(selection)
            return FileSet(self._place, entries, read_options(selection, self._connection.config), what).schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        if selection.path is None:
            return ()
        return (
            Candidate(
                strategy=Strategy.FILE, column="modified", reason="Files carry the time of their last change."
            ),
            Candidate(strategy=Strategy.FILE, column="name", reason="Where names rise with time: dates, numbers."),
            Candidate(
                strategy=Strategy.FILE,
                column="manifest",
                reason="Where old files may arrive late: each name is kept.",
            ),
        )

    def newest(self, selection: Selection) -> Any:
        return newest(self._entries(self._path(selection)))

    def read(self, selection: Selection) -> FileReading:
        with naming(self._connection.id):
            return self._read(selection)

    def _read(self, selection: Selection) -> FileReading:
        options = read_options(selection, self._connection.config)
        named = Named(
            connection=self._connection.id,
            dataset=f"{self._connection.id}:{selection.object}",
            uri=self._uri(self._path(selection)),
        )
        if selection.window is None:
            entries, what = self._found(selection)
            return FileReading(FileSet(self._place, entries, options, what), named, None)
        there = self._entries(self._path(selection))
        newness = Newness(selection.window, there)
        if newness.entries or not there:
            return FileReading(FileSet(self._place, newness.entries, options, selection.object), named, newness)
        known = FileSet(self._place, there[-1:], options, selection.object)  # nothing new: columns and no rows
        return FileReading(FileSet.of_none(known), named, newness)

    def _found(self, selection: Selection) -> tuple[Sequence[Entry], str]:
        path = self._path(selection)
        entries = self._entries(path)
        if not entries:
            raise ConfigurationError(
                f"No file '{shown(path)}' in connection '{self._connection.id}' ({self._uri('')}). "
                f"{self._near(path)}"
            )
        return entries, path

    def _near(self, path: str) -> str:
        parts = parts_of(path, getattr(self._place, "root", ""))
        if not any(is_magic(part) for part in parts):
            there = islice(self._place.matching(Pattern((*parts[:-1], "*"))), MOST_LOOKED_AT)
            near = get_close_matches(path, [entry.name for entry in there], n=1)
            if near:
                return f"Did you mean '{shown(near[0])}'?"
        return "Check the name; `*` stands for any part of it, `**` for any folders."

    def _path(self, selection: Selection) -> str:
        if selection.path is None:
            raise ConfigurationError(
                f"Connection '{self._connection.id}' is of type '{self._connection.type}': name a file or pattern "
                "in `path`."
            )
        return selection.path

    def _entries(self, path: str) -> list[Entry]:
        """The files of a name, a pattern, or a folder with all that is in it; by name."""
        one = self._place.find(path)
        if one is not None:
            return [one]
        parts = parts_of(path, getattr(self._place, "root", ""))
        if not any(is_magic(part) for part in parts):
            if parts and not self._place.is_folder(path):
                return []
            parts = (*parts, "**", "*")
        found: list[Entry] = []
        for entry in self._place.matching(Pattern(parts)):
            found.append(entry)
            if len(found) > MOST_FILES:
                raise ConfigurationError(
                    f"'{shown(path)}' matches more than {MOST_FILES:,} files; narrow the pattern, or read by "
                    f"folder."
                )
        return sorted(found, key=lambda entry: entry.name)

    def _uri(self, path: str) -> str:
        parts = parts_of(path, getattr(self._place, "root", ""))
        found = self._place.uri("")
        return found if not parts else f"{found.rstrip('/')}/{encoded('/'.join(parts)).replace('%2A', '*')}"

    # ----------------------------------------------------------------------------------- destination

    def modes(self) -> frozenset[Mode]:
        return frozenset({Mode.APPEND, Mode.REPLACE})

    def target_schema(self, target: str) -> pa.Schema | None:
        return None

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        self._target.create(target)

    def ledger(self, token: str, target: str) -> Loaded | None:
        return self._target.ledger(token, target)

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        return self._target.watermark(scope, target)

    def load(self, stream: Stream, order: Order) -> Loaded:
        return self._target.load(stream, order)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None  # a file is written from values, so that what is in it is known to be whole

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        return self._target.stage(stream, order)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        return self._target.publish(staged, order)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        self._target.undo(staged, order)

    def discard(self, staged: Mapping[str, Any]) -> None:
        self._target.discard(staged)
