"""The graph as integers: adjacency lists, a topological order, and the refusal of what cannot be drawn.

Nodes become their position in the definition. All later steps work on these numbers and never on sets, so a
drawing does not depend on hash order.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.layout.values import Graph, GraphError


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Adjacency of a checked graph. `order` is topological, sources first in definition order."""

    size: int
    edges: list[tuple[int, int]]
    succ: list[list[int]]
    pred: list[list[int]]
    order: list[int]


def topology(graph: Graph) -> Topology:
    """Index and check the graph; repeated edges count once. Raises GraphError."""
    index: dict[str, int] = {}
    for node in graph.nodes:
        if node.id in index:
            raise GraphError(f"node {node.id!r} is defined twice; give each node an id of its own")
        index[node.id] = len(index)
    pairs: dict[tuple[int, int], None] = {}
    for edge in graph.edges:
        for end in (edge.upstream, edge.downstream):
            if end not in index:
                raise GraphError(
                    f"edge {edge.upstream!r} -> {edge.downstream!r} names {end!r}, which is not a node of "
                    "the graph; add the node or drop the edge"
                )
        pairs[index[edge.upstream], index[edge.downstream]] = None
    edges = list(pairs)
    succ: list[list[int]] = [[] for _ in index]
    pred: list[list[int]] = [[] for _ in index]
    for u, v in edges:
        succ[u].append(v)
        pred[v].append(u)
    order = topological(succ, pred)
    if len(order) < len(index):
        names = [graph.nodes[v].id for v in _cycle(pred, order)]
        raise GraphError(f"the graph has a cycle, {' -> '.join(names)}; a drawing needs it broken")
    return Topology(size=len(index), edges=edges, succ=succ, pred=pred, order=order)


def topological(succ: list[list[int]], pred: list[list[int]]) -> list[int]:
    """Kahn's order; shorter than the graph when there is a cycle."""
    missing = [len(p) for p in pred]
    order = [v for v, count in enumerate(missing) if not count]
    for v in order:  # grows while it is read: this is the queue
        for w in succ[v]:
            missing[w] -= 1
            if not missing[w]:
                order.append(w)
    return order


def longest_path(top: Topology) -> list[int]:
    """The level of each node: the number of edges on the longest way to it from any source."""
    level = [0] * top.size
    for v in top.order:
        for w in top.succ[v]:
            if level[w] <= level[v]:
                level[w] = level[v] + 1
    return level


def reach(start: int, adjacent: list[list[int]]) -> bytearray:
    """Flags of all nodes reachable from `start`, itself included."""
    seen = bytearray(len(adjacent))
    seen[start] = 1
    stack = [start]
    while stack:
        for w in adjacent[stack.pop()]:
            if not seen[w]:
                seen[w] = 1
                stack.append(w)
    return seen


def _cycle(pred: list[list[int]], order: list[int]) -> list[int]:
    """One cycle among the nodes that Kahn's order could not reach; each of them has such a predecessor."""
    done = bytearray(len(pred))
    for v in order:
        done[v] = 1
    v = done.index(0)
    walk: dict[int, None] = {}
    while v not in walk:
        walk[v] = None
        v = next(u for u in pred[v] if not done[u])
    trail = list(walk)
    return [v, *reversed(trail[trail.index(v) :])]
