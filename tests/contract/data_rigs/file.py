"""Files in a folder: a table is a Parquet file, or the folder of them that loads make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.connectors.files.connector import FileConnector
from engine.model.workspace import Connection
from tests.contract.data_rigs.base import DataRig, kinds_table


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileRig]:
    rig = FileRig(Connection(id="shop", type="file", config={"path": "data"}), tmp_path)
    try:
        yield rig
    finally:
        rig.close()


class ByTable:
    """The connector, with a path where the suites say `table`."""

    def __init__(self, files: FileConnector) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._files, name)
        if name not in ("read", "schema_of", "candidates", "newest"):
            return found
        return lambda given: found(replace(given, path=given.table, table=None))


class FileRig(DataRig):
    queries = False
    windows = False
    limits = False

    def __init__(self, connection: Connection, root: Path) -> None:
        super().__init__(connection, root)
        self._folder = root / "data"
        self._folder.mkdir()

    def connector(self) -> Any:
        return ByTable(super().connector())

    def seed_kinds(self, name: str) -> None:
        pq.write_table(kinds_table(), self._folder / name)

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        columns: Any = list(zip(*rows, strict=True))
        types = (("id", pa.int64()), ("updated_at", pa.timestamp("us", tz="UTC")), ("note", pa.string()))
        made = {key: pa.array(column, kind) for (key, kind), column in zip(types, columns, strict=True)}
        pq.write_table(pa.table(made), self._folder / name)

    def count(self, name: str) -> int:
        return sum(pq.read_metadata(path).num_rows for path in (self._folder / name).glob("*.parquet"))

    def exists(self, name: str) -> bool:
        return (self._folder / name).exists()

    def leftovers(self) -> Sequence[str]:
        beside = self._folder / ".penstock/files"
        there = beside.iterdir() if beside.exists() else ()
        return [path.name for path in there if path.suffix not in (".json", ".lock")]
