"""Selections about data that the engine and its readers share: a connection in, records out.

Law: as in `reading`: nothing here writes, opens or closes anything. A profile is '' for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from engine.model.breaker import Breaker
from engine.model.dataset import Dataset, DatasetEdge, DatasetVersion, Direction, TouchRecord, Watermark
from engine.ports.store import PipelineVersion
from engine.stores import data_records as records
from engine.stores import schema as s
from engine.stores import schema_data as d
from engine.stores.ledgers import read_version
from engine.stores.reading import every, one
from engine.stores.values import micros


def watermarks(
    connection: Connection, profile: str, pipeline_id: str | None, limit: int = 10_000
) -> list[Watermark]:
    """Of one pipeline or of all, by pipeline, producer, source and consumer."""
    columns = d.watermarks.c
    query = select(d.watermarks).where(columns.profile == profile)
    if pipeline_id is not None:
        query = query.where(columns.pipeline_id == pipeline_id)
    order = (columns.pipeline_id, columns.producer, columns.source, columns.consumer)
    return every(connection, query.order_by(*order).limit(limit), records.read_watermark)


def watermarks_of(connection: Connection, profile: str, source: str, limit: int) -> list[Watermark]:
    """Of all pipelines that read one dataset."""
    columns = d.watermarks.c
    query = select(d.watermarks).where(columns.profile == profile, columns.source == source)
    order = (columns.pipeline_id, columns.producer, columns.consumer)
    return every(connection, query.order_by(*order).limit(limit), records.read_watermark)


def breakers(connection: Connection) -> list[Breaker]:
    """Every remembered one."""
    columns = d.breakers.c
    query = select(d.breakers).order_by(columns.connection, columns.profile)
    return every(connection, query, records.read_breaker)


def datasets(connection: Connection, profile: str, limit: int) -> list[Dataset]:
    """Those touched last, by name."""
    columns = d.datasets.c
    query = _with_columns(d.datasets).where(columns.profile == profile)
    found = every(connection, query.order_by(columns.last_touched.desc()).limit(limit), records.read_dataset)
    return sorted(found, key=lambda each: each.name)


def dataset(connection: Connection, profile: str, name: str) -> Dataset | None:
    """By its name."""
    columns = d.datasets.c
    query = _with_columns(d.datasets).where(columns.profile == profile, columns.name == name)
    return one(connection, query, records.read_dataset)


def versions(connection: Connection, profile: str, name: str, limit: int) -> list[DatasetVersion]:
    """Newest first."""
    columns = d.dataset_versions.c
    query = _with_columns(d.dataset_versions).where(columns.profile == profile, columns.name == name)
    return every(connection, query.order_by(columns.version.desc()).limit(limit), records.read_version)


def touches(
    connection: Connection, profile: str, name: str, direction: Direction | None, limit: int
) -> list[TouchRecord]:
    """Newest first."""
    columns = d.dataset_touches.c
    query = _with_columns(d.dataset_touches).where(columns.profile == profile, columns.dataset == name)
    if direction is not None:
        query = query.where(columns.direction == direction.value)
    return every(connection, query.order_by(columns.seq.desc()).limit(limit), records.read_touch)


def touches_of_run(connection: Connection, run_id: str, limit: int) -> list[TouchRecord]:
    """In their order."""
    columns = d.dataset_touches.c
    query = _with_columns(d.dataset_touches).where(columns.run_id == run_id)
    return every(connection, query.order_by(columns.seq).limit(limit), records.read_touch)


def touching_runs(connection: Connection, profile: str, since: datetime, limit: int) -> list[str]:
    """Ids of runs that touched data since a time, oldest first."""
    columns = d.dataset_touches.c
    query = select(columns.run_id).where(columns.profile == profile, columns.at >= micros(since))
    query = query.group_by(columns.run_id).order_by(func.min(columns.seq)).limit(limit)
    return list(connection.execute(query).scalars())


def edges(connection: Connection, profile: str, at: datetime | None, limit: int) -> list[DatasetEdge]:
    """Those seen last, as far as they had been seen by a time."""
    columns = d.dataset_edges.c
    query = select(d.dataset_edges).where(columns.profile == profile)
    if at is not None:
        query = query.where(columns.first_seen <= micros(at))
    found = every(connection, query.order_by(columns.last_seen.desc()).limit(limit), records.read_edge)
    return sorted(found, key=lambda each: (each.source, each.target, each.pipeline_id, each.task_id))


def versions_at(connection: Connection, at: datetime) -> list[PipelineVersion]:
    """Each pipeline's definition as it stood: of its last run before, else the newest that was pinned before."""
    pinned, runs, moment = s.pipeline_versions.c, s.pipeline_runs.c, micros(at)
    names = connection.execute(select(pinned.pipeline_id).where(pinned.created_at <= moment).distinct()).scalars()
    found: list[PipelineVersion] = []
    for name in sorted(names):
        last = (
            select(runs.version)
            .where(runs.pipeline_id == name, runs.triggered_at <= moment)
            .order_by(runs.triggered_at.desc(), runs.run_id.desc())
            .limit(1)
        )
        number = connection.execute(last).scalar_one_or_none()
        standing = pinned.created_at <= moment if number is None else pinned.version == number
        query = select(s.pipeline_versions).where(and_(pinned.pipeline_id == name, standing))
        version = one(connection, query.order_by(pinned.version.desc()), read_version)
        found += [version] if version is not None else []
    return found


def touchers(connection: Connection, profile: str, names: Sequence[str], limit: int) -> list[tuple[str, ...]]:
    """dataset, direction, pipeline, task of whoever touched these datasets, as far as it is remembered."""
    columns = d.dataset_touches.c
    shown = (columns.dataset, columns.direction, columns.pipeline_id, columns.task_id)
    query = (
        select(*shown)
        .where(columns.profile == profile, columns.dataset.in_(names))
        .distinct()
        .order_by(*shown)
        .limit(limit)
    )
    return [tuple(row) for row in connection.execute(query)]


def _with_columns(table: Any) -> Select[Any]:
    """Rows with the text of their columns beside them."""
    sets = d.column_sets
    join = table.outerjoin(sets, sets.c.hash == table.c.columns_hash)
    return select(table, sets.c.columns).select_from(join)
