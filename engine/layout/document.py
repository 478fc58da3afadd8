"""The graph as data: nodes, edges and levels, for JSON and for anything that reads a dictionary."""

from __future__ import annotations

import json

from engine.layout.glyphs import kind_style
from engine.layout.levels import levels
from engine.layout.overlay import state_name
from engine.layout.values import Graph, Overlay, States


def to_document(graph: Graph, states: States | None = None) -> dict[str, object]:
    """Plain values; ids and labels are given as they are."""
    found = levels(graph)
    level = {node.id: number for number, nodes in enumerate(found) for node in nodes}
    nodes: list[dict[str, object]] = []
    for node in graph.nodes:
        entry: dict[str, object] = {
            "id": node.id,
            "label": node.label,
            "kind": node.kind,
            "category": kind_style(node.kind).category,
            "group": node.group,
            "level": level[node.id],
        }
        if node.members:
            entry["members"] = list(node.members)
        if states is not None:
            given = states.get(node.id, "PENDING")
            entry["state"] = state_name(given)
            if isinstance(given, Overlay) and given.suffix:
                entry["note"] = given.suffix
        nodes.append(entry)
    edges = [{"upstream": e.upstream, "downstream": e.downstream, "kind": e.kind} for e in graph.edges]
    return {"nodes": nodes, "edges": edges, "levels": [[node.id for node in nodes] for nodes in found]}


def to_json(graph: Graph, states: States | None = None) -> str:
    """The document as JSON; escapes everything outside ASCII, so no control character gets out."""
    return json.dumps(to_document(graph, states), indent=2, ensure_ascii=True)
