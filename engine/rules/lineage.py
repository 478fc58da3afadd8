"""Which dataset is made from which: as definitions declare it, and as runs were seen to do it (LIN-08, LIN-09).

Law: pure. What is seen adds to what is declared and takes nothing away: a task that has not run yet is lineage too.
A task that declares both makes its outputs from its inputs. What a task reads without writing anything
flows along the dependencies, within its pipeline, to tasks that write without declaring what they read: an
extract hands what it read to the load below it. Nothing is guessed across pipelines: those meet in a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.model.dataset import DatasetEdge
from engine.model.pipeline import Pipeline, Task


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """A task that writes or reads a dataset."""

    pipeline_id: str
    task_id: str


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """`target` is made from `source`: what `reads` read, `writes` wrote (often one and the same task)."""

    source: str
    target: str
    reads: Touch
    writes: Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageGraph:
    """All datasets and how they hang together. A name in several pipelines is one dataset."""

    writers: Mapping[str, Sequence[Touch]]
    readers: Mapping[str, Sequence[Touch]]
    links: Sequence[Link]
    seen: Mapping[Link, DatasetEdge] = field(default_factory=dict)  # links that runs have made, with when

    @property
    def names(self) -> list[str]:
        """Every dataset, sorted."""
        return sorted({*self.writers, *self.readers})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A dataset on the way from another, by the shortest way; `links` are those of its last hop."""

    name: str
    hop: int
    links: tuple[Link, ...]


def lineage_graph(pipelines: Iterable[Pipeline]) -> LineageGraph:
    """The graph of these definitions."""
    writers: dict[str, list[Touch]] = {}
    readers: dict[str, list[Touch]] = {}
    links: set[Link] = set()
    for pipeline in pipelines:
        for task in pipeline.tasks:
            touch = Touch(pipeline.id, task.id)
            for found, names in ((writers, task.outputs), (readers, task.inputs)):
                for name in dict.fromkeys(names):
                    found.setdefault(name, []).append(touch)
        links |= _links(pipeline)
    return LineageGraph(writers=writers, readers=readers, links=sorted(links))


def united(
    declared: LineageGraph, edges: Iterable[DatasetEdge], touched: Iterable[tuple[str, bool, Touch]] = ()
) -> LineageGraph:
    """What is declared and what was seen in one graph. `touched`: dataset, whether it was written, by whom."""
    writers = {name: list(touches) for name, touches in declared.writers.items()}
    readers = {name: list(touches) for name, touches in declared.readers.items()}
    ends = {(link.source, link.target, link.writes): link for link in declared.links}
    seen = dict(declared.seen)
    for edge in edges:
        touch = Touch(edge.pipeline_id, edge.task_id)
        # A load that reports what its extract read is the declared way from the extract to it.
        link = ends.get((edge.source, edge.target, touch)) or Link(edge.source, edge.target, touch, touch)
        seen[link] = edge
        _add(readers, edge.source, link.reads)
        _add(writers, edge.target, touch)
    for name, written, touch in touched:
        _add(writers if written else readers, name, touch)
    links = sorted({*declared.links, *seen})
    return LineageGraph(writers=writers, readers=readers, links=links, seen=seen)


def _add(touches: dict[str, list[Touch]], name: str, touch: Touch) -> None:
    if touch not in touches.setdefault(name, []):
        touches[name].append(touch)


def data_sources(graph: LineageGraph, name: str) -> list[str]:
    """Where a dataset's data comes from in the end: what is upstream of it and made from nothing itself."""
    made = {link.target for link in graph.links}
    return sorted(each.name for each in reach(graph, name, downstream=False) if each.name not in made)


def path(graph: LineageGraph, source: str, target: str) -> list[Link]:
    """A shortest way by which `source` goes into `target`; empty when it does not."""
    way: list[Link] = []
    hops = {each.name: each for each in reach(graph, source, downstream=True)}
    here = target
    while here in hops:
        link = hops[here].links[0]
        way.append(link)
        here = link.source
    return way[::-1] if way and here == source else []


def reach(graph: LineageGraph, name: str, *, downstream: bool, depth: int | None = None) -> list[Reached]:
    """Everything upstream or downstream of a dataset, nearest first, or as far as `depth` hops; a cycle ends where
    it began."""
    along: dict[str, list[Link]] = {}
    for link in graph.links:
        along.setdefault(link.source if downstream else link.target, []).append(link)
    found: list[Reached] = []
    seen, front = {name}, [name]
    while front and (depth is None or not found or found[-1].hop < depth):
        coming: dict[str, list[Link]] = {}
        for here in front:
            for link in along.get(here, ()):
                there = link.target if downstream else link.source
                if there not in seen:
                    coming.setdefault(there, []).append(link)
        hop = found[-1].hop + 1 if found else 1
        found += [Reached(name=each, hop=hop, links=tuple(coming[each])) for each in sorted(coming)]
        front = sorted(coming)
        seen |= coming.keys()
    return found


def affected_pipelines(graph: LineageGraph, name: str) -> list[str]:
    """Pipelines that would notice if the dataset were wrong: those that read it, or anything made from it."""
    names = [name, *(each.name for each in reach(graph, name, downstream=True))]
    return sorted({touch.pipeline_id for each in names for touch in graph.readers.get(each, ())})


def _links(pipeline: Pipeline) -> set[Link]:
    links: set[Link] = set()
    below = _below(pipeline.tasks)
    for task in pipeline.tasks:
        if not task.inputs:
            continue
        ends = [task] if task.outputs else _writing(task, below)
        links |= {
            Link(source, target, Touch(pipeline.id, task.id), Touch(pipeline.id, end.id))
            for end in ends
            for source in task.inputs
            for target in end.outputs
            if source != target
        }
    return links


def _below(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    below: dict[str, list[Task]] = {}
    for task in tasks:
        for above in task.dependencies:
            below.setdefault(above, []).append(task)
    return below


def _writing(task: Task, below: Mapping[str, Sequence[Task]]) -> list[Task]:
    """The nearest descendants that write; one that declares what it reads took nothing from here."""
    found: list[Task] = []
    seen, front = {task.id}, [task]
    while front:
        following = [each for one in front for each in below.get(one.id, ()) if each.id not in seen]
        front = []
        for each in following:
            if each.id in seen:
                continue
            seen.add(each.id)
            if each.inputs:
                continue
            if each.outputs:
                found.append(each)
            else:
                front.append(each)
    return found
