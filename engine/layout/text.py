"""The graph as text, in the fullest form that fits the width.

full    the layered drawing, labels capped at 40, 24, 16, then 12 cells
lanes   one row per node beside bus lanes
levels  one row per level with counts
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from engine.layout.arrange import Arrangement, arrange
from engine.layout.cells import cell_width, clean, clip, fit
from engine.layout.collapse import collapse
from engine.layout.drawing import Drawing
from engine.layout.glyphs import CharSet, charset
from engine.layout.highlight import highlight
from engine.layout.lanes import MAX_LANES, Lanes, lanes
from engine.layout.levels import level_rows
from engine.layout.overlay import overlays
from engine.layout.paint import CHANNEL, GLYPH, paint
from engine.layout.spans import row_text
from engine.layout.topology import longest_path, topology
from engine.layout.values import Graph, Overlay, States

Mode = Literal["auto", "full", "lanes", "levels"]

CAPS = (40, 24, 16, 12)
NARROW = 100  # below this a cut-off suffix costs too much of the drawing; lanes show it whole
_LEAST_LABEL = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen for a width; `drawing` for full, `lanes` for lanes."""

    mode: Literal["full", "lanes", "levels"]
    drawing: Drawing | None = None
    lanes: Lanes | None = None


def to_text(
    graph: Graph,
    states: States | None = None,
    width: int | None = None,
    ascii: bool = False,
    mode: Mode = "auto",
    *,
    fold: int | None = None,
    closed: Collection[str] | None = None,
    lit: Iterable[str] = (),
) -> str:
    """Draw the graph; no trailing newline. In mode auto no line is wider than `width` cells.

    states  node id -> state or Overlay; None shows the kind of each node instead
    width   cells available; None: as wide as it gets
    mode    auto takes the first form that fits, the others force one
    fold    least number of identical siblings that become one bundle; 0 never, None by size
    closed  groups drawn as one node; None by size
    lit     nodes whose ancestry and descent is drawn in heavy lines (full only)
    """
    chars = charset(plain=ascii)
    if mode == "levels":
        return "\n".join(level_rows(graph, states, width, chars))
    small = collapse(graph, closed=closed, fold=fold)
    over = overlays(small.graph, states, chars) if states is not None else None
    choice = choose(small.graph, width, chars, over, mode)
    if choice.drawing is not None:
        named = [small.into[node] for node in lit if node in small.into]
        heavy = highlight(choice.drawing, nodes=named) if named else None
        rows = [row_text(choice.drawing, y, over, heavy) for y in range(choice.drawing.height)]
    elif choice.lanes is not None:
        rows = _lane_rows(small.graph, choice.lanes, over, width, chars)
    else:
        rows = level_rows(graph, states, width, chars)
    return "\n".join(rows)


def choose(
    graph: Graph,
    width: int | None,
    chars: CharSet,
    over: dict[str, Overlay] | None = None,
    mode: Mode = "auto",
) -> Choice:
    """The form for this width. Does not collapse: hand in what shall be visible."""
    if mode == "full" or (mode == "auto" and _may_fit(graph, width)):
        plan = arrange(graph)
        drawing = _fitting(plan, width, chars, over)
        if drawing is not None:
            return Choice(mode="full", drawing=drawing)
        if mode == "full":
            return Choice(mode="full", drawing=_whole(plan, chars, CAPS[-1], over))
    if mode in ("auto", "lanes"):
        found = lanes(topology(graph))
        roomy = width is None or width >= 2 * found.count + _LEAST_LABEL
        if mode == "lanes" or (found.count <= MAX_LANES and roomy):
            return Choice(mode="lanes", lanes=found)
    return Choice(mode="levels")


def _may_fit(graph: Graph, width: int | None) -> bool:
    """False where even empty labels are too wide: then no time goes into a layout nobody will see."""
    if width is None or not graph.nodes:
        return True
    columns = max(longest_path(topology(graph))) + 1
    return columns * (GLYPH + CHANNEL) - CHANNEL <= width


def _fitting(
    plan: Arrangement, width: int | None, chars: CharSet, over: dict[str, Overlay] | None
) -> Drawing | None:
    if width is None:
        return _whole(plan, chars, CAPS[0], over)
    for cap in CAPS:
        drawing = _whole(plan, chars, cap, over)
        if drawing.width <= width:
            return drawing
    if over is not None and width >= NARROW:
        for cap in CAPS:
            drawing = paint(plan, chars, cap)
            if drawing.width <= width:
                return drawing
    return None


def _whole(plan: Arrangement, chars: CharSet, cap: int, over: dict[str, Overlay] | None) -> Drawing:
    """Painted with room for every suffix; only nodes that have not enough by themselves are widened."""
    drawing = paint(plan, chars, cap)
    if over is None:
        return drawing
    needs = {node: cell_width(overlay.suffix) for node, overlay in over.items() if overlay.suffix}
    short = {node: 1 + need for node, need in needs.items() if need > drawing.regions[node].room}
    return paint(plan, chars, cap, short) if short else drawing


def _lane_rows(
    graph: Graph, found: Lanes, over: dict[str, Overlay] | None, width: int | None, chars: CharSet
) -> list[str]:
    rows = []
    for row, v in enumerate(found.order):
        node = graph.nodes[v]
        shown = over[node.id] if over is not None else None
        glyph = chars.kind(node.kind) if shown is None else chars.state(shown.state)
        suffix = f" {shown.suffix}" if shown and shown.suffix else ""
        label, head = clean(node.label, chars), f"{found.gutter(row, chars)}{glyph} "
        if width is not None:
            room = width - cell_width(head)
            suffix = clip(suffix, max(0, room - min(_LEAST_LABEL, cell_width(label))), chars)
            label = fit(label, max(0, room - cell_width(suffix)), chars)
        rows.append((head + label + suffix).rstrip())
    return rows
