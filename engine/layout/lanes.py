"""Lanes: the drawing for narrow terminals, one row per node, in the manner of `git log --graph`.

A lane is the bus of one source to all its later targets, or of one target from all its earlier sources. A
node's row is joined to the lanes it uses by one horizontal; lanes it does not use pass over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from engine.layout.glyphs import DOWN, HORIZONTAL, JUNCTION, RIGHT, UP, CharSet
from engine.layout.topology import Topology

MAX_LANES = 12  # beyond this nobody follows a lane by eye


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """order: node indices from top to bottom; masks: the gutter of each row, two cells per lane."""

    order: list[int]
    masks: list[bytearray]
    count: int

    def gutter(self, row: int, chars: CharSet) -> str:
        """The lane characters before the node of this row."""
        return "".join([chars.line(mask) for mask in self.masks[row]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bus:
    first: int
    last: int
    ends: list[int]


def lanes(top: Topology) -> Lanes:
    """One row per node in a depth-first topological order, so chains stay together."""
    order = _chains(top)
    buses = _buses(top, order)
    placed, count = _colour(buses)
    width = 2 * count
    masks = [bytearray(width) for _ in order]
    for bus, lane in zip(buses, placed, strict=True):
        x = 2 * lane
        for row in range(bus.first, bus.last + 1):
            masks[row][x] |= (UP if row > bus.first else 0) | (DOWN if row < bus.last else 0)
        for row in bus.ends:
            masks[row][x] |= JUNCTION | RIGHT
            for i in range(x + 1, width):
                masks[row][i] |= HORIZONTAL
    return Lanes(order=order, masks=masks, count=count)


def _chains(top: Topology) -> list[int]:
    missing = [len(p) for p in top.pred]
    stack = [v for v in range(top.size - 1, -1, -1) if not missing[v]]
    order: list[int] = []
    while stack:
        v = stack.pop()
        order.append(v)
        for w in reversed(top.succ[v]):
            missing[w] -= 1
            if not missing[w]:
                stack.append(w)
    return order


def _buses(top: Topology, order: list[int]) -> list[_Bus]:
    """One bus per source or target, whichever serves more edges; longest first where they begin together."""
    at = [0] * top.size
    for row, v in enumerate(order):
        at[v] = row
    ends: dict[tuple[bool, int], dict[int, None]] = {}
    for u in range(top.size):
        for v in top.succ[u]:
            by_source = len(top.succ[u]) >= len(top.pred[v])
            ends.setdefault((by_source, u if by_source else v), {}).update({at[u]: None, at[v]: None})
    buses = [_Bus(first=min(rows), last=max(rows), ends=list(rows)) for rows in ends.values()]
    return sorted(buses, key=lambda bus: (bus.first, -bus.last))


def _colour(buses: list[_Bus]) -> tuple[list[int], int]:
    """The lowest free lane for each bus; a lane is free again after its bus's last row."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    placed: list[int] = []
    count = 0
    for bus in buses:
        while busy and busy[0][0] < bus.first:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, count = count, count + 1
        placed.append(lane)
        heappush(busy, (bus.last, lane))
    return placed, count
