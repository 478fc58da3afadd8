"""One opened read of files. See engine.ports.source.Reading."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.connectors.files.dataset import FileSet
from engine.connectors.files.names import naming
from engine.connectors.files.newness import Newness
from engine.connectors.files.place import Entry
from engine.connectors.files.raw import raw_text
from engine.connectors.files.readahead import ReadAhead
from engine.dataflow.kinds import columns_of, fingerprint
from engine.model.dataset import DatasetTouch, Direction
from engine.ports.source import Seen
from engine.ports.stream import RawText

MOST_PARTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What is read, for lineage."""

    connection: str
    dataset: str
    uri: str


class FileReading:
    """Batches of one file after the other; a file counts as read when its last batch was taken."""

    acknowledges = False

    def __init__(self, files: FileSet, named: Named, newness: Newness | None) -> None:
        self._files, self._named, self._newness = files, named, newness
        self.schema: pa.Schema = files.schema
        self._begun: list[Entry] = []
        self._done: list[Entry] = []
        self._batches = self._read()
        self._raw: RawText | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def _read(self) -> Generator[pa.RecordBatch, None, None]:
        for at, file in enumerate(self._files.files):
            self._begun.append(file.entry)
            with naming(self._named.connection):
                yield from self._files.batches(at)
            self._done.append(file.entry)

    def touches(self) -> Sequence[DatasetTouch]:
        read = [file.entry for file in self._files.files] if self._raw is not None else self._begun
        parts = tuple(entry.shown for entry in read[:MOST_PARTS])
        return [
            DatasetTouch(
                direction=Direction.READ,
                dataset=self._named.dataset,
                uri=self._named.uri,
                bytes=sum(entry.size for entry in read),
                columns=columns_of(self.schema),
                transformation="extract",
                parts=parts,
                part_count=len(read),
            )
        ]

    def seen(self) -> Seen | None:
        if self._newness is None:
            return None
        return self._newness.seen(self._done, fingerprint(self.schema) if len(self.schema) else "")

    def position(self) -> Any:
        return None

    def raw(self) -> RawText | None:
        if self._newness is None and self._raw is None:
            self._raw = raw_text(self._files, self._named.connection)
        return self._raw

    def acknowledge(self) -> None:
        """Reading a file changes nothing there."""

    def close(self) -> None:
        self._batches.close()
        if self._raw is not None and isinstance(self._raw.blocks, ReadAhead):
            self._raw.blocks.close()
