"""The invariant checker: reads a finished drawing cell by cell and says what is wrong with it.

It believes only the painted masks, the regions and the corners of each edge's line, nothing of the router, so
that a mistake there shows here.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise, product

from engine.layout.drawing import Drawing
from engine.layout.glyphs import ARROW, DOWN, HORIZONTAL, JUNCTION, LEFT, RIGHT, UP, VERTICAL

Cell = tuple[int, int]
Users = dict[int, list[tuple[str, str]]]
ARMS = (LEFT, RIGHT, UP, DOWN)


def faults(drawing: Drawing) -> list[str]:
    """Everything that breaks an invariant; empty for a correct drawing."""
    used: dict[Cell, Users] = defaultdict(lambda: defaultdict(list))
    found = _nodes(drawing) + _columns(drawing)
    for edge in drawing.graph.edges:
        found += _trace(drawing, (edge.upstream, edge.downstream), used)
    return found + _arms(drawing, used) + _sharing(drawing, used)


def _nodes(drawing: Drawing) -> list[str]:
    """Nodes overlap neither each other nor a line, and their neighbouring cells are no line's corner."""
    found = []
    for y, row in enumerate(drawing.rows):
        for x, node in row:
            region = drawing.regions[node]
            if (region.x, region.y) != (x, y) or x + region.width > drawing.width:
                found.append(f"region of {node} is elsewhere")
            if any(drawing.masks[y][x : x + region.width]):
                found.append(f"line through {node}")
        for (x1, a), (x2, b) in pairwise(row):
            if x1 + drawing.regions[a].width >= x2:
                found.append(f"{a} overlaps {b}")
    if sum(len(row) for row in drawing.rows) != len(drawing.graph.nodes):
        found.append("a node is missing or drawn twice")
    return found


def _columns(drawing: Drawing) -> list[str]:
    return [
        f"{edge.upstream} -> {edge.downstream} does not point right"
        for edge in drawing.graph.edges
        if drawing.regions[edge.upstream].column >= drawing.regions[edge.downstream].column
    ]


def _trace(drawing: Drawing, edge: tuple[str, str], used: dict[Cell, Users]) -> list[str]:
    """Every edge's line runs unbroken over painted cells, turns only at joints and ends in an arrow."""
    source, target = drawing.regions[edge[0]], drawing.regions[edge[1]]
    path = drawing.path(edge)
    if path[0] != (source.x + source.width + 1, source.y) or path[-1] != (target.x - 2, target.y):
        return [f"{edge} does not lead from node to node"]
    cells: dict[Cell, int] = defaultdict(int)
    for (x1, y1), (x2, y2) in pairwise(path):
        if x1 != x2 and y1 != y2:
            return [f"{edge} runs aslant"]
        for x in range(min(x1, x2), max(x1, x2)):
            cells[x, y1] |= RIGHT
            cells[x + 1, y1] |= LEFT
        for y in range(min(y1, y2), max(y1, y2)):
            cells[x1, y] |= DOWN
            cells[x1, y + 1] |= UP
    cells[path[0]] |= LEFT
    cells[path[-1]] |= RIGHT
    found = []
    for (x, y), arms in cells.items():
        mask = drawing.masks[y][x]
        if arms & ~mask:
            found.append(f"{edge} is broken at {x},{y}")
        if arms & HORIZONTAL and arms & VERTICAL and not mask & JUNCTION:
            found.append(f"{edge} turns at {x},{y} where no joint is")
        for arm in ARMS:
            if arms & arm:
                used[x, y][arm].append(edge)
    if not drawing.masks[target.y][target.x - 2] & ARROW:
        found.append(f"{edge} ends without an arrow")
    return found


def _arms(drawing: Drawing, used: dict[Cell, Users]) -> list[str]:
    """Every arm belongs to an edge and meets an arm, or the node it belongs to."""
    found = []
    before = {(region.x - 2, region.y) for region in drawing.regions.values()}
    after = {(region.x + region.width + 1, region.y) for region in drawing.regions.values()}
    for y, row in enumerate(drawing.masks):
        for x, mask in enumerate(row):
            if not mask:
                continue
            if mask & HORIZONTAL and mask & VERTICAL and not mask & JUNCTION and mask & 15 != 15:
                found.append(f"half a crossing at {x},{y}")
            if mask & ARROW and (x, y) not in before:
                found.append(f"arrow to nowhere at {x},{y}")
            for arm, (dx, dy), back in _STEPS:
                if not mask & arm:
                    continue
                if not used[x, y][arm]:
                    found.append(f"line of no edge at {x},{y}")
                at_node = (arm == RIGHT and (x, y) in before) or (arm == LEFT and (x, y) in after)
                inside = 0 <= x + dx < drawing.width and 0 <= y + dy < drawing.height
                if not at_node and not (inside and drawing.masks[y + dy][x + dx] & back):
                    found.append(f"dangling arm at {x},{y}")
    return found


_STEPS = ((LEFT, (-1, 0), RIGHT), (RIGHT, (1, 0), LEFT), (UP, (0, -1), DOWN), (DOWN, (0, 1), UP))


def _sharing(drawing: Drawing, used: dict[Cell, Users]) -> list[str]:
    """Edges that share a piece of line, or meet at a joint, are all connected with each other: whatever way
    a reader takes from one of the sources to one of the targets there, that edge exists."""
    edges = {(edge.upstream, edge.downstream) for edge in drawing.graph.edges}
    checked: set[tuple[frozenset[str], frozenset[str]]] = set()
    found = []
    for (x, y), arms in used.items():
        groups = list(arms.values())
        if drawing.masks[y][x] & JUNCTION:
            groups.append([edge for group in groups for edge in group])
        for group in groups:
            ends = frozenset(u for u, _ in group), frozenset(v for _, v in group)
            if ends in checked:
                continue
            checked.add(ends)
            wrong = [f"{u} -> {v}" for u, v in product(*map(sorted, ends)) if (u, v) not in edges]
            if wrong:
                found.append(f"false edge at {x},{y}: {wrong[0]}")
    return found
