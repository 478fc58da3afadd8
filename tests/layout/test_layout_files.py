"""GraphML and HTML: whole, escaped, and asking nothing of anybody (VIS-13)."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import networkx
import pytest

from engine.layout.graphml import to_graphml
from engine.layout.html import to_html
from engine.layout.values import Edge, Graph, GraphError, Node, graph_of

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\"'&"
STATES = {"a": "SUCCESS", "b": "FAILED"}


def diamond() -> Graph:
    nodes = [Node(id=name, label=name, kind="shell") for name in "abcd"]
    pairs = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    return graph_of(nodes, [Edge(upstream=up, downstream=down, kind="control") for up, down in pairs])


class Page(HTMLParser):
    """Tags, their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def test_graphml_is_read_by_another_program() -> None:
    """VIS-13: for external tools."""
    read = networkx.parse_graphml(to_graphml(diamond(), STATES, name="sales"))
    assert set(read.edges) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert read.nodes["b"] == {"label": "b", "kind": "shell", "category": "shell", "level": 1, "state": "FAILED"}
    assert read.edges["a", "b"]["kind"] == "control"


def test_html_asks_nothing_of_any_server() -> None:
    text = to_html(diamond(), STATES, title="Sales")
    page = Page(text)
    assert not [tag for tag, given in page.tags if {"src", "href", "xlink:href"} & given.keys()]
    assert "url(http" not in text and "@import" not in text
    policy = next(
        given["content"] for tag, given in page.tags if given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'")


def test_html_tells_of_each_task() -> None:
    page = Page(to_html(diamond(), STATES, details={"a": {"tries": "3"}}))
    assert [given["data-node"] for _, given in page.tags if "data-node" in given] == ["a", "b", "c", "d"]
    told = json.loads(page.scripts[0])
    assert told["a"] == {"state": "SUCCESS", "tries": "3"}
    assert told["d"] == {"state": "PENDING"}


def test_a_hostile_label_stays_text() -> None:
    graph = graph_of([Node(id=HOSTILE, label=HOSTILE), "b"], [(HOSTILE, "b")])
    html = to_html(graph, {HOSTILE: "FAILED"}, title=HOSTILE, details={HOSTILE: {HOSTILE: HOSTILE}})
    assert not [tag for tag, _ in Page(html).tags if tag == "img"]
    assert html.count("<script") == 2 and "\x1b" not in html
    root = ElementTree.fromstring(to_graphml(graph, name=HOSTILE))
    assert root.tag.endswith("graphml")


@pytest.mark.parametrize("export", [to_graphml, to_html])
def test_a_cycle_is_refused(export: object) -> None:
    assert callable(export)
    with pytest.raises(GraphError, match="cycle"):
        export(graph_of(["a", "b"], [("a", "b"), ("b", "a")]))


def test_a_fan_out_is_one_card_that_names_its_tasks_and_a_row_for_each() -> None:
    fan = graph_of(["s", *map(str, range(12)), "e"], [p for n in map(str, range(12)) for p in (("s", n), (n, "e"))])
    page = Page(text := to_html(fan))
    told = json.loads(page.scripts[0])
    bundle = next(name for name in told if "stands for" in told[name])
    assert f'data-node="{bundle}"' in text
    assert told[bundle]["stands for"].startswith("0, 1, 2")
    assert all(f"<tr><th>{number}</th>" in text for number in range(12))
