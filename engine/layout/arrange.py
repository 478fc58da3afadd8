"""The steps in order: rank, cut into hops, order, rows, channels; all that no label width changes."""

from __future__ import annotations

from dataclasses import dataclass

from engine.layout.layered import Layered, layered
from engine.layout.order import order
from engine.layout.rank import rank
from engine.layout.route import Channel, route
from engine.layout.rows import rows
from engine.layout.topology import Topology, topology
from engine.layout.values import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Where everything stands relative to everything else; painting it gives cells or pixels.

    columns  vertices per column from top to bottom, dummies included
    rows     row of each vertex, doubled: odd rows are spare and exist only where a wire jogs on them
    """

    graph: Graph
    topology: Topology
    layered: Layered
    columns: list[list[int]]
    rows: list[int]
    channels: list[Channel]


def arrange(graph: Graph) -> Arrangement:
    """Lay out the graph. Raises GraphError when it has a cycle or a dangling edge."""
    top = topology(graph)
    proper = layered(top, rank(top))
    columns = order(proper)
    doubled = [2 * row for row in rows(proper, columns)]
    return Arrangement(
        graph=graph,
        topology=top,
        layered=proper,
        columns=columns,
        rows=doubled,
        channels=route(proper, columns, doubled),
    )
