"""Paint an arrangement: direction bits into a grid of cells, and the line character of every cell.

Each column is as wide as its widest label, each channel as wide as its tracks need. `reserve` widens single
nodes, for a suffix that must fit between a name and the line that leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.layout.arrange import Arrangement
from engine.layout.cells import cell_width, clean, fit
from engine.layout.drawing import Drawing, Geometry, Region
from engine.layout.glyphs import ARROW, DOWN, HORIZONTAL, JUNCTION, LEFT, RIGHT, UP, CharSet
from engine.layout.route import Channel, Wire

GLYPH = 2  # state or kind glyph and a space
CHANNEL = 4  # space, line, arrow, space: what a channel takes besides its tracks
_ACROSS = bytes(b | HORIZONTAL for b in range(256))


def paint(plan: Arrangement, chars: CharSet, cap: int, reserve: Mapping[str, int] | None = None) -> Drawing:
    """The drawing, with labels of at most `cap` cells."""
    nodes = plan.graph.nodes
    labels = {node.id: fit(clean(node.label, chars), cap, chars) for node in nodes}
    widths = [GLYPH + cell_width(labels[node.id]) for node in nodes]
    spare = reserve or {}
    taken = [width + spare.get(node.id, 0) for width, node in zip(widths, nodes, strict=True)]
    at, width = _geometry(plan, widths, taken)
    grid = [bytearray(width) for _ in range(len(at.lines))]
    painter = _Painter(plan, at, grid)
    painter.paint()
    rows: list[list[tuple[int, str]]] = [[] for _ in grid]
    for v, node in enumerate(nodes):
        rows[at.lines[plan.rows[v]]].append((at.columns[plan.layered.rank[v]], node.id))
    for row in rows:
        row.sort()
    table = {mask: chars.line(mask) for mask in range(64)}
    real = plan.layered.real
    return Drawing(
        graph=plan.graph,
        chars=chars,
        width=width,
        height=len(grid),
        base=tuple(row.decode("latin-1").translate(table) for row in grid),
        masks=tuple(grid),
        rows=tuple(tuple(row) for row in rows),
        columns=tuple(tuple(nodes[v].id for v in column if v < real) for column in plan.columns),
        regions=_regions(plan, at, grid, rows),
        labels=labels,
        arrangement=plan,
        geometry=at,
        index={node.id: v for v, node in enumerate(nodes)},
        wires={
            (a, b): wire
            for channel in plan.channels
            for wire in channel.wires
            for a in wire.net.sources
            for b in wire.net.targets
        },
    )


def _geometry(plan: Arrangement, widths: list[int], taken: list[int]) -> tuple[Geometry, int]:
    jogs = [wire.jog[0] for channel in plan.channels for wire in channel.wires if wire.jog]
    used = sorted(dict.fromkeys((*plan.rows, *jogs)))
    columns: list[int] = []
    channels: list[int] = []
    x = 0
    for i, column in enumerate(plan.columns):
        columns.append(x)
        x += max([taken[v] for v in column if v < plan.layered.real], default=0)
        channels.append(x)
        if i < len(plan.channels):
            x += plan.channels[i].tracks + CHANNEL
    lines = {row: y for y, row in enumerate(used)}
    return Geometry(columns=columns, channels=channels, lines=lines, widths=widths), x


def _regions(
    plan: Arrangement, at: Geometry, grid: list[bytearray], rows: list[list[tuple[int, str]]]
) -> dict[str, Region]:
    index = {node.id: v for v, node in enumerate(plan.graph.nodes)}
    regions: dict[str, Region] = {}
    for y, row in enumerate(rows):
        for i, (x, node) in enumerate(row):
            v = index[node]
            after = x + at.widths[v] + 1
            limit = row[i + 1][0] - 1 if i + 1 < len(row) else len(grid[y])
            room = _room(grid[y], after, limit, leaves=bool(plan.topology.succ[v]))
            regions[node] = Region(x=x, y=y, width=at.widths[v], room=room, column=plan.layered.rank[v])
    return regions


def _room(mask: bytearray, start: int, limit: int, *, leaves: bool) -> int:
    """Cells for a suffix: of its own line all but the last and a gap; without one, up to the next line."""
    piece = bytes(mask[start:limit])
    if leaves:
        return max(0, len(piece) - len(piece.lstrip(bytes([HORIZONTAL]))) - 2)
    free = len(piece) - len(piece.lstrip(b"\0"))
    return max(0, free if start + free >= len(mask) else free - 1)


class _Painter:
    """Sets the bits of every wire. Horizontals are open at both ends: the cells beside them are nodes."""

    __slots__ = ("at", "grid", "plan")

    def __init__(self, plan: Arrangement, at: Geometry, grid: list[bytearray]) -> None:
        self.plan, self.at, self.grid = plan, at, grid

    def paint(self) -> None:
        rank, real = self.plan.layered.rank, self.plan.layered.real
        for v in range(real, len(rank)):
            self._across(self._line(v), self.at.columns[rank[v]], self.at.channels[rank[v]] - 1)
        for i, channel in enumerate(self.plan.channels):
            self._channel(i, channel)

    def _channel(self, i: int, channel: Channel) -> None:
        """Each source's line reaches to its last vertical, each target's begins at its first."""
        first = self.at.channels[i]
        out: dict[int, int] = {}  # source -> x of its last turn
        into: dict[int, int] = {}  # target -> x of its first turn
        for wire in channel.wires:
            if wire.track is None:
                self._straight(i, wire)
                continue
            x = first + 1 + wire.track
            turn = x if wire.jog is None else first + 1 + wire.jog[1]
            for a in wire.net.sources:
                out[a] = max(out.get(a, turn), turn)
            for b in wire.net.targets:
                into[b] = min(into.get(b, x), x)
            self._verticals(wire, turn, x)
        for a, x in out.items():
            self._across(self._line(a), self._begin(a), x - 1)
            self.grid[self._line(a)][x] |= LEFT
        for b, x in into.items():
            self.grid[self._line(b)][x] |= RIGHT
            self._across(self._line(b), x + 1, self._end(i, b))
            self._arrow(i, b)

    def _straight(self, i: int, wire: Wire) -> None:
        (a,), (b,) = wire.net.sources, wire.net.targets
        self._across(self._line(a), self._begin(a), self._end(i, b))
        self._arrow(i, b)

    def _verticals(self, wire: Wire, turn: int, x: int) -> None:
        sources = [self._line(a) for a in wire.net.sources]
        targets = [self._line(b) for b in wire.net.targets]
        if wire.jog is None:
            self._down(x, sources + targets)
            return
        y = self.at.lines[wire.jog[0]]
        self._down(turn, [*sources, y])
        self._down(x, [*targets, y])
        left, right = min(turn, x), max(turn, x)
        self.grid[y][left] |= RIGHT
        self.grid[y][right] |= LEFT
        self._across(y, left + 1, right - 1)

    def _down(self, x: int, lines: list[int]) -> None:
        low, high = min(lines), max(lines)
        for y in range(low, high):
            self.grid[y][x] |= DOWN
            self.grid[y + 1][x] |= UP
        for y in lines:
            self.grid[y][x] |= JUNCTION

    def _across(self, y: int, x1: int, x2: int) -> None:
        if x1 <= x2:
            row = self.grid[y]
            row[x1 : x2 + 1] = row[x1 : x2 + 1].translate(_ACROSS)

    def _arrow(self, i: int, b: int) -> None:
        if b < self.plan.layered.real:
            self.grid[self._line(b)][self._end(i, b)] |= ARROW

    def _line(self, v: int) -> int:
        return self.at.lines[self.plan.rows[v]]

    def _begin(self, a: int) -> int:
        column = self.plan.layered.rank[a]
        if a < self.plan.layered.real:
            return self.at.columns[column] + self.at.widths[a] + 1
        return self.at.channels[column]

    def _end(self, i: int, b: int) -> int:
        return self.at.columns[i + 1] - (2 if b < self.plan.layered.real else 1)
