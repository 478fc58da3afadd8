"""The graph in Graphviz DOT: kinds by shape, states by fill, edge kinds by line and arrow."""

from __future__ import annotations

from engine.layout.cells import clean
from engine.layout.glyphs import UNICODE, kind_style
from engine.layout.overlay import overlay_of
from engine.layout.svg_style import EDGE_LOOKS, KIND_COLOURS, STATE_LOOKS
from engine.layout.topology import topology
from engine.layout.values import Graph, Node, States

_SHAPES = {"rectangle": "box", "diamond": "diamond", "hexagon": "hexagon", "circle": "ellipse"}
_LINES = {"data": "solid", "control": "dashed", "conditional": "dotted", "external": "dashed"}
_ARROWS = {"data": "normal", "control": "onormal", "conditional": "diamond", "external": "box"}


def to_dot(graph: Graph, states: States | None = None, name: str = "pipeline") -> str:
    """A digraph from left to right. Raises GraphError where the graph has a cycle."""
    topology(graph)
    lines = [
        f"digraph {quote(name)} {{",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", style="filled", fillcolor="white"];',
    ]
    lines += [f"  {quote(node.id)} [{_node(node, states)}];" for node in graph.nodes]
    for edge in graph.edges:
        kind = edge.kind if edge.kind in EDGE_LOOKS else "data"
        look = f'style="{_LINES[kind]}", color="{EDGE_LOOKS[kind].colour}", arrowhead="{_ARROWS[kind]}"'
        lines.append(f"  {quote(edge.upstream)} -> {quote(edge.downstream)} [{look}];")
    return "\n".join([*lines, "}"])


def quote(text: str) -> str:
    """A double-quoted DOT string. Backslashes are doubled, so no escape of DOT's own is ever formed."""
    return '"' + clean(text, UNICODE).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _node(node: Node, states: States | None) -> str:
    style = kind_style(node.kind)
    label, fill = node.label, ""
    if states is not None:
        over = overlay_of(states.get(node.id, "PENDING"), UNICODE)
        label = f"{UNICODE.state(over.state)} {label} {over.suffix}".rstrip()
        look = STATE_LOOKS.get(over.state)
        fill = f', fillcolor="{look.fill}"' if look else ""
    return f'label={quote(label)}, shape="{_SHAPES[style.shape]}", color="{KIND_COLOURS[style.colour]}"{fill}'
