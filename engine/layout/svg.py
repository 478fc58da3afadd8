"""The graph as a self-contained SVG picture, from the same columns and rows as the text drawing.

A node is a card: a badge in the shape, colour and symbol of its kind (VIS-09), its name, and below it state
and note, the state also as fill and pattern (VIS-11). No script, no font, no reference leaves the file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape

from engine.layout.arrange import Arrangement, arrange
from engine.layout.cells import cell_width, clean, clip, fit
from engine.layout.collapse import collapse
from engine.layout.glyphs import UNICODE, kind_style
from engine.layout.overlay import overlays
from engine.layout.svg_style import (
    BADGES,
    CSS,
    DEFS,
    EDGE_LOOKS,
    KIND_COLOURS,
    STATE_LOOKS,
    SYMBOLS,
    StateLook,
)
from engine.layout.values import Graph, Node, Overlay, States

_MARGIN, _HEAD = 24, 34
_CARD, _PITCH, _THIN = 44, 62, 18  # card height, rows with a card, rows only lines run through
_CELL, _NOTE_CELL = 9.0, 6.8  # generous estimates: the viewer's font is not known
_TEXT, _PAD = 44, 14  # where the text begins, and what is left free behind it
_CAP, _NOTE_CAP = 36, 40
_GAP, _PER_TRACK, _MAX_GAP = 52, 9, 150
_HEAD_LENGTH = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    left: list[float]  # x of each column
    span: list[float]  # its width
    middle: dict[int, float]  # y of the centre of each row
    width: float
    height: float


def to_svg(
    graph: Graph,
    states: States | None = None,
    *,
    title: str = "",
    fold: int | None = None,
    closed: Collection[str] | None = None,
) -> str:
    """The picture; `fold` and `closed` as for `to_text`. Raises GraphError where the graph has a cycle."""
    small = collapse(graph, closed=closed, fold=fold).graph
    plan = arrange(small)
    over = overlays(small, states, UNICODE) if states is not None else None
    names = [fit(clean(node.label, UNICODE), _CAP, UNICODE) for node in small.nodes]
    notes = [_note(node, over) for node in small.nodes]
    page = _page(plan, names, notes, _HEAD if title else 0)
    wide, high = f"{page.width:.0f}", f"{page.height:.0f}"
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{_safe(title or 'pipeline')}</title>",
        f"<style>{CSS}</style>",
        f"<defs>{DEFS}{_heads()}</defs>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    if title:
        out.append(f'<text class="head" x="{_MARGIN}" y="{_MARGIN + 14}">{_safe(title)}</text>')
    out += _edges(plan, page)
    for v, node in enumerate(small.nodes):
        out.append(_card(plan, page, v, node, names[v], notes[v], over[node.id] if over is not None else None))
    return "\n".join([*out, "</svg>"])


def _safe(text: str) -> str:
    return escape(clean(text, UNICODE), quote=True)


def _note(node: Node, over: dict[str, Overlay] | None) -> str:
    if over is None:
        return clip(clean(node.kind.replace("_", " "), UNICODE), _NOTE_CAP, UNICODE)
    shown = over[node.id]
    state = f"{UNICODE.state(shown.state)} {clean(shown.state.lower(), UNICODE)}"
    return clip(f"{state} · {shown.suffix.strip()}" if shown.suffix else state, _NOTE_CAP, UNICODE)


def _page(plan: Arrangement, names: list[str], notes: list[str], head: int) -> _Page:
    left: list[float] = []
    span: list[float] = []
    real = plan.layered.real
    x = float(_MARGIN)
    for i, column in enumerate(plan.columns):
        texts = [max(_CELL * cell_width(names[v]), _NOTE_CELL * cell_width(notes[v])) for v in column if v < real]
        left.append(x)
        span.append(_TEXT + _PAD + max(texts) if texts else 0.0)
        x += span[-1]
        if i < len(plan.channels):
            x += min(_MAX_GAP, _GAP + _PER_TRACK * plan.channels[i].tracks)
    carded = {plan.rows[v]: True for v in range(real)}
    middle: dict[int, float] = {}
    y = float(_MARGIN + head)
    for row in sorted(dict.fromkeys(plan.rows)):
        pitch = _PITCH if row in carded else _THIN
        middle[row] = y + pitch / 2
        y += pitch
    return _Page(left=left, span=span, middle=middle, width=x + _MARGIN, height=y + _MARGIN)


def _heads() -> str:
    return "".join(
        f'<marker id="to-{kind}" markerWidth="9" markerHeight="9" refX="0" refY="4.5" orient="auto" '
        f'markerUnits="userSpaceOnUse">{look.head}</marker>'
        for kind, look in EDGE_LOOKS.items()
    )


def _edges(plan: Arrangement, page: _Page) -> list[str]:
    ids = {node.id: v for v, node in enumerate(plan.graph.nodes)}
    out = []
    for edge in plan.graph.edges:
        kind = edge.kind if edge.kind in EDGE_LOOKS else "data"
        look = EDGE_LOOKS[kind]
        path = plan.layered.paths[ids[edge.upstream], ids[edge.downstream]]
        dashes = f' stroke-dasharray="{look.dashes}"' if look.dashes else ""
        out.append(
            f'<path class="edge" d="{_curve(plan, page, path)}" stroke="{look.colour}"{dashes} '
            f'marker-end="url(#to-{kind})">'
            f"<title>{_safe(edge.upstream)} → {_safe(edge.downstream)}</title></path>"
        )
    return out


def _curve(plan: Arrangement, page: _Page, path: tuple[int, ...]) -> str:
    """An S-curve per channel, a straight line through the columns it passes."""
    rank, real = plan.layered.rank, plan.layered.real
    x = page.left[rank[path[0]]] + page.span[rank[path[0]]]
    y = page.middle[plan.rows[path[0]]]
    out = f"M{x:.1f} {y:.1f}"
    for v in path[1:]:
        to_x, to_y = page.left[rank[v]], page.middle[plan.rows[v]]
        if v < real:
            to_x -= _HEAD_LENGTH
        half = (x + to_x) / 2
        out += f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        if v >= real:
            to_x += page.span[rank[v]]
            out += f"H{to_x:.1f}"
        x, y = to_x, to_y
    return out


def _card(plan: Arrangement, page: _Page, v: int, node: Node, name: str, note: str, over: Overlay | None) -> str:
    style = kind_style(node.kind)
    colour = KIND_COLOURS[style.colour]
    look = STATE_LOOKS.get(over.state, STATE_LOOKS["PENDING"]) if over is not None else None
    look = look or StateLook(fill="#ffffff", line=colour, text="#6b7280")
    column = plan.layered.rank[v]
    width = page.span[column]
    top = page.middle[plan.rows[v]] - _CARD / 2
    radius = _CARD / 2 if style.shape == "circle" else 5
    box = f'width="{width:.1f}" height="{_CARD}" rx="{radius:.0f}"'
    pattern = f'<rect class="pattern" {box} fill="url(#{look.pattern})"/>' if look.pattern else ""
    full = clean(node.label, UNICODE)
    place = f"translate({page.left[column]:.1f} {top:.1f})"
    return (
        f'<g class="node {look.classes}" data-node="{_safe(node.id)}" transform="{place}">'
        f"<title>{_safe(full)}</title>"
        f'<rect class="card" {box} fill="{look.fill}" stroke="{look.line}" stroke-width="1.4"/>{pattern}'
        f'<g transform="translate(22 22)"><g fill="{colour}">{BADGES[style.shape]}</g>'
        f'<g class="symbol">{SYMBOLS[style.category]}</g></g>'
        f'<text class="name" x="{_TEXT}" y="19">{escape(name)}</text>'
        f'<text class="note" x="{_TEXT}" y="35" fill="{look.text}">{escape(note)}</text></g>'
    )
