"""One row of a drawing as spans: lines, names with their states, suffixes, lit pieces.

This is the seam for every viewer: text joins the spans, a console gives each a style and keeps the strip
until one of the row's nodes changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.layout.cells import cell_width, clip
from engine.layout.drawing import Drawing
from engine.layout.highlight import Highlight
from engine.layout.values import Overlay


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of a row. part is line, glyph, label or suffix; node is None for lines."""

    text: str
    part: str
    node: str | None = None
    lit: bool = False


def row_spans(
    drawing: Drawing,
    y: int,
    over: Mapping[str, Overlay] | None = None,
    lit: Highlight | None = None,
) -> list[Span]:
    """The spans of row y from left to right; together exactly the drawing's width. Without overlays the
    glyph before a name is that of its kind."""
    out: list[Span] = []
    cells = lit.rows.get(y, {}) if lit else {}
    at = 0
    for x, node in drawing.rows[y]:
        _lines(drawing.base[y], at, x, cells, out)
        bright = lit is not None and node in lit.nodes
        known = over.get(node) if over is not None else None
        glyph = (
            drawing.chars.state(known.state if known else "PENDING")
            if over is not None
            else drawing.chars.kind(drawing.graph.nodes[drawing.index[node]].kind)
        )
        out.append(Span(text=glyph, part="glyph", node=node, lit=bright))
        out.append(Span(text=" " + drawing.labels[node], part="label", node=node, lit=bright))
        region = drawing.regions[node]
        at = x + region.width
        suffix = clip(known.suffix, region.room, drawing.chars) if known and known.suffix else ""
        if suffix:
            out.append(Span(text=" " + suffix, part="suffix", node=node, lit=bright))
            at += 1 + cell_width(suffix)
            if at < drawing.width:  # the line or the blank that follows keeps its distance
                out.append(Span(text=" ", part="line"))
                at += 1
    _lines(drawing.base[y], at, drawing.width, cells, out)
    return out


def row_text(
    drawing: Drawing,
    y: int,
    over: Mapping[str, Overlay] | None = None,
    lit: Highlight | None = None,
) -> str:
    """The row as plain text, without blanks at its end."""
    return "".join([span.text for span in row_spans(drawing, y, over, lit)]).rstrip()


def _lines(base: str, start: int, end: int, cells: Mapping[int, str], out: list[Span]) -> None:
    if start >= end:
        return
    at = start
    for x in sorted(x for x in cells if start <= x < end):
        if x > at:
            out.append(Span(text=base[at:x], part="line"))
        if out and out[-1].part == "line" and out[-1].lit and x == at and x > start:
            out[-1] = Span(text=out[-1].text + cells[x], part="line", lit=True)
        else:
            out.append(Span(text=cells[x], part="line", lit=True))
        at = x + 1
    if end > at:
        out.append(Span(text=base[at:end], part="line"))
