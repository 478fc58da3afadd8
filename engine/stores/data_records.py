"""Watermarks, datasets, touches, edges and breakers as rows, and rows as records.

Law: as in `records`: tuples in the order of the names going in, columns by name coming out. Columns of a dataset
travel as JSON text under the hash of that text.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from engine.model.breaker import Breaker
from engine.model.dataset import (
    Column,
    Dataset,
    DatasetEdge,
    DatasetTouch,
    DatasetVersion,
    Direction,
    Strategy,
    TouchRecord,
    Watermark,
)
from engine.stores.records import Row, Values
from engine.stores.values import (
    clean,
    dump,
    dump_or_none,
    instant,
    instant_or_none,
    load,
    map_index,
    map_key,
    micros,
    micros_or_none,
)

WATERMARK = (
    "profile", "pipeline_id", "producer", "source", "consumer", "value", "watermark_column", "strategy",
    "fingerprint", "resets", "run_id", "created_at", "updated_at",
)  # fmt: skip
DATASET = (
    "profile", "name", "uri", "schema_version", "columns_hash", "rows", "bytes", "created_at", "last_read",
    "last_written", "last_touched", "written_by",
)  # fmt: skip
VERSION = ("profile", "name", "version", "columns_hash", "at", "pipeline_id", "run_id", "task_id")
TOUCH = (
    "seq", "profile", "dataset", "direction", "pipeline_id", "run_id", "task_id", "map_index", "attempt", "at",
    "uri", "rows", "bytes", "columns_hash", "transformation", "parts", "part_count",
)  # fmt: skip
EDGE = (
    "profile", "source", "target", "pipeline_id", "task_id", "transformation", "first_seen", "last_seen", "run_id",
)  # fmt: skip
BREAKER = ("profile", "connection", "state")

Columns = tuple[Column, ...]
_columns = msgspec.json.Decoder(Columns).decode
_breaker = msgspec.json.Decoder(Breaker).decode


def write_watermark(mark: Watermark) -> Values:
    """Into watermarks."""
    return (
        mark.profile or "",
        mark.pipeline_id,
        mark.producer,
        clean(mark.source),
        mark.consumer,
        None if mark.value is None else dump(mark.value),
        clean(mark.column),
        mark.strategy.value,
        clean(mark.fingerprint),
        mark.resets,
        mark.run_id,
        micros(mark.created_at),
        micros(mark.updated_at),
    )


def read_watermark(row: Row) -> Watermark:
    """A row of watermarks."""
    return Watermark(
        pipeline_id=row.pipeline_id,
        producer=row.producer,
        source=row.source,
        consumer=row.consumer,
        profile=row.profile or None,
        column=row.watermark_column,
        strategy=Strategy(row.strategy),
        value=load(row.value),
        fingerprint=row.fingerprint,
        resets=row.resets,
        run_id=row.run_id,
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
    )


def write_columns(columns: Columns) -> tuple[str, str]:
    """The hash of the columns ('' for none) and their text."""
    if not columns:
        return "", ""
    text = clean(dump(columns))
    return sha256(text.encode()).hexdigest()[:32], text


@lru_cache(maxsize=256)  # the same text is read for every dataset and touch that has these columns
def read_columns(text: str | None) -> Columns:
    """Columns again."""
    return _columns(text) if text else ()


def write_dataset(dataset: Dataset, columns_hash: str) -> Values:
    """Into datasets."""
    touched = [each for each in (dataset.last_read, dataset.last_written) if each is not None]
    return (
        dataset.profile or "",
        clean(dataset.name),
        clean(dataset.uri),
        dataset.schema_version,
        columns_hash,
        dataset.rows,
        dataset.bytes,
        micros(dataset.created_at),
        micros_or_none(dataset.last_read),
        micros_or_none(dataset.last_written),
        micros(max(touched, default=dataset.created_at)),
        None if dataset.written_by is None else dump(dataset.written_by),
    )


def dataset_of(values: Any, columns: Columns) -> Dataset:
    """A row of datasets, as a cursor hands it out: in the order of DATASET."""
    by = load(values[11])
    return Dataset(
        name=values[1],
        profile=values[0] or None,
        uri=values[2],
        schema_version=values[3],
        columns=columns,
        rows=values[5],
        bytes=values[6],
        created_at=instant(values[7]),
        last_read=instant_or_none(values[8]),
        last_written=instant_or_none(values[9]),
        written_by=None if by is None else (str(by[0]), str(by[1]), str(by[2])),
    )


def read_dataset(row: Row) -> Dataset:
    """A row of datasets with the text of its columns."""
    return dataset_of([getattr(row, name) for name in DATASET], read_columns(row.columns))


def write_version(dataset: Dataset, columns_hash: str, record: TouchRecord) -> Values:
    """Into dataset_versions: the dataset as `record` left it."""
    return (
        dataset.profile or "",
        clean(dataset.name),
        dataset.schema_version,
        columns_hash,
        micros(record.at),
        record.pipeline_id,
        record.run_id,
        record.task_id,
    )


def read_version(row: Row) -> DatasetVersion:
    """A row of dataset_versions with the text of its columns."""
    return DatasetVersion(
        version=row.version,
        columns=read_columns(row.columns),
        at=instant(row.at),
        pipeline_id=row.pipeline_id,
        run_id=row.run_id,
        task_id=row.task_id,
    )


def write_touch(record: TouchRecord, seq: int, columns_hash: str) -> Values:
    """Into dataset_touches."""
    touch = record.touch
    return (
        seq,
        record.profile or "",
        clean(touch.dataset),
        touch.direction.value,
        record.pipeline_id,
        record.run_id,
        record.task_id,
        map_key(record.map_index),
        record.attempt,
        micros(record.at),
        clean(touch.uri),
        touch.rows,
        touch.bytes,
        columns_hash,
        clean(touch.transformation),
        dump_or_none(touch.parts),
        touch.part_count,
    )


def read_touch(row: Row) -> TouchRecord:
    """A row of dataset_touches with the text of its columns."""
    touch = DatasetTouch(
        direction=Direction(row.direction),
        dataset=row.dataset,
        uri=row.uri,
        rows=row.rows,
        bytes=row.bytes,
        columns=read_columns(row.columns),
        transformation=row.transformation,
        parts=tuple(load(row.parts, ())),
        part_count=row.part_count,
    )
    return TouchRecord(
        touch=touch,
        profile=row.profile or None,
        pipeline_id=row.pipeline_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        attempt=row.attempt,
        at=instant(row.at),
    )


def write_edge(edge: DatasetEdge) -> Values:
    """Into dataset_edges."""
    return (
        edge.profile or "",
        clean(edge.source),
        clean(edge.target),
        edge.pipeline_id,
        edge.task_id,
        clean(edge.transformation),
        micros(edge.first_seen),
        micros(edge.last_seen),
        edge.run_id,
    )


def read_edge(row: Row) -> DatasetEdge:
    """A row of dataset_edges."""
    return DatasetEdge(
        source=row.source,
        target=row.target,
        profile=row.profile or None,
        pipeline_id=row.pipeline_id,
        task_id=row.task_id,
        transformation=row.transformation,
        first_seen=instant(row.first_seen),
        last_seen=instant(row.last_seen),
        run_id=row.run_id,
    )


def write_breaker(breaker: Breaker) -> Values:
    """Into breakers."""
    return (breaker.profile or "", breaker.connection, clean(dump(breaker)))


def read_breaker(row: Row) -> Breaker:
    """A row of breakers."""
    return _breaker(row.state)
