"""The shape of a pipeline: who waits for whom.

A `Graph` is built once from `task -> upstream ids` in definition order and answers everything the other rules
ask of the shape: cycles with their path, levels, reachability, orphans, who is ready. Edges run upstream ->
downstream. Every walk is iterative and O(V + E), and every answer is in definition order, so that two
processes given the same definition say the same. A cyclic graph can be built (its cycle has to be shown);
only `levels` refuses it.

A definition is never edited here: a dangling or self dependency is reported, not repaired.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_WHITE, _GRAY, _BLACK = range(3)

Edges = Mapping[str, tuple[str, ...]]


class GraphError(ValueError):
    """The dependencies do not make a graph that can be run.

    ├── UnknownDependencyError    a dependency names no task
    ├── UnknownTaskError          a selection names no task, or leaves none
    └── CycleError                tasks wait for each other in a circle
    """


class UnknownDependencyError(GraphError):
    """Dependencies that name no task of the pipeline, all of them at once."""

    def __init__(self, dangling: Sequence[tuple[str, str]]) -> None:
        self.dangling = tuple(dangling)
        listed = ", ".join(f"{task!r} depends on {missing!r}" for task, missing in self.dangling)
        super().__init__(f"no such task: {listed}; add the missing task or remove the dependency")


class UnknownTaskError(GraphError):
    """A selection of tasks that cannot be made."""


class CycleError(GraphError):
    """A circle of dependencies; `path` follows the edges and ends where it starts."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"tasks wait for each other: {' -> '.join(self.path)}; remove one of these dependencies")


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleDetectionResult:
    """Whether there is a cycle, and one of them."""

    has_cycle: bool
    cycle_path: tuple[str, ...] = ()  # upstream -> downstream, first == last; (a, a) for a self-loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Tasks and their edges, both ways round."""

    ids: tuple[str, ...]  # in definition order
    index: Mapping[str, int]  # id -> its place in `ids`
    upstream: Edges  # id -> what it waits for, as the definition lists it, without repetition
    downstream: Edges  # id -> what waits for it, in definition order

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, task: object) -> bool:
        return task in self.index

    @property
    def edges(self) -> int:
        """How many dependencies there are."""
        return sum(len(ups) for ups in self.upstream.values())

    def ordered(self, tasks: Iterable[str]) -> tuple[str, ...]:
        """The given tasks in definition order, each once."""
        return tuple(sorted(set(tasks), key=self.index.__getitem__))


def dangling_dependencies(dependencies: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Every (task, dependency) whose dependency names no task (VAL: all problems at once)."""
    return [(task, up) for task, ups in dependencies.items() for up in ups if up not in dependencies]


def build_graph(dependencies: Mapping[str, Sequence[str]]) -> Graph:
    """The graph of `task -> upstream ids`; raises UnknownDependencyError naming every dangling one."""
    dangling = dangling_dependencies(dependencies)
    if dangling:
        raise UnknownDependencyError(dangling)
    upstream = {task: tuple(dict.fromkeys(ups)) for task, ups in dependencies.items()}
    return Graph(
        ids=tuple(upstream),
        index=MappingProxyType({task: place for place, task in enumerate(upstream)}),
        upstream=MappingProxyType(upstream),
        downstream=MappingProxyType(_reversed(upstream)),
    )


def graph_from_adjacency(adjacency: Mapping[str, Sequence[str]]) -> Graph:
    """The graph of `task -> downstream ids` (C-05); a neighbour that is no key is a task all the same."""
    nodes = dict.fromkeys([*adjacency, *(down for downs in adjacency.values() for down in downs)])
    upstream: dict[str, list[str]] = {task: [] for task in nodes}
    for task, downs in adjacency.items():
        for down in downs:
            upstream[down].append(task)
    return build_graph(upstream)


def _reversed(edges: Edges) -> dict[str, tuple[str, ...]]:
    backwards: dict[str, list[str]] = {task: [] for task in edges}
    for task, others in edges.items():
        for other in others:
            backwards[other].append(task)
    return {task: tuple(others) for task, others in backwards.items()}


def find_cycle(graph: Graph) -> CycleDetectionResult:
    """The first cycle met when walking downstream in definition order (GRA-02)."""
    colour = dict.fromkeys(graph.ids, _WHITE)
    for start in graph.ids:
        if colour[start] == _WHITE:
            path = _cycle_from(start, graph.downstream, colour)
            if path:
                return CycleDetectionResult(has_cycle=True, cycle_path=path)
    return CycleDetectionResult(has_cycle=False)


def _cycle_from(start: str, edges: Edges, colour: dict[str, int]) -> tuple[str, ...]:
    """Three colours: GRAY is on the path walked now, so an edge into GRAY closes a circle."""
    path = [start]
    pending = [iter(edges[start])]
    colour[start] = _GRAY
    while path:
        following = next(pending[-1], None)
        if following is None:
            colour[path.pop()] = _BLACK
            pending.pop()
        elif colour[following] == _GRAY:
            return (*path[path.index(following) :], following)
        elif colour[following] == _WHITE:
            colour[following] = _GRAY
            path.append(following)
            pending.append(iter(edges[following]))
    return ()


def topological_order(graph: Graph) -> tuple[str, ...]:
    """Every task after all it waits for (Kahn); raises CycleError with the circle."""
    waiting = {task: len(ups) for task, ups in graph.upstream.items()}
    order = [task for task in graph.ids if not waiting[task]]
    for task in order:  # grows while it is walked: that is the queue
        for down in graph.downstream[task]:
            waiting[down] -= 1
            if not waiting[down]:
                order.append(down)
    if len(order) < len(graph):
        raise CycleError(find_cycle(graph).cycle_path)
    return tuple(order)


def levels(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Level 0 waits for nothing, level N only for levels below it (GRA-03, GRA-04).

    Levels plan, estimate and draw; execution follows dependencies, never levels (C-02).
    """
    depth: dict[str, int] = {}
    for task in topological_order(graph):
        depth[task] = 1 + max((depth[up] for up in graph.upstream[task]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for task in graph.ids:
        rows[depth[task]].append(task)
    return tuple(tuple(row) for row in rows)


def descendants(graph: Graph, *tasks: str) -> frozenset[str]:
    """All that waits for any of these, directly or not, without them: the impact (GRA-01)."""
    return _reach(graph.downstream, tasks)


def ancestors(graph: Graph, *tasks: str) -> frozenset[str]:
    """All that any of these waits for, directly or not, without them: the requirements (GRA-01)."""
    return _reach(graph.upstream, tasks)


def _reach(edges: Edges, tasks: Sequence[str]) -> frozenset[str]:
    """What is reached over at least one edge, but never a task that was asked about."""
    unknown = [task for task in tasks if task not in edges]
    if unknown:
        raise UnknownTaskError(f"no such task: {', '.join(map(repr, unknown))}")
    seen = set(tasks)
    queue = list(tasks)
    for task in queue:
        fresh = [other for other in edges[task] if other not in seen]
        seen.update(fresh)
        queue.extend(fresh)
    return frozenset(seen.difference(tasks))


def components(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """The parts that no edge connects, each in definition order, by their first task."""
    place: dict[str, int] = {}
    parts = 0
    for start in graph.ids:
        if start not in place:
            place[start] = parts
            queue = [start]
            for task in queue:
                fresh = [t for t in (*graph.upstream[task], *graph.downstream[task]) if t not in place]
                place.update(dict.fromkeys(fresh, parts))
                queue.extend(dict.fromkeys(fresh))
            parts += 1
    rows: list[list[str]] = [[] for _ in range(parts)]
    for task in graph.ids:
        rows[place[task]].append(task)
    return tuple(tuple(row) for row in rows)


def roots(graph: Graph) -> tuple[str, ...]:
    """Tasks that wait for nothing."""
    return tuple(task for task in graph.ids if not graph.upstream[task])


def leaves(graph: Graph) -> tuple[str, ...]:
    """Tasks that nothing waits for."""
    return tuple(task for task in graph.ids if not graph.downstream[task])


def orphans(graph: Graph) -> tuple[str, ...]:
    """Tasks no root leads to, which therefore can never become ready.

    In a graph without a cycle there are none (C-07): they sit in a circle or behind one.
    """
    start = roots(graph)
    reached = _reach(graph.downstream, start).union(start)
    return tuple(task for task in graph.ids if task not in reached)


def ready(graph: Graph, done: Collection[str]) -> tuple[str, ...]:
    """Tasks not done whose upstreams all are; a look at the whole, a run keeps counters (GRA-13)."""
    settled = frozenset(done)
    return tuple(t for t in graph.ids if t not in settled and settled.issuperset(graph.upstream[t]))


def detect_cycles_dfs(adjacency_list: Mapping[str, Sequence[str]]) -> CycleDetectionResult:
    """`find_cycle` over a bare `task -> downstream ids` mapping."""
    return find_cycle(graph_from_adjacency(adjacency_list))


def topological_sort_kahns(adjacency_list: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """`levels` over a bare `task -> downstream ids` mapping; raises CycleError rather than dropping tasks."""
    return [list(level) for level in levels(graph_from_adjacency(adjacency_list))]
