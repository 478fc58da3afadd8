"""Rows: the vertical place of every vertex, in the given order, so that lines are straight where they can be.

Each column is a weighted least-squares problem with the order as constraint, solved exactly by pooling
adjacent violators; a few passes to and fro settle the whole. Long straight lines weigh more than short ones.
"""

from __future__ import annotations

from engine.layout.layered import Layered

_PASSES = 4
_WEIGHT_DUMMY_TO_DUMMY = 8
_WEIGHT_DUMMY_TO_NODE = 3
_WEIGHT_FREE = 0.01
_BIAS = 1_000_000  # makes rounding of negative rows go the same way as that of positive ones


def rows(graph: Layered, columns: list[list[int]]) -> list[int]:
    """The row of each vertex; consecutive from 0, no row empty, at most one vertex per column and row."""
    place = [0.0] * len(graph.rank)
    tallest = max((len(column) for column in columns), default=0)
    for column in columns:
        for i, v in enumerate(column):
            place[v] = i + (tallest - len(column)) / 2
    both = (graph.pred, graph.succ)
    for k in range(_PASSES):
        rightwards = k % 2 == 0
        for column in columns[1:] if rightwards else columns[-2::-1]:
            _settle(graph, column, place, both[:1] if rightwards else both[1:])
    for column in (*columns, *reversed(columns)):
        _settle(graph, column, place, both)
    whole = [int(y) for y in place]
    compact = {row: i for i, row in enumerate(sorted(dict.fromkeys(whole)))}
    return [compact[row] for row in whole]


def _settle(graph: Layered, column: list[int], place: list[float], sides: tuple[list[list[int]], ...]) -> None:
    """Move a column as near as possible to where its neighbours on these sides want it."""
    blocks: list[tuple[float, float, int]] = []  # weight, weighted sum of (wish - offset), first index
    for i, v in enumerate(column):
        weight, pull = 0.0, 0.0
        for adjacent in sides:
            near = adjacent[v]
            if near:
                w = _weight(graph.real, v, near)
                weight += w
                pull += w * _median(near, place)
        if not weight:
            weight = _WEIGHT_FREE
            pull = weight * place[v]
        block = (weight, pull - weight * i, i)
        while blocks and blocks[-1][1] / blocks[-1][0] >= block[1] / block[0]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2])
        blocks.append(block)
    ends = [block[2] for block in blocks[1:]] + [len(column)]
    for (weight, pull, first), end in zip(blocks, ends, strict=True):
        wish = pull / weight
        base = int(wish + _BIAS + 0.5) - _BIAS
        if base - wish == 0.5 and place[column[first]] < base + first:
            base -= 1  # exactly between two rows: stay, or columns would push each other down pass by pass
        for i in range(first, end):
            place[column[i]] = base + i


def _weight(real: int, v: int, near: list[int]) -> int:
    if v < real or len(near) > 1:
        return 1
    return _WEIGHT_DUMMY_TO_DUMMY if near[0] >= real else _WEIGHT_DUMMY_TO_NODE


def _median(near: list[int], place: list[float]) -> float:
    if len(near) == 1:
        return place[near[0]]
    if len(near) == 2:
        return (place[near[0]] + place[near[1]]) / 2
    wishes = sorted([place[u] for u in near])
    half = len(wishes) // 2
    return wishes[half] if len(wishes) & 1 else (wishes[half - 1] + wishes[half]) / 2
