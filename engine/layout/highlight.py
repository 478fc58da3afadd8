"""Heavy lines: the ancestry and descent of nodes, or any edges, as replacement characters for cells.

The result says for each row which cells change, so a viewer repaints just those. Pass the visible part as
`view`: lighting a whole cone of 2,000 nodes costs tens of milliseconds, a screen of it one or two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from engine.layout.drawing import Drawing, Pair, Point
from engine.layout.glyphs import DOWN, LEFT, RIGHT, UP
from engine.layout.topology import reach


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rectangle of cells; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """row -> x -> character, and the nodes at the ends of the lit edges."""

    rows: dict[int, dict[int, str]]
    nodes: dict[str, None]


def cone(drawing: Drawing, node: str, *, up: bool = True, down: bool = True) -> list[Pair]:
    """The edges of all ways that lead to the node, away from it, or both."""
    top = drawing.arrangement.topology
    nothing = bytearray(top.size)
    above = reach(drawing.index[node], top.pred) if up else nothing
    below = reach(drawing.index[node], top.succ) if down else nothing
    ids = [n.id for n in drawing.graph.nodes]
    return [(ids[u], ids[v]) for u, v in top.edges if above[v] or below[u]]


def highlight(
    drawing: Drawing, *, nodes: Iterable[str] = (), edges: Iterable[Pair] = (), view: View | None = None
) -> Highlight:
    """Light the cones of these nodes and these edges, within the view."""
    view = view or View(left=0, top=0, right=drawing.width, bottom=drawing.height)
    lit_edges = dict.fromkeys(edges)
    lit_nodes: dict[str, None] = {}
    for node in nodes:
        lit_nodes[node] = None
        lit_edges.update(dict.fromkeys(cone(drawing, node)))
    arms: dict[int, dict[int, int]] = {}
    hops: dict[tuple[int, int], None] = {}
    for edge in lit_edges:
        lit_nodes.update(dict.fromkeys(edge))
        hops.update(dict.fromkeys(drawing.hops(edge)))
    ends = [*drawing.geometry.columns, drawing.width]
    for hop in hops:
        column = drawing.arrangement.layered.rank[hop[0]]
        if ends[column] < view.right and ends[column + 2] > view.left:
            light(drawing.hop_path(hop), arms, view)
    chars = drawing.chars
    rows = {
        y: {x: chars.heavy(drawing.masks[y][x], bits) for x, bits in cells.items()} for y, cells in arms.items()
    }
    return Highlight(rows=rows, nodes=lit_nodes)


def light(path: list[Point], arms: dict[int, dict[int, int]], view: View) -> None:
    """Add the direction bits of a line to `arms` (row -> x -> bits). Both its ends reach to their nodes."""
    for (x1, y1), (x2, y2) in pairwise(path):
        if y1 == y2:
            _across(y1, min(x1, x2), max(x1, x2), arms, view)
        else:
            _down(x1, min(y1, y2), max(y1, y2), arms, view)
    _set(*path[0], LEFT, arms, view)
    _set(*path[-1], RIGHT, arms, view)


def _across(y: int, x1: int, x2: int, arms: dict[int, dict[int, int]], view: View) -> None:
    if view.top <= y < view.bottom:
        row = arms.setdefault(y, {})
        for x in range(max(x1, view.left), min(x2 + 1, view.right)):
            row[x] = row.get(x, 0) | (RIGHT if x < x2 else 0) | (LEFT if x > x1 else 0)


def _down(x: int, y1: int, y2: int, arms: dict[int, dict[int, int]], view: View) -> None:
    if view.left <= x < view.right:
        for y in range(max(y1, view.top), min(y2 + 1, view.bottom)):
            row = arms.setdefault(y, {})
            row[x] = row.get(x, 0) | (DOWN if y < y2 else 0) | (UP if y > y1 else 0)


def _set(x: int, y: int, bits: int, arms: dict[int, dict[int, int]], view: View) -> None:
    if view.top <= y < view.bottom and view.left <= x < view.right:
        row = arms.setdefault(y, {})
        row[x] = row.get(x, 0) | bits
