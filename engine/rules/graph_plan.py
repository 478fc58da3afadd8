"""What a run is going to do, before it does it: which tasks, in which levels, for how long, with what.

Pure planning over a `Graph`. A plan informs (the `plan` command, estimates, layout, admission priority); it
orders nothing, for execution follows dependencies as they are met, not levels (C-02). A plan is cheap and
made afresh for every run from the durations and resources of the day (GRA-10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from engine.rules.graph import (
    Graph,
    GraphError,
    UnknownTaskError,
    ancestors,
    build_graph,
    descendants,
    levels,
    topological_order,
)
from engine.rules.graph_paths import CriticalPath, PathAnalysis, analyse_paths

DEFAULT_MAX_PARALLEL = 10  # C-03

Levels = tuple[tuple[str, ...], ...]
Request = Mapping[str, float]  # resource name -> amount, such as {"cpu": 1, "memory_mb": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """A plan (GRA-07). Times are in seconds, and None where no duration of any task is known."""

    execution_levels: Levels
    batches: tuple[Levels, ...]  # per level: what of it can run together
    critical_path: CriticalPath
    estimated_seconds: float | None
    resource_requirements: tuple[Mapping[str, float], ...]  # per level: what all its tasks ask for together
    paths: PathAnalysis  # slack and urgency of every task


def select_tasks(
    graph: Graph, *, only: Sequence[str] = (), from_: Sequence[str] = (), until: Sequence[str] = ()
) -> tuple[str, ...]:
    """The tasks of a partial run (GRA-12), in definition order; all of them when nothing is asked.

    `only` is just these; `from_` these and all that waits for them; `until` these and all they wait for.
    `from_` with `until` is what lies on the paths between; `only` is added to whatever the other two select.
    Raises UnknownTaskError for a name that is no task, and when no path leads from `from_` to `until`.
    """
    unknown = [task for task in dict.fromkeys((*only, *from_, *until)) if task not in graph]
    if unknown:
        raise UnknownTaskError(f"no such task: {', '.join(map(repr, unknown))}")
    if not (only or from_ or until):
        return graph.ids
    chosen = _between(graph, from_, until) if from_ or until else frozenset[str]()
    return graph.ordered(chosen.union(only))


def _between(graph: Graph, from_: Sequence[str], until: Sequence[str]) -> frozenset[str]:
    after = descendants(graph, *from_).union(from_)
    before = ancestors(graph, *until).union(until)
    if not until:
        return after
    if not from_:
        return before
    if not after & before:
        raise UnknownTaskError(
            f"no path leads from {', '.join(map(repr, from_))} to {', '.join(map(repr, until))}; "
            "swap them, or ask for one of the two"
        )
    return after & before


def subgraph(graph: Graph, tasks: Sequence[str]) -> Graph:
    """The graph of these tasks alone, in the order they had.

    Order survives what is left out: where a kept task waited for another through dropped ones, it waits for
    it directly. For what `select_tasks` gives for `from_` and `until` that adds nothing; it matters for
    `only`.
    """
    kept = frozenset(tasks)
    unknown = sorted(kept.difference(graph.ids))
    if unknown:
        raise UnknownTaskError(f"no such task: {', '.join(map(repr, unknown))}")
    nearest: dict[str, tuple[str, ...]] = {}  # of every task: the kept ones it waits for, seen through dropped ones
    for task in topological_order(graph):
        through = (own for up in graph.upstream[task] for own in ((up,) if up in kept else nearest[up]))
        nearest[task] = tuple(dict.fromkeys(through))
    return build_graph({task: nearest[task] for task in graph.ids if task in kept})


def split_levels(
    rows: Levels,
    *,
    max_parallel: int = DEFAULT_MAX_PARALLEL,
    requests: Mapping[str, Request] | None = None,
    available: Request | None = None,
) -> tuple[Levels, ...]:
    """Each level as batches that fit: at most `max_parallel` tasks, and of every resource at most what there
    is.

    Batches are filled in order (GRA-08). A task that asks for more than there is stands alone: whether it can
    run at all is admission's to say.
    """
    if max_parallel < 1:
        raise GraphError(f"max_parallel is {max_parallel}; it has to be at least 1")
    return tuple(_split(row, max_parallel, requests or {}, available or {}) for row in rows)


def _split(row: tuple[str, ...], most: int, requests: Mapping[str, Request], available: Request) -> Levels:
    batches: list[list[str]] = []
    used: dict[str, float] = {}
    for task in row:
        request = requests.get(task, {})
        crowded = any(
            name in available and used.get(name, 0) + amount > available[name] for name, amount in request.items()
        )
        if not batches or len(batches[-1]) >= most or crowded:
            batches.append([])
            used = {}
        batches[-1].append(task)
        used.update({name: used.get(name, 0) + amount for name, amount in request.items()})
    return tuple(tuple(batch) for batch in batches)


def estimate_seconds(
    batches: tuple[Levels, ...], weights: Mapping[str, float], *, overhead_seconds: float = 0.0
) -> float:
    """Level after level, each as long as its longest task, plus `overhead_seconds` a batch (GRA-09).

    A level wider than the machine shows as several batches one after the other: that is its contention.
    """
    every = [batch for level in batches for batch in level]
    return sum(max(weights[task] for task in batch) + overhead_seconds for batch in every)


def make_plan(
    graph: Graph,
    *,
    durations: Mapping[str, float] | None = None,
    requests: Mapping[str, Request] | None = None,
    available: Request | None = None,
    max_parallel: int = DEFAULT_MAX_PARALLEL,
    overhead_seconds: float = 0.0,
) -> ExecutionPlan:
    """The plan of a whole graph, or of a `subgraph` (GRA-07); raises CycleError."""
    rows = levels(graph)
    paths = analyse_paths(graph, durations)
    urgent_first = tuple(tuple(sorted(row, key=lambda task: -paths.remaining[task])) for row in rows)
    batches = split_levels(urgent_first, max_parallel=max_parallel, requests=requests, available=available)
    estimate = estimate_seconds(batches, paths.weight, overhead_seconds=overhead_seconds)
    return ExecutionPlan(
        execution_levels=rows,
        batches=batches,
        critical_path=paths.critical,
        estimated_seconds=estimate if paths.critical.measured else None,
        resource_requirements=tuple(_needs(row, requests or {}) for row in rows),
        paths=paths,
    )


def _needs(row: tuple[str, ...], requests: Mapping[str, Request]) -> Mapping[str, float]:
    needs: dict[str, float] = {}
    for task in row:
        for name, amount in requests.get(task, {}).items():
            needs[name] = needs.get(name, 0) + amount
    return MappingProxyType(needs)
