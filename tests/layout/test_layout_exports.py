"""The exports: well-formed, self-contained, complete, and safe with any label."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from engine.layout.document import to_document, to_json
from engine.layout.dot import to_dot
from engine.layout.glyphs import KINDS, STATES
from engine.layout.svg import to_svg
from engine.layout.svg_style import BADGES, KIND_COLOURS, STATE_LOOKS, SYMBOLS
from engine.layout.values import Edge, Graph, GraphError, Node, Overlay, graph_of
from tests.layout.graphs import ORDERS_STATES, fan, orders, pipeline

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = 'x"]; a -> b; //\\"</text><script>alert(1)</script>&\x1b[31m\x00\ud800\u202e'


def hostile() -> Graph:
    return graph_of([Node(id=HOSTILE, label=HOSTILE, kind=HOSTILE), "b"], [(HOSTILE, "b")])


def test_the_svg_has_every_node_and_edge() -> None:
    """VIS-13."""
    graph = orders()
    root = ElementTree.fromstring(to_svg(graph, ORDERS_STATES, title="orders_daily"))
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == [node.id for node in graph.nodes]
    edges = [path for path in root.iter(f"{SVG}path") if path.get("class") == "edge"]
    assert len(edges) == len(graph.edges)
    assert all(float(root.get(side, "0")) > 100 for side in ("width", "height"))


def test_the_svg_shows_state_as_word_pattern_and_class() -> None:
    """VIS-11."""
    text = to_svg(orders(), ORDERS_STATES)
    assert "✗ failed" in text
    assert "↻ retrying · retry 2/3 in 41 s" in text
    assert 'fill="url(#stripes)"' in text
    assert 'fill="url(#hatch)"' in text
    assert 'class="node faded"' in text
    assert "failed" not in to_svg(orders())


def test_the_svg_refers_to_nothing_outside_itself() -> None:
    text = to_svg(orders(), ORDERS_STATES)
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in text
    for name in re.findall(r"url\(#([\w-]+)\)", text):
        assert f'id="{name}"' in text


def test_cards_of_the_svg_do_not_overlap() -> None:
    root = ElementTree.fromstring(to_svg(pipeline(80)))
    boxes = []
    for group in root.iter(f"{SVG}g"):
        if (group.get("class") or "").startswith("node"):
            x, y = map(float, re.findall(r"[\d.]+", group.get("transform") or ""))
            card = group.find(f"{SVG}rect")
            assert card is not None
            boxes.append((x, y, x + float(card.get("width", "0")), y + float(card.get("height", "0"))))
    assert len(boxes) == 80
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_edge_kinds_have_their_own_line_and_arrow() -> None:
    """VIS-10."""
    kinds = ["data", "control", "conditional", "external"]
    graph = graph_of(["s", *kinds], [Edge(upstream="s", downstream=k, kind=k) for k in kinds])
    svg, dot = to_svg(graph), to_dot(graph)
    assert all(f'marker-end="url(#to-{kind})"' in svg for kind in kinds)
    assert all(f'arrowhead="{head}"' in dot for head in ("normal", "onormal", "diamond", "box"))


def test_every_kind_and_state_has_its_look() -> None:
    """VIS-09, VIS-11, C-45."""
    for style in KINDS.values():
        assert style.category in SYMBOLS
        assert style.shape in BADGES
        assert style.colour in KIND_COLOURS
    assert set(STATE_LOOKS) == set(STATES)
    looks = [(look.fill, look.line, look.pattern, look.classes) for look in STATE_LOOKS.values()]
    assert len(set(looks)) == 9


def test_a_hostile_label_stays_text_in_every_export() -> None:
    svg = to_svg(hostile(), {HOSTILE: Overlay(state="<b>", suffix="</svg>")}, title=HOSTILE)
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    for text in (svg, to_dot(hostile(), {}, name=HOSTILE), to_json(hostile())):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_dot_statements_are_whole_lines_with_closed_quotes() -> None:
    """VIS-13."""
    for graph in (orders(), hostile()):
        lines = to_dot(graph, ORDERS_STATES).splitlines()
        assert lines[0] == 'digraph "pipeline" {'
        assert lines[-1] == "}"
        assert sum(" -> " in re.sub(r'"(\\.|[^"\\])*"', "", line) for line in lines) == len(graph.edges)
        for line in lines[3:-1]:
            bare = re.sub(r'"(\\.|[^"\\])*"', "S", line)
            assert re.fullmatch(r"  S( -> S)? \[(\w+=S(, )?)+\];", bare), line


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed; the syntax test above stands")
def test_graphviz_reads_the_dot() -> None:
    for graph in (orders(), hostile()):
        done = subprocess.run(
            ["dot", "-Tplain"], input=to_dot(graph).encode(), capture_output=True, check=True, timeout=60
        )
        assert done.stdout.decode().count("\nedge ") == len(graph.edges)


def test_json_has_nodes_edges_and_levels() -> None:
    """VIS-13."""
    data = json.loads(to_json(orders(), ORDERS_STATES))
    assert data == to_document(orders(), ORDERS_STATES)
    assert data["levels"][0] == ["start"]
    assert data["levels"][-1] == ["publish_mart"]
    assert data["edges"][0] == {"upstream": "start", "downstream": "extract_orders", "kind": "data"}
    join = next(node for node in data["nodes"] if node["id"] == "join_sales")
    assert join == {
        "id": "join_sales",
        "label": "join_sales",
        "kind": "sql_transform",
        "category": "transform",
        "group": None,
        "level": 3,
        "state": "RUNNING",
        "note": "62%",
    }


def test_a_fan_out_is_one_card() -> None:
    assert to_svg(fan(200)).count('class="node ') == 3


def test_a_cycle_is_refused_by_every_export() -> None:
    graph = graph_of(["a", "b"], [("a", "b"), ("b", "a")])
    for export in (to_svg, to_dot, to_json):
        with pytest.raises(GraphError, match="cycle"):
            export(graph)
