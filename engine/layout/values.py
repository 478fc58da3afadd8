"""The input of a drawing: a graph of labelled nodes, and what may be laid over it while painting.

Nothing here knows how a drawing is made. State is deliberately not part of the graph: a drawing is computed
once per topology, and states come and go on top of it as overlays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class GraphError(ValueError):
    """The graph cannot be drawn: the message names the node or edge at fault and what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box of the drawing.

    id       unique in the graph, as edges name it
    label    what is shown; untrusted, cleaned of control characters before it reaches any output
    kind     task type or its category; chooses glyph, colour and shape, see `glyphs.kind_style`
    group    the folding group it belongs to, if any
    members  ids of the nodes a bundle stands for, empty for an ordinary node
    """

    id: str
    label: str
    kind: str = "task"
    group: str | None = None
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`downstream` comes after `upstream`; kind is data, control, conditional or external (VIS-10)."""

    upstream: str
    downstream: str
    kind: str = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes in definition order, which breaks every tie of the layout, and their edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What a node shows besides its name: a task state, and a short text such as `retry 2/3 in 41 s`."""

    state: str = "PENDING"
    suffix: str = ""


States = Mapping[str, "Overlay | str"]
"""Node id to its overlay, or just to the name of its state."""


def graph_of(nodes: Iterable[Node | str], edges: Iterable[Edge | tuple[str, str]] = ()) -> Graph:
    """A graph from nodes or bare ids, and edges or bare (upstream, downstream) pairs."""
    return Graph(
        nodes=tuple(node if isinstance(node, Node) else Node(id=node, label=node) for node in nodes),
        edges=tuple(
            edge if isinstance(edge, Edge) else Edge(upstream=edge[0], downstream=edge[1]) for edge in edges
        ),
    )
