"""What one touch makes of a dataset as it is remembered: its times, its size, the version of its columns.

Law: pure. What a task writes says what the columns are; what is read says it only of a dataset that nothing here
writes. A task that looks at fewer columns than are known is no change of the dataset; one that finds other columns
than it found itself the last time is. A name that is part of keys is bounded wherever it is used as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from engine.model.dataset import Column, Dataset, DatasetEdge, Direction, TouchRecord

Columns = tuple[Column, ...]
NAME_BYTES = 800  # of a dataset: it is part of keys


def bounded(name: str) -> str:
    """A dataset's name short enough for a key; a longer one ends in its hash."""
    data = name.encode(errors="replace")
    if len(data) <= NAME_BYTES:
        return name
    digest = sha256(data).hexdigest()[:16]
    return f"{data[: NAME_BYTES - 20].decode(errors='ignore')}…{digest}"


def of_item(name: str, item: Any) -> str:
    """What one item of a mapped task reads of a dataset: its own part, whatever place it has among the items."""
    return f"{name}[{item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, sort_keys=True)}]"


def after_touch(known: Dataset | None, record: TouchRecord, previous: Columns | None) -> Dataset:
    """The dataset after it was touched. `previous`: the columns that the same task had found before."""
    touch = record.touch
    if known is None:
        known = Dataset(name=touch.dataset, profile=record.profile, created_at=record.at)
    found = replace(known, uri=touch.uri or known.uri)
    if drifted(found, record, previous):
        first = not found.columns
        found = replace(found, columns=touch.columns, schema_version=found.schema_version + (0 if first else 1))
    if touch.direction is Direction.READ:
        return replace(found, last_read=record.at)
    return replace(
        found,
        rows=touch.rows,
        bytes=touch.bytes,
        last_written=record.at,
        written_by=(record.pipeline_id, record.run_id, record.task_id),
    )


def drifted(known: Dataset, record: TouchRecord, previous: Columns | None) -> bool:
    """Whether the touch says that the dataset's columns are others than those known."""
    columns = record.touch.columns
    if not columns or columns in (known.columns, previous):
        return False
    if not known.columns:
        return True
    if record.touch.direction is Direction.READ and known.last_written is not None:
        return False
    return previous is not None or not _narrower(columns, known.columns)


def edges_of(records: Sequence[TouchRecord]) -> list[DatasetEdge]:
    """What the touches of one transaction say was made from what: all that an attempt read went into all that it
    wrote."""
    found: dict[tuple[str, str, str | None, str, str], DatasetEdge] = {}
    for group in _by_attempt(records):
        reads = {each.touch.dataset for each in group if each.touch.direction is Direction.READ}
        for write in (each for each in group if each.touch.direction is Direction.WRITE):
            for source in sorted(reads - {write.touch.dataset}):
                edge = DatasetEdge(
                    source=source,
                    target=write.touch.dataset,
                    profile=write.profile,
                    pipeline_id=write.pipeline_id,
                    task_id=write.task_id,
                    transformation=write.touch.transformation,
                    first_seen=write.at,
                    last_seen=write.at,
                    run_id=write.run_id,
                )
                found[edge.source, edge.target, edge.profile, edge.pipeline_id, edge.task_id] = edge
    return list(found.values())


def _by_attempt(records: Iterable[TouchRecord]) -> Iterable[list[TouchRecord]]:
    groups: dict[tuple[str, str, int | None, int], list[TouchRecord]] = {}
    for each in records:
        groups.setdefault((each.run_id, each.task_id, each.map_index, each.attempt), []).append(each)
    return groups.values()


def _narrower(columns: Columns, known: Columns) -> bool:
    kinds = {each.name: (each.kind, each.detail) for each in known}
    return all(kinds.get(each.name) == (each.kind, each.detail) for each in columns)
