"""The graph in GraphML, for yEd, Gephi, networkx and the like (VIS-13).

Law: every attribute is declared before it is used, every text is escaped, and what XML cannot carry is
cleaned away.
"""

from __future__ import annotations

from html import escape

from engine.layout.cells import clean
from engine.layout.document import to_document
from engine.layout.glyphs import UNICODE
from engine.layout.topology import topology
from engine.layout.values import Graph, States

_NODE_KEYS = (
    ("label", "string"),
    ("kind", "string"),
    ("category", "string"),
    ("group", "string"),
    ("level", "int"),
)
_STATE_KEYS = (("state", "string"), ("note", "string"))


def to_graphml(graph: Graph, states: States | None = None, name: str = "pipeline") -> str:
    """A directed graph. Raises GraphError where the graph has a cycle."""
    topology(graph)
    document = to_document(graph, states)
    keys = _NODE_KEYS + (_STATE_KEYS if states is not None else ())
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        *(f'  <key id="{key}" for="node" attr.name="{key}" attr.type="{kind}"/>' for key, kind in keys),
        '  <key id="edge_kind" for="edge" attr.name="kind" attr.type="string"/>',
        f'  <graph id={_quoted(name)} edgedefault="directed">',
    ]
    for node in _rows(document, "nodes"):
        lines.append(f"    <node id={_quoted(str(node['id']))}>")
        lines += [
            f'      <data key="{key}">{_text(node[key])}</data>' for key, _ in keys if node.get(key) is not None
        ]
        lines.append("    </node>")
    for place, edge in enumerate(_rows(document, "edges")):
        ends = f"source={_quoted(str(edge['upstream']))} target={_quoted(str(edge['downstream']))}"
        lines.append(f'    <edge id="e{place}" {ends}><data key="edge_kind">{_text(edge["kind"])}</data></edge>')
    return "\n".join([*lines, "  </graph>", "</graphml>"])


def _rows(document: dict[str, object], key: str) -> list[dict[str, object]]:
    found = document[key]
    assert isinstance(found, list)  # to_document says so
    return found


def _text(value: object) -> str:
    return escape(clean(str(value), UNICODE), quote=False)


def _quoted(text: str) -> str:
    return f'"{escape(clean(text, UNICODE), quote=True)}"'
