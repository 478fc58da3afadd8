"""Datasets: what definitions declare, united with what runs have recorded.

Law: names and links come from the definitions as they are now (or stood at a time) and from what attempts reported
they read and wrote, in this profile. Tries that failed come from the last runs of the tasks that write. Nothing is
measured here: what no run reported is unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engine.client.names import near
from engine.model import dataset as model
from engine.model.dataset import DatasetVersion, Direction, TouchRecord, Watermark
from engine.model.errors import NotFound, PenstockError
from engine.model.pipeline import Pipeline
from engine.model.run import TaskExecution, TaskState
from engine.ports.catalog import Catalog
from engine.ports.queries import Queries
from engine.rules.lineage import (
    LineageGraph,
    Link,
    Reached,
    Touch,
    affected_pipelines,
    data_sources,
    lineage_graph,
    path,
    reach,
    united,
)

RECENT_RUNS = 20  # of each pipeline
_NEAREST = 100  # datasets around the focus whose readers are looked up in the record
_ROWS = ("rows", "rows_written", "rows_loaded", "loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One execution of a task that writes the dataset."""

    run_id: str
    pipeline_id: str
    task_id: str
    map_index: int | None
    state: TaskState
    started_at: datetime | None
    completed_at: datetime | None
    rows: int | None = None  # as recorded, else as the task reported them
    bytes: int | None = None
    message: str = ""  # why it failed
    transformation: str = ""  # load:append ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset that is declared, recorded, or both."""

    name: str
    writers: Sequence[Touch]
    readers: Sequence[Touch]
    last: Write | None = None  # the newest success that is known
    newest: Write | None = None  # the newest try, whatever became of it
    recorded: model.Dataset | None = None  # columns, size and times, as runs left it
    declared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A dataset in the middle of what it comes from and what is made from it."""

    focus: Dataset
    upstream: Sequence[Reached]
    downstream: Sequence[Reached]
    affected: Sequence[str]  # pipelines that would notice if it were wrong
    datasets: Mapping[str, Dataset]  # every one that is named here
    sources: Sequence[str] = ()  # where its data comes from in the end
    seen: Mapping[Link, model.DatasetEdge] | None = None  # links that runs have made
    at: datetime | None = None  # as of then; None: now


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """Everything that is known of one dataset but its rows."""

    dataset: Dataset
    versions: Sequence[DatasetVersion]  # of its columns, newest first
    watermarks: Sequence[Watermark]  # of those who read it incrementally


class Datasets:
    """What may be asked of datasets, for one profile."""

    def __init__(self, catalog: Catalog, queries: Queries, profile: str | None = None) -> None:
        self._catalog, self._queries, self._profile = catalog, queries, profile

    def graph(self, at: datetime | None = None) -> LineageGraph:
        """Everything, as it is or as it stood."""
        return self._united(at, self._queries.datasets(self._profile))

    def all(self) -> list[Dataset]:
        """Every dataset, by name."""
        recorded = self._queries.datasets(self._profile)
        found = self._united(None, recorded)
        return list(self._filled(found, found.names, recorded).values())

    def lineage(self, name: str, *, depth: int | None = None, at: datetime | None = None) -> Lineage:
        """One dataset and everything it hangs together with. NotFound with the near spelling."""
        recorded = self._queries.datasets(self._profile)
        found = self._united(at, recorded)
        _known(found, name)
        near_by = [name, *(each.name for way in (False, True) for each in reach(found, name, downstream=way))]
        found = united(found, (), self._touched(near_by[:_NEAREST])) if at is None else found
        upstream = reach(found, name, downstream=False, depth=depth)
        downstream = reach(found, name, downstream=True, depth=depth)
        names = [name, *(each.name for each in (*upstream, *downstream))]
        filled = self._filled(found, names, recorded, at)
        return Lineage(
            focus=filled[name],
            upstream=upstream,
            downstream=downstream,
            affected=affected_pipelines(found, name),
            datasets=filled,
            sources=data_sources(found, name),
            seen=found.seen,
            at=at,
        )

    def path(self, source: str, target: str, at: datetime | None = None) -> list[Link]:
        """How one goes into the other; empty when it does not. NotFound for a name that is none."""
        found = self.graph(at)
        for name in (source, target):
            _known(found, name)
        return path(found, source, target)

    def detail(self, name: str) -> Detail:
        """Columns and their history, who reads and writes it, how far incremental reads have come."""
        lineage = self.lineage(name, depth=1)
        return Detail(
            dataset=lineage.focus,
            versions=self._queries.dataset_versions(self._profile, name),
            watermarks=self._watermarks(lineage.focus),
        )

    def writes(self, name: str, *, runs: int) -> list[Write]:
        """What was written and what was tried, newest first; what has not started has done nothing yet."""
        found = united(self.graph(), (), self._touched([name]))
        _known(found, name)
        touches = self._queries.touches(self._profile, name, direction=Direction.WRITE, limit=max(runs, 1) * 10)
        recorded = {(each.run_id, each.task_id, each.map_index): each for each in reversed(touches)}
        tried = [each for each in self._tries(found.writers.get(name, ()), runs) if each.started_at is not None]
        shown = [_as_recorded(each, recorded.pop(_key(each), None)) for each in tried]
        # A run that is older than those looked at, or a task that is in no definition any more.
        return sorted([*shown, *(_of_touch(each) for each in recorded.values())], key=_when, reverse=True)

    # ---- what it is made of

    def _united(self, at: datetime | None, recorded: Sequence[model.Dataset]) -> LineageGraph:
        edges = self._queries.dataset_edges(self._profile, at=at)
        there = [each for each in recorded if at is None or each.created_at <= at]
        written = [
            (each.name, True, Touch(each.written_by[0], each.written_by[2]))
            for each in there
            if each.written_by is not None and (at is None or (each.last_written or at) <= at)
        ]
        found = united(lineage_graph(self._definitions(at)), edges, written)
        alone = {each.name: () for each in there if each.name not in found.writers}
        return replace(found, writers={**alone, **found.writers})

    def _definitions(self, at: datetime | None) -> Iterable[Pipeline]:
        if at is None:
            return [self._catalog.get(each) for each in self._catalog.ids()]
        found = []
        for version in self._queries.versions_at(at):
            try:
                found.append(self._catalog.build(version.document, version.file))
            except PenstockError:
                continue  # pinned by a program that understood more, or less, than this one
        return found

    def _touched(self, names: Sequence[str]) -> list[tuple[str, bool, Touch]]:
        return [
            (name, direction == Direction.WRITE.value, Touch(pipeline_id, task_id))
            for name, direction, pipeline_id, task_id in self._queries.touchers(self._profile, names)
        ]

    def _watermarks(self, dataset: Dataset) -> list[Watermark]:
        """By the dataset's name, as a whole or for one item of a mapped task, or by a reader that calls the one
        thing it reads by another name."""
        found = list(self._queries.watermarks(self._profile, source=dataset.name))
        for pipeline_id in dict.fromkeys(each.pipeline_id for each in dataset.readers):
            if pipeline_id not in self._catalog.ids():
                continue
            readers = [each.id for each in self._catalog.get(pipeline_id).tasks if each.inputs == (dataset.name,)]
            marks = self._queries.watermarks(self._profile, pipeline_id=pipeline_id)
            ours = [
                each for each in marks if each.producer in readers or each.source.startswith(f"{dataset.name}[")
            ]
            found += [each for each in ours if each not in found]
        return found

    def _filled(
        self,
        found: LineageGraph,
        names: Sequence[str],
        recorded: Sequence[model.Dataset],
        at: datetime | None = None,
    ) -> dict[str, Dataset]:
        """Every pipeline's runs are read once, whatever number of datasets it writes."""
        # The record holds the last write only: of a dataset written since then, what was before is not known here.
        before = [each for each in recorded if at is None or max(_times(each)) <= at]
        by_name = {each.name: each for each in before}
        known = frozenset(lineage_graph(self._definitions(at)).names)
        touches = dict.fromkeys(touch for name in names for touch in found.writers.get(name, ()))
        by_touch: dict[Touch, list[Write]] = {}
        for write in self._tries(list(touches), RECENT_RUNS):
            if at is None or (write.completed_at is not None and write.completed_at <= at):
                by_touch.setdefault(Touch(write.pipeline_id, write.task_id), []).append(write)
        return {
            name: _dataset(found, name, by_name.get(name), by_touch, declared=name in known)
            for name in dict.fromkeys(names)
        }

    def _tries(self, touches: Sequence[Touch], runs: int) -> list[Write]:
        by_pipeline: dict[str, list[str]] = {}
        for touch in touches:
            by_pipeline.setdefault(touch.pipeline_id, []).append(touch.task_id)
        found = [
            _write(each)
            for pipeline_id, task_ids in by_pipeline.items()
            for each in self._queries.recent_executions(pipeline_id, task_ids, runs=runs)
        ]
        return sorted(found, key=_when, reverse=True)


def _known(found: LineageGraph, name: str) -> None:
    if name not in found.names:
        hint = near(name, found.names) or " `penstock data` lists them."
        raise NotFound(f"There is no dataset '{name[:80]}'.{hint}")


def _times(dataset: model.Dataset) -> list[datetime]:
    return [each for each in (dataset.created_at, dataset.last_read, dataset.last_written) if each is not None]


def _dataset(
    found: LineageGraph,
    name: str,
    recorded: model.Dataset | None,
    by_touch: Mapping[Touch, Sequence[Write]],
    *,
    declared: bool,
) -> Dataset:
    writers = found.writers.get(name, ())
    history = sorted((each for touch in writers for each in by_touch.get(touch, ())), key=_when, reverse=True)
    last = _last(next((each for each in history if each.state is TaskState.SUCCESS), None), recorded)
    newest = next((each for each in history if each.started_at is not None), None)
    if newest is None or (last is not None and newest.run_id == last.run_id and newest.task_id == last.task_id):
        newest = last
    return Dataset(
        name=name,
        writers=writers,
        readers=found.readers.get(name, ()),
        last=last,
        newest=newest,
        recorded=recorded,
        declared=declared,
    )


def _last(tried: Write | None, recorded: model.Dataset | None) -> Write | None:
    """The newest success: of the last runs, or of the record, which is kept longer and knows rows and bytes."""
    if recorded is None or recorded.last_written is None or recorded.written_by is None:
        return tried
    pipeline_id, run_id, task_id = recorded.written_by
    if tried is not None and (tried.run_id, tried.task_id) == (run_id, task_id):
        rows = recorded.rows if recorded.rows is not None else tried.rows
        return replace(tried, rows=rows, bytes=recorded.bytes)
    if tried is not None and tried.completed_at is not None and tried.completed_at > recorded.last_written:
        return tried
    return Write(
        run_id=run_id,
        pipeline_id=pipeline_id,
        task_id=task_id,
        map_index=None,
        state=TaskState.SUCCESS,
        started_at=None,
        completed_at=recorded.last_written,
        rows=recorded.rows,
        bytes=recorded.bytes,
    )


def _as_recorded(write: Write, record: TouchRecord | None) -> Write:
    if record is None:
        return write
    touch = record.touch
    rows = touch.rows if touch.rows is not None else write.rows
    return replace(write, rows=rows, bytes=touch.bytes, transformation=touch.transformation)


def _of_touch(record: TouchRecord) -> Write:
    return Write(
        run_id=record.run_id,
        pipeline_id=record.pipeline_id,
        task_id=record.task_id,
        map_index=record.map_index,
        state=TaskState.SUCCESS,
        started_at=None,
        completed_at=record.at,
        rows=record.touch.rows,
        bytes=record.touch.bytes,
        transformation=record.touch.transformation,
    )


def _write(execution: TaskExecution) -> Write:
    return Write(
        run_id=execution.run_id,
        pipeline_id=execution.pipeline_id,
        task_id=execution.task_id,
        map_index=execution.map_index,
        state=execution.state,
        started_at=execution.started_at,
        completed_at=execution.completed_at,
        rows=_rows(execution),
        message=execution.error.message if execution.error is not None else "",
    )


def _rows(execution: TaskExecution) -> int | None:
    for values in (execution.metrics, execution.outputs):
        for name in _ROWS:
            value = values.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return int(value)
    return None


def _key(write: Write) -> tuple[str, str, int | None]:
    return (write.run_id, write.task_id, write.map_index)


def _when(write: Write) -> tuple[float, str, str, int]:
    at = write.completed_at or write.started_at
    index = -1 if write.map_index is None else write.map_index
    return (at.timestamp() if at is not None else 0.0, write.run_id, write.task_id, index)
