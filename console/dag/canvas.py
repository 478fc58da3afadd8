"""A graph made ready for a screen: a drawing to pan over, lanes for narrow terminals, or levels.

Law: making one is costly and pure, so it is done in a thread; painting a row of it is cheap. A canvas holds no
state of any task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.layout.arrange import arrange
from engine.layout.cells import cell_width, clean, clip, fit
from engine.layout.collapse import collapse
from engine.layout.drawing import Drawing
from engine.layout.glyphs import CharSet
from engine.layout.highlight import Highlight, View, cone, highlight
from engine.layout.lanes import Lanes
from engine.layout.levels import level_rows
from engine.layout.paint import paint
from engine.layout.spans import Span, row_spans
from engine.layout.text import choose
from engine.layout.values import Graph, Overlay

Direction = Literal["left", "right", "up", "down"]
NARROW = 100  # below this many columns a drawing that does not fit becomes lanes
_PANNED_CAP = 24  # label cells of a drawing that is panned over


class Spot(NamedTuple):
    """Where a node is."""

    x: int
    y: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """What is drawn. `into` says in which node each original one is now."""

    graph: Graph
    into: Mapping[str, str]
    chars: CharSet
    width: int
    height: int
    spots: Mapping[str, Spot]
    before: Mapping[str, Sequence[str]]
    after: Mapping[str, Sequence[str]]
    drawing: Drawing | None = None
    lanes: Lanes | None = None

    @property
    def folded(self) -> bool:
        """Whether some node stands for several."""
        return any(node.members for node in self.graph.nodes)

    def spans(self, y: int, over: Mapping[str, Overlay], lit: Highlight | None) -> list[Span]:
        """One row."""
        if self.drawing is not None:
            return row_spans(self.drawing, y, over, lit)
        return self._lane(y, over, lit)

    def light(self, node: str, left: int, top: int, right: int, bottom: int, way: str) -> Highlight:
        """Ancestry and descent of a node, or one of them, within a part of the canvas."""
        up, down = way in ("both", "up"), way in ("both", "down")
        if self.drawing is not None:
            view = View(left=left, top=top, right=right, bottom=bottom)
            edges = cone(self.drawing, node, up=up, down=down)
            return highlight(self.drawing, edges=edges, view=view)
        nodes: dict[str, None] = {}
        for wanted, ways in ((up, self.before), (down, self.after)):
            stack = [node] if wanted else []
            while stack:
                for each in ways[stack.pop()]:
                    if each not in nodes:
                        nodes[each] = None
                        stack.append(each)
        return Highlight(rows={}, nodes=nodes)

    def step(self, node: str, way: Direction, back: Mapping[tuple[str, str], str]) -> str | None:
        """The neighbour in a direction: along an edge the one you came from or the nearest row, else the layer."""
        if way in ("left", "right"):
            near = self.before[node] if way == "left" else self.after[node]
            came = back.get((node, way))
            return came if came in near else self._nearest(node, near)
        row = self._layer(node)
        at = row.index(node) + (1 if way == "down" else -1)
        return row[at] if 0 <= at < len(row) else None

    def sibling(self, node: str) -> str | None:
        """The next one with the same upstream."""
        above = self.before[node]
        alike = sorted(self.after[above[0]], key=lambda each: self.spots[each].y) if above else []
        return alike[(alike.index(node) + 1) % len(alike)] if node in alike else None

    def _layer(self, node: str) -> Sequence[str]:
        if self.drawing is None:
            return [self.graph.nodes[v].id for v in self.lanes.order] if self.lanes else []
        return self.drawing.columns[self.drawing.regions[node].column]

    def _nearest(self, node: str, others: Sequence[str]) -> str | None:
        y = self.spots[node].y
        return min(others, key=lambda each: (abs(self.spots[each].y - y), self.spots[each].y), default=None)

    def _lane(self, y: int, over: Mapping[str, Overlay], lit: Highlight | None) -> list[Span]:
        assert self.lanes is not None
        node = self.graph.nodes[self.lanes.order[y]]
        shown = over.get(node.id) or Overlay()
        spot = self.spots[node.id]
        bright = lit is not None and node.id in lit.nodes
        room = max(self.width - spot.x - 2, 1)
        label = fit(clean(node.label, self.chars), room, self.chars)
        spans = [
            Span(text=self.lanes.gutter(y, self.chars), part="line"),
            Span(text=self.chars.state(shown.state), part="glyph", node=node.id, lit=bright),
            Span(text=" " + label, part="label", node=node.id, lit=bright),
        ]
        left = room - cell_width(label) - 1
        if shown.suffix and left > 3:
            spans.append(Span(text=" " + clip(shown.suffix, left, self.chars), part="suffix", node=node.id))
        return spans


def make(
    graph: Graph, width: int, chars: CharSet, over: Mapping[str, Overlay], *, fold: int | None = None
) -> Canvas:
    """A canvas for a screen of `width` cells."""
    small = collapse(graph, fold=fold)
    choice = choose(small.graph, width, chars, dict(over), "auto")
    drawing = choice.drawing
    if choice.lanes is not None and width < NARROW:
        return _of_lanes(small.graph, small.into, choice.lanes, width, chars)
    if drawing is None:
        drawing = paint(arrange(small.graph), chars, _PANNED_CAP)
    spots = {node: Spot(each.x, each.y, each.width) for node, each in drawing.regions.items()}
    before, after = _ways(small.graph)
    return Canvas(
        graph=small.graph, into=small.into, chars=chars, width=drawing.width, height=drawing.height, spots=spots,
        before=before, after=after, drawing=drawing,
    )  # fmt: skip


def level_text(graph: Graph, states: Mapping[str, Overlay], width: int, chars: CharSet) -> list[str]:
    """One row per level with its progress."""
    return level_rows(graph, states, width, chars)


def _of_lanes(graph: Graph, into: Mapping[str, str], lanes: Lanes, width: int, chars: CharSet) -> Canvas:
    before, after = _ways(graph)
    spots = {}
    for y, v in enumerate(lanes.order):
        x = 2 * lanes.count
        label = cell_width(fit(clean(graph.nodes[v].label, chars), max(width - x - 2, 1), chars))
        spots[graph.nodes[v].id] = Spot(x, y, 2 + label)
    return Canvas(
        graph=graph, into=into, chars=chars, width=width, height=len(lanes.order), spots=spots, before=before,
        after=after, lanes=lanes,
    )  # fmt: skip


def _ways(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    after: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        before[edge.downstream].append(edge.upstream)
        after[edge.upstream].append(edge.downstream)
    return before, after
