"""Channels: the vertical tracks between two columns, and which net runs on which.

Tracks are packed left-edge with a skyline. Where one row holds a source of one net and a target of another,
the source's net must turn off left of where the other turns in, or the two lines would overlap and draw an
edge that is none. Constraints that form a cycle are broken by a jog: the net crosses to its second track on
a spare row. Rows are doubled here, so every odd row is spare.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from engine.layout.layered import Layered
from engine.layout.nets import Net, nets
from engine.layout.values import GraphError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A routed net. track None: straight across. jog: (spare row, track of the sources' vertical)."""

    net: Net
    track: int | None
    jog: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The wires between a column and the next; tracks are numbered from 1 to `tracks`."""

    wires: list[Wire]
    tracks: int


def route(graph: Layered, columns: list[list[int]], doubled: list[int]) -> list[Channel]:
    """One channel per column but the last."""
    height = max(doubled, default=0) + 2
    return [_Channel(nets(graph, column), doubled, height).assign() for column in columns[:-1]]


class _Piece:
    """A net under way: its rows, the pieces that must run right of it, and how many must run left of it."""

    __slots__ = (
        "high",
        "index",
        "jog",
        "key",
        "left_of",
        "low",
        "net",
        "sources",
        "targets",
        "track",
        "waits",
    )

    def __init__(self, net: Net, doubled: list[int]) -> None:
        self.net = net
        self.sources = sorted([doubled[a] for a in net.sources])
        self.targets = sorted([doubled[b] for b in net.targets])
        self.low = min(self.sources[0], self.targets[0])
        self.high = max(self.sources[-1], self.targets[-1])
        self.track: int | None = None
        self.jog: tuple[int, int] | None = None
        self.left_of: list[_Piece] = []
        self.waits = 0
        self.index = -1
        source = sum(self.sources) / len(self.sources)
        target = sum(self.targets) / len(self.targets)
        # Lines going down turn lowest source first, lines going up highest first: such lines do not cross.
        self.key = (0, -source) if target > source else (1, source) if target < source else (2, 0.0)

    def detour(self, row: int) -> int:
        """Length of both verticals if the jog is on this row."""
        return (
            max(self.sources[-1], row)
            - min(self.sources[0], row)
            + max(self.targets[-1], row)
            - min(self.targets[0], row)
        )

    def beside(self) -> list[int]:
        """The spare rows next to its ends."""
        ends = sorted(dict.fromkeys((*self.sources, *self.targets)))
        return [row + d for row in ends for d in (1, -1) if row + d > 0]


class _Channel:
    """Assigns tracks from left to right, always to a piece nobody has to run left of any more."""

    __slots__ = ("heap", "left", "live", "pieces", "skyline", "spare_taken", "tracks")

    def __init__(self, found: list[Net], doubled: list[int], height: int) -> None:
        self.pieces = [_Piece(net, doubled) for net in found]
        self.live = [piece for piece in self.pieces if piece.low != piece.high]
        for i, piece in enumerate(self.live):
            piece.index = i
        # Two rows below the drawing for every piece: there is always a spare row for a jog.
        self.skyline = [0] * (height + 2 * len(self.live) + 4)
        self.spare_taken: dict[int, None] = {}
        self.left = dict.fromkeys(range(len(self.live)))
        self.heap: list[tuple[tuple[int, float], int]] = []
        self.tracks = 0

    def assign(self) -> Channel:
        self._constrain()
        self.heap = [(piece.key, piece.index) for piece in self.live if not piece.waits]
        heapify(self.heap)
        while self.left:
            if not self.heap:
                self._break_cycle()
                continue
            index = heappop(self.heap)[1]
            if index in self.left:
                del self.left[index]
                piece = self.live[index]
                piece.track = self._take(piece.low, piece.high)
                self._release(piece)
        wires = [Wire(net=piece.net, track=piece.track, jog=piece.jog) for piece in self.pieces]
        return Channel(wires=wires, tracks=self.tracks)

    def _constrain(self) -> None:
        entering: dict[int, list[_Piece]] = {}
        for piece in self.live:
            for row in piece.targets:
                entering.setdefault(row, []).append(piece)
        for piece in self.live:
            for row in piece.sources:
                if row in piece.targets:
                    continue  # its own target stands on this row: whoever enters here goes where it goes
                for other in entering.get(row, ()):
                    piece.left_of.append(other)
                    other.waits += 1

    def _take(self, low: int, high: int) -> int:
        track = max(self.skyline[low : high + 1]) + 1
        self.skyline[low : high + 1] = [track] * (high + 1 - low)
        self.tracks = max(self.tracks, track)
        return track

    def _release(self, piece: _Piece) -> None:
        for other in piece.left_of:
            other.waits -= 1
            if not other.waits and other.index in self.left:
                heappush(self.heap, (other.key, other.index))
        piece.left_of = []

    def _break_cycle(self) -> None:
        """Split one waiting piece: its sources' vertical takes a track now, its targets' one later."""
        piece, choices = self._to_split()
        row = min(choices, key=piece.detour)
        self.spare_taken[row] = None
        low, high = min(piece.sources[0], row), max(piece.sources[-1], row)
        piece.jog = (row, self._take(low, high))
        piece.low, piece.high = min(piece.targets[0], row), max(piece.targets[-1], row)
        self._release(piece)

    def _to_split(self) -> tuple[_Piece, list[int]]:
        """The piece that waits for fewest and has a spare row beside it; else any, with the nearest row."""
        whole = [self.live[i] for i in self.left if self.live[i].jog is None]
        whole.sort(key=lambda piece: (piece.waits, piece.key))
        for piece in whole:
            choices = [row for row in piece.beside() if row not in self.spare_taken]
            if choices:
                return piece, choices
        middle = (whole[0].low + whole[0].high) // 2 if whole else 0
        free = [row for row in range(1, len(self.skyline) - 1, 2) if row not in self.spare_taken]
        if not whole or not free:  # cannot happen: a split piece blocks nobody, and rows outnumber pieces
            raise GraphError("the router found no track for a line; please report this graph")
        return whole[0], [min(free, key=lambda row: abs(row - middle))]
