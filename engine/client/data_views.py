"""Watermarks, datasets and lineage as the JSON that scripts read.

Law: as in `views`: pure, one function per shape, keys are added and never renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.client.datasets import Dataset, Detail, Lineage, Write
from engine.client.samples import Found
from engine.client.views import Json, iso
from engine.model.dataset import Column, DatasetEdge, DatasetVersion, Watermark
from engine.rules.lineage import LineageGraph, Link, Reached, Touch
from engine.rules.watermarks import shown


def watermark(mark: Watermark) -> Json:
    """How far one consumer of one source has come."""
    return {
        "pipeline_id": mark.pipeline_id,
        "producer": mark.producer,
        "source": mark.source,
        "consumer": mark.consumer,
        "profile": mark.profile,
        "strategy": mark.strategy.value,
        "column": mark.column or None,
        "type": mark.value["type"] if mark.value is not None else None,
        "value": shown(mark.value),
        "resets": mark.resets,
        "run_id": mark.run_id,
        "created_at": iso(mark.created_at),
        "updated_at": iso(mark.updated_at),
    }


def dataset_row(dataset: Dataset) -> Json:
    """A dataset, as lists show it."""
    recorded, last, newest = dataset.recorded, dataset.last, dataset.newest
    return {
        "name": dataset.name,
        "declared": dataset.declared,
        "uri": (recorded.uri or None) if recorded is not None else None,
        "rows": last.rows if last is not None else None,
        "bytes": last.bytes if last is not None else None,
        "last_written": iso((last.completed_at or last.started_at) if last is not None else None),
        "last_read": iso(recorded.last_read) if recorded is not None else None,
        "written_by": None if last is None else _by(last),
        "newest_state": newest.state.value if newest is not None else None,
        "schema_version": recorded.schema_version if recorded is not None and recorded.columns else None,
        "writers": [_task(each) for each in dataset.writers],
        "readers": [_task(each) for each in dataset.readers],
    }


def dataset(detail: Detail, writes: Sequence[Write]) -> Json:
    """One dataset with everything but its rows."""
    recorded = detail.dataset.recorded
    return {
        **dataset_row(detail.dataset),
        "columns": [column(each) for each in (recorded.columns if recorded is not None else ())],
        "versions": [_version(each) for each in detail.versions],
        "watermarks": [watermark(each) for each in detail.watermarks],
        "writes": [_write(each) for each in writes],
    }


def sample(found: Found) -> Json:
    """Rows that lie staged, and who staged them."""
    looked = found.sample
    return {
        "run_id": found.run_id,
        "task_id": found.task_id,
        "at": iso(found.at),
        "total": looked.total,
        "looked": looked.looked,
        "columns": [
            {**column(each.column), "nulls": each.nulls, "least": each.least, "greatest": each.greatest}
            for each in looked.columns
        ],
        "rows": [list(row) for row in looked.rows],
    }


def column(one: Column) -> Json:
    """A column."""
    return {
        "name": one.name,
        "kind": one.kind.value,
        "type": one.type_name,
        "nullable": one.nullable,
        "detail": one.detail or None,
    }


def lineage(found: Lineage, *, upstream: bool = True, downstream: bool = True) -> Json:
    """A dataset and what it hangs together with (LIN-10)."""
    above = found.upstream if upstream else ()
    below = found.downstream if downstream else ()
    names = [found.focus.name, *(each.name for each in (*above, *below))]
    links = dict.fromkeys(link for each in (*above, *below) for link in each.links)
    return {
        "dataset": found.focus.name,
        "at": iso(found.at),
        "upstream": [_reached(each) for each in above],
        "downstream": [_reached(each) for each in below],
        "sources": list(found.sources),
        "affected": list(found.affected),
        "nodes": [dataset_row(found.datasets[name]) for name in dict.fromkeys(names)],
        "edges": [edge(link, (found.seen or {}).get(link)) for link in links],
    }


def whole(graph: LineageGraph) -> Json:
    """Every dataset and every edge."""
    return {"nodes": [{"name": name} for name in graph.names], "edges": edges(graph.links, graph)}


def edges(links: Iterable[Link], graph: LineageGraph) -> list[Json]:
    """Links with what runs have recorded of them."""
    return [edge(link, graph.seen.get(link)) for link in links]


def edge(link: Link, seen: DatasetEdge | None) -> Json:
    """One link; `recorded` is false where only a definition says so."""
    return {
        "source": link.source,
        "target": link.target,
        "pipeline_id": link.writes.pipeline_id,
        "task_id": link.writes.task_id,
        "read_by": _task(link.reads),
        "transformation": (seen.transformation or None) if seen is not None else None,
        "recorded": seen is not None,
        "first_seen": iso(seen.first_seen) if seen is not None else None,
        "last_seen": iso(seen.last_seen) if seen is not None else None,
        "run_id": seen.run_id if seen is not None else None,
    }


def _reached(each: Reached) -> Json:
    return {"name": each.name, "hop": each.hop}


def _task(touch: Touch) -> str:
    return f"{touch.pipeline_id}/{touch.task_id}"


def _by(write: Write) -> Json:
    return {"pipeline_id": write.pipeline_id, "run_id": write.run_id, "task_id": write.task_id}


def _version(version: DatasetVersion) -> Json:
    return {
        "version": version.version,
        "at": iso(version.at),
        "pipeline_id": version.pipeline_id,
        "run_id": version.run_id,
        "task_id": version.task_id,
        "columns": [column(each) for each in version.columns],
    }


def _write(write: Write) -> Json:
    return {
        **_by(write),
        "map_index": write.map_index,
        "state": write.state.value,
        "started_at": iso(write.started_at),
        "completed_at": iso(write.completed_at),
        "rows": write.rows,
        "bytes": write.bytes,
        "transformation": write.transformation or None,
        "message": write.message or None,
    }
