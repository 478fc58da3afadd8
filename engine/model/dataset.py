"""Data as it is named and remembered: datasets, what an attempt read and wrote, how far a load has come.

Law: values only. A dataset's name is `connection:object`, or what the task declares where it declares just one. A
watermark's value is plain JSON with its type beside it (engine.rules.watermarks reads and compares it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class DataKind(StrEnum):
    """The nine kinds of values that travel between systems (TYP-01)."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    JSON = "json"
    BINARY = "binary"


class Direction(StrEnum):
    """What a task did with a dataset."""

    READ = "read"
    WRITE = "write"


class Strategy(StrEnum):
    """How an incremental read knows what is new (INC-02)."""

    TIMESTAMP = "timestamp"
    ID = "id"
    CURSOR = "cursor"
    FILE = "file"
    CDC = "cdc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as it is remembered with a dataset."""

    name: str
    kind: DataKind
    nullable: bool = True
    detail: str = ""  # what the kind does not say: decimal(10,2), without time zone

    @property
    def type_name(self) -> str:
        """The kind as exactly as it is known: decimal(10,2), int32, timestamp without time zone."""
        return f"{self.kind} {self.detail}" if " " in self.detail else self.detail or self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetTouch:
    """One dataset that an attempt read or wrote, as the connector saw it (LIN-01)."""

    direction: Direction
    dataset: str
    uri: str = ""  # where it is, without login: postgresql://host/db/schema.table, file:///inbox/a.csv
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[Column, ...] = ()
    transformation: str = ""  # extract, load:append, load:upsert ...
    parts: tuple[str, ...] = ()  # the files of a glob, at most 100; the number of all is in `part_count`
    part_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkMove:
    """How far a task's data now reaches: committed with the outcome that stands for the data, never before."""

    producer: str  # id of the task that reads the source
    source: str  # dataset name of what was read
    column: str  # the watermark's column; '' where there is none (cursor, file)
    strategy: Strategy
    value: Any  # {"type": ..., "value": ...}
    fingerprint: str = ""  # of the source's columns (INC-10)
    resets: int = 0  # how often the watermark had been reset when this move began; an older one is ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Where one consumer of one source stands. The key is (profile, pipeline, producer, source, consumer)."""

    pipeline_id: str
    producer: str
    source: str
    consumer: str  # the task whose success moves it: the load, or the producer itself
    profile: str | None = None
    column: str = ""
    strategy: Strategy
    value: Any  # None after a reset without a value: from `initial`, else the beginning
    fingerprint: str = ""
    resets: int = 0
    run_id: str | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchRecord:
    """A touch with who, when and in which attempt: one row of the lineage record (LIN-03)."""

    touch: DatasetTouch
    profile: str | None
    pipeline_id: str
    run_id: str
    task_id: str
    map_index: int | None
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is known of one dataset now."""

    name: str
    profile: str | None = None
    uri: str = ""
    schema_version: int = 1  # rises with each change of the columns
    columns: tuple[Column, ...] = ()
    rows: int | None = None  # of the last write
    bytes: int | None = None
    created_at: datetime
    last_read: datetime | None = None
    last_written: datetime | None = None
    written_by: tuple[str, str, str] | None = None  # pipeline, run, task


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """The columns of a dataset from a time on: one entry of its drift history."""

    version: int
    columns: tuple[Column, ...]
    at: datetime
    pipeline_id: str
    run_id: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEdge:
    """`target` was made from `source` by a task: all its successes, from the first to the last (LIN-02)."""

    source: str
    target: str
    profile: str | None = None
    pipeline_id: str
    task_id: str
    transformation: str = ""
    first_seen: datetime
    last_seen: datetime
    run_id: str  # of the last
