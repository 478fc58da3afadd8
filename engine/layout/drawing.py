"""A finished drawing on a grid of cells, and the questions a viewer asks it.

The drawing holds no state of any task. It is computed once per topology and label width; what changes while a
run is alive is laid over it row by row, see `spans`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from engine.layout.arrange import Arrangement
from engine.layout.glyphs import CharSet
from engine.layout.route import Wire
from engine.layout.values import Graph

Point = tuple[int, int]
"""(x, y) in cells."""

Pair = tuple[str, str]
"""An edge by the ids of its ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The cells of one node: glyph, space and label in `width`, and `room` cells after them for a suffix."""

    x: int
    y: int
    width: int
    room: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where columns and channels begin, and on which line each doubled row is drawn."""

    columns: list[int]
    channels: list[int]
    lines: dict[int, int]
    widths: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Line pieces and node regions.

    base     per row, the line characters; blank where nodes stand
    masks    per row, one byte per cell: LEFT RIGHT UP DOWN JUNCTION ARROW, 0 where nodes stand
    rows     per row, (x, node id) from left to right
    columns  per column, node ids from top to bottom
    """

    graph: Graph
    chars: CharSet
    width: int
    height: int
    base: tuple[str, ...]
    masks: tuple[bytearray, ...]
    rows: tuple[tuple[tuple[int, str], ...], ...]
    columns: tuple[tuple[str, ...], ...]
    regions: dict[str, Region]
    labels: dict[str, str]
    arrangement: Arrangement
    geometry: Geometry
    index: dict[str, int]
    wires: dict[tuple[int, int], Wire]

    def path(self, edge: Pair) -> list[Point]:
        """The corners of the edge's line, from the cell after its upstream node to the arrow at its end."""
        points: list[Point] = []
        for hop in self.hops(edge):
            points.extend(self.hop_path(hop))
        return _corners(points)

    def hops(self, edge: Pair) -> list[tuple[int, int]]:
        """The edge as hops between the vertices of neighbouring columns."""
        path = self.arrangement.layered.paths[self.index[edge[0]], self.index[edge[1]]]
        return list(pairwise(path))

    def hop_path(self, hop: tuple[int, int]) -> list[Point]:
        """The corners of one hop; through a dummy's own column it runs straight."""
        a, b = hop
        at, real = self.geometry, self.arrangement.layered.real
        column = self.arrangement.layered.rank[a]
        channel, after = at.channels[column], at.columns[column + 1]
        ya, yb = self.line(a), self.line(b)
        start = at.columns[column] + at.widths[a] + 1 if a < real else at.columns[column]
        end = after - 2 if b < real else after - 1
        wire = self.wires[hop]
        if wire.track is None:
            return [(start, ya), (end, yb)]
        x = channel + 1 + wire.track
        if wire.jog is None:
            return [(start, ya), (x, ya), (x, yb), (end, yb)]
        y, turn = at.lines[wire.jog[0]], channel + 1 + wire.jog[1]
        return [(start, ya), (turn, ya), (turn, y), (x, y), (x, yb), (end, yb)]

    def line(self, vertex: int) -> int:
        """The line a vertex is drawn on."""
        return self.geometry.lines[self.arrangement.rows[vertex]]

    def node_at(self, x: int, y: int) -> str | None:
        """The node whose glyph or label covers this cell."""
        if not 0 <= y < self.height:
            return None
        row = self.rows[y]
        i = bisect_left(row, x + 1, key=lambda entry: entry[0]) - 1
        return row[i][1] if i >= 0 and x < row[i][0] + self.regions[row[i][1]].width else None

    def upstream(self, node: str) -> list[str]:
        """The nodes it waits for, in definition order of the edges."""
        return [self.graph.nodes[v].id for v in self.arrangement.topology.pred[self.index[node]]]

    def downstream(self, node: str) -> list[str]:
        """The nodes that wait for it, in definition order of the edges."""
        return [self.graph.nodes[v].id for v in self.arrangement.topology.succ[self.index[node]]]


def _corners(points: list[Point]) -> list[Point]:
    """Drop points where the line does not turn, so hops join seamlessly."""
    out: list[Point] = []
    for point in points:
        if out and point == out[-1]:
            continue
        while len(out) > 1 and (out[-2][0] == out[-1][0] == point[0] or out[-2][1] == out[-1][1] == point[1]):
            out.pop()
        out.append(point)
    return out
