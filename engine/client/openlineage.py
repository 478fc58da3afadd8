"""What runs did to data as events of OpenLineage 2 (LIN-12).

Law: pure. One COMPLETE event for each attempt that touched data, with the run of the pipeline as its parent. Run
ids are UUIDs made from ours, so that the same run is the same in every export.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from engine.client.views import Json, iso
from engine.model.dataset import Column, DataKind, Direction, TouchRecord

PRODUCER = "urn:penstock"
NAMESPACE = "penstock"  # of jobs, and of datasets whose place is not known
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "parent": f"{_SPEC}/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet",
    "schema": f"{_SPEC}/facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "dataSource": f"{_SPEC}/facets/1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
    "outputStatistics": (
        f"{_SPEC}/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
    ),
    "inputStatistics": (
        f"{_SPEC}/facets/1-0-0/InputStatisticsInputDatasetFacet.json#/$defs/InputStatisticsInputDatasetFacet"
    ),
    "jobType": f"{_SPEC}/facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
}
_TYPES = {DataKind.FLOAT: "double", DataKind.INTEGER: "long"}


def events(records: Iterable[TouchRecord]) -> Iterator[Json]:
    """The events of these touches, in their order."""
    groups: dict[tuple[str, str, int | None, int], list[TouchRecord]] = {}
    for each in records:
        groups.setdefault((each.run_id, each.task_id, each.map_index, each.attempt), []).append(each)
    yield from (_event(group) for group in groups.values())


def _event(group: Sequence[TouchRecord]) -> Json:
    one = group[0]
    index = "" if one.map_index is None else f"[{one.map_index}]"
    parent = {
        "run": {"runId": _run_id(one.run_id)},
        "job": {"namespace": NAMESPACE, "name": one.pipeline_id},
    }
    reads = [each for each in group if each.touch.direction is Direction.READ]
    writes = [each for each in group if each.touch.direction is Direction.WRITE]
    return {
        "eventType": "COMPLETE",
        "eventTime": iso(one.at),
        "run": {
            "runId": _run_id(f"{one.run_id}/{one.task_id}{index}/{one.attempt}"),
            "facets": {"parent": _facet("parent", parent)},
        },
        "job": {
            "namespace": NAMESPACE,
            "name": f"{one.pipeline_id}.{one.task_id}",
            "facets": {
                "jobType": _facet(
                    "jobType", {"processingType": "BATCH", "integration": "PENSTOCK", "jobType": "TASK"}
                )
            },
        },
        "inputs": [_dataset(each, "inputFacets", "inputStatistics") for each in reads],
        "outputs": [_dataset(each, "outputFacets", "outputStatistics") for each in writes],
        "producer": PRODUCER,
        "schemaURL": _EVENT,
    }


def _dataset(record: TouchRecord, statistics: str, name: str) -> Json:
    touch = record.touch
    namespace, path = _place(touch.uri, touch.dataset)
    facets: Json = {}
    if touch.columns:
        facets["schema"] = _facet("schema", {"fields": [_field(each) for each in touch.columns]})
    if touch.uri:
        facets["dataSource"] = _facet("dataSource", {"name": touch.dataset, "uri": touch.uri})
    found: Json = {"namespace": namespace, "name": path, "facets": facets}
    counted = {"rowCount": touch.rows, "size": touch.bytes}
    counted = {key: value for key, value in counted.items() if value is not None}
    if counted:
        found[statistics] = {name: _facet(name, counted)}
    return found


def _place(uri: str, dataset: str) -> tuple[str, str]:
    """Namespace and name as the naming rules of OpenLineage want them: the system, and what is in it."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return NAMESPACE, dataset
    if not parts.scheme or not parts.path.strip("/"):
        return NAMESPACE, dataset
    if not parts.netloc:  # a file, or a table in one
        return parts.scheme, parts.path + (f"#{parts.fragment}" if parts.fragment else "")
    scheme = "postgres" if parts.scheme in ("postgresql", "postgres") else parts.scheme
    place = parts.path.strip("/")
    name = place.replace("/", ".") if scheme in ("postgres", "mysql", "mariadb", "snowflake") else place
    return f"{scheme}://{parts.netloc}", name


def _field(column: Column) -> Json:
    told = column.type_name if column.detail else _TYPES.get(column.kind, column.kind.value)
    return {"name": column.name, "type": told}


def _facet(name: str, content: Json) -> Json:
    return {"_producer": PRODUCER, "_schemaURL": _FACETS[name], **content}


def _run_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:penstock:{name}"))
