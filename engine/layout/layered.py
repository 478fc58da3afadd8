"""The proper layered graph: edges over several columns are cut into hops through dummies, one per column.

Long edges share their dummies per source or per target, whichever has more of them, so that a bundle of long
edges is one line until it has to part.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from engine.layout.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """Vertices below `real` are nodes, the others dummies; every hop goes from one column to the next."""

    real: int
    depth: int
    rank: list[int]
    succ: list[list[int]]
    pred: list[list[int]]
    hops: list[tuple[int, int]]
    paths: dict[tuple[int, int], tuple[int, ...]]


def layered(top: Topology, ranks: list[int]) -> Layered:
    """Cut the edges into hops."""
    long_out, long_in = [0] * top.size, [0] * top.size
    for u, v in top.edges:
        if ranks[v] - ranks[u] > 1:
            long_out[u] += 1
            long_in[v] += 1
    rank = list(ranks)
    dummies: dict[tuple[bool, int, int], int] = {}
    hops: dict[tuple[int, int], None] = {}
    paths: dict[tuple[int, int], tuple[int, ...]] = {}
    for u, v in top.edges:
        by_target = long_in[v] > long_out[u]
        path = [u]
        for column in range(ranks[u] + 1, ranks[v]):
            dummy = dummies.setdefault((by_target, v if by_target else u, column), len(rank))
            if dummy == len(rank):
                rank.append(column)
            path.append(dummy)
        path.append(v)
        for hop in pairwise(path):
            hops[hop] = None
        paths[u, v] = tuple(path)
    succ: list[list[int]] = [[] for _ in rank]
    pred: list[list[int]] = [[] for _ in rank]
    for a, b in hops:
        succ[a].append(b)
        pred[b].append(a)
    depth = max(rank, default=-1) + 1
    return Layered(real=top.size, depth=depth, rank=rank, succ=succ, pred=pred, hops=list(hops), paths=paths)
