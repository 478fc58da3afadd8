"""How long a pipeline takes at the least, and which tasks decide it.

Longest paths over a graph without cycles, in O(V + E). Durations are what is known of each task, in seconds:
- a task without one, or with one that no task can have taken (negative, not finite), counts as the median of
  the others: a guess in the middle moves the path least;
- where none is known, every task weighs the same and lengths are counted in tasks;
- equal lengths are decided by the number of tasks, then by definition order, so the path never depends on
  chance and a task that takes no time is still on it.
Arithmetic is in whole microseconds: sums are exact, so a task on the critical path has a slack of exactly
zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from engine.rules.graph import Edges, Graph, graph_from_adjacency, topological_order

_MICRO = 1_000_000

# (microseconds, tasks): compared in this order, so that paths of equal length are told apart by their tasks.
_Length = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPath:
    """The longest path: no order of execution can finish sooner."""

    tasks: tuple[str, ...]
    length: float  # seconds; the number of tasks where no duration is known
    measured: bool  # whether any duration was known


@dataclass(frozen=True, slots=True, kw_only=True)
class PathAnalysis:
    """What longest paths say of every task. The unit of all figures is that of `critical.length`."""

    critical: CriticalPath
    weight: Mapping[str, float]  # the duration reckoned with
    earliest_start: Mapping[str, float]  # with unlimited slots
    slack: Mapping[str, float]  # how much later it could end without delaying the whole; 0 on the critical path
    remaining: Mapping[str, float]  # longest path from its start to the end: higher is more urgent (GRA-06)


def analyse_paths(graph: Graph, durations: Mapping[str, float] | None = None) -> PathAnalysis:
    """Critical path, slack and urgency (GRA-05, GRA-06); raises CycleError."""
    order = topological_order(graph)
    weights, measured = _weights(graph, durations or {})
    before = _longest(order, graph.upstream, weights)  # longest path that ends with the task, itself included
    after = _longest(tuple(reversed(order)), graph.downstream, weights)
    total = max((length[0] for length in before.values()), default=0)
    tasks = _walk(graph, after)
    return PathAnalysis(
        critical=CriticalPath(tasks=tasks, length=total / _MICRO, measured=measured),
        weight=_floats({task: weights[task] for task in graph.ids}),
        earliest_start=_floats({task: before[task][0] - weights[task] for task in graph.ids}),
        slack=_floats({task: total - before[task][0] - after[task][0] + weights[task] for task in graph.ids}),
        remaining=_floats({task: after[task][0] for task in graph.ids}),
    )


def critical_path(graph: Graph, durations: Mapping[str, float] | None = None) -> CriticalPath:
    """The longest path alone (GRA-05)."""
    return analyse_paths(graph, durations).critical


def calculate_critical_path(
    adjacency_list: Mapping[str, Sequence[str]], task_durations: Mapping[str, float]
) -> tuple[list[str], float]:
    """`critical_path` over a bare `task -> downstream ids` mapping, as (path, total duration)."""
    found = critical_path(graph_from_adjacency(adjacency_list), task_durations)
    return list(found.tasks), found.length


def known_durations(graph: Graph, durations: Mapping[str, float]) -> dict[str, float]:
    """The durations that belong to a task of this graph and can be true."""
    return {task: durations[task] for task in graph.ids if _possible(durations.get(task))}


def _possible(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds >= 0


def _weights(graph: Graph, durations: Mapping[str, float]) -> tuple[dict[str, int], bool]:
    known = {task: round(seconds * _MICRO) for task, seconds in known_durations(graph, durations).items()}
    assumed = sorted(known.values())[len(known) // 2] if known else _MICRO
    return {task: known.get(task, assumed) for task in graph.ids}, bool(known)


def _longest(order: Sequence[str], behind: Edges, weights: Mapping[str, int]) -> dict[str, _Length]:
    lengths: dict[str, _Length] = {}
    for task in order:
        micros, tasks = max((lengths[other] for other in behind[task]), default=(0, 0))
        lengths[task] = (micros + weights[task], tasks + 1)
    return lengths


def _walk(graph: Graph, after: Mapping[str, _Length]) -> tuple[str, ...]:
    """Down the longest path; `max` keeps the first of equals, and edges are in definition order."""
    path: list[str] = []
    choice: Sequence[str] = graph.ids
    while choice:
        path.append(max(choice, key=after.__getitem__))
        choice = graph.downstream[path[-1]]
    return tuple(path)


def _floats(micros: Mapping[str, int]) -> Mapping[str, float]:
    return MappingProxyType({task: value / _MICRO for task, value in micros.items()})
