"""Which hops of a channel share a line.

A net is a set of hops drawn as one line with one vertical. Hops share only where no reader can be misled: all
sources with all targets (an exact biclique), the private children of one source, the private parents of one
target. Sharing more would draw connections that do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.layout.layered import Layered


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """Every source is connected with every target."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]


def nets(graph: Layered, column: list[int]) -> list[Net]:
    """The nets between this column and the next."""
    found: list[Net] = []
    for sources, targets in _components(graph, column):
        hops = sum([len(graph.succ[u]) for u in sources])
        if hops == len(sources) * len(targets):
            found.append(Net(sources=tuple(sources), targets=tuple(sorted(targets))))
        else:
            found.extend(_private_and_single(graph, sources, sorted(targets)))
    return found


def _private_and_single(graph: Layered, sources: list[int], targets: list[int]) -> list[Net]:
    children: dict[int, list[int]] = {}
    parents: dict[int, list[int]] = {}
    for v in targets:
        if len(graph.pred[v]) == 1:
            children.setdefault(graph.pred[v][0], []).append(v)
    for u in sources:
        if len(graph.succ[u]) == 1 and len(graph.pred[graph.succ[u][0]]) > 1:
            parents.setdefault(graph.succ[u][0], []).append(u)
    found = [Net(sources=(u,), targets=tuple(own)) for u, own in children.items()]
    found += [Net(sources=tuple(own), targets=(v,)) for v, own in parents.items()]
    for u in sources:
        if len(graph.succ[u]) > 1:
            shared = [v for v in sorted(graph.succ[u]) if len(graph.pred[v]) > 1]
            found += [Net(sources=(u,), targets=(v,)) for v in shared]
    return found


def _components(graph: Layered, column: list[int]) -> list[tuple[list[int], list[int]]]:
    """Sources and targets that hang together, by sources from the top."""
    taken: dict[int, None] = {}
    found: list[tuple[list[int], list[int]]] = []
    for root in column:
        if root in taken or not graph.succ[root]:
            continue
        taken[root] = None
        sources, targets = [root], dict[int, None]()
        for u in sources:  # grows while it is read
            for v in graph.succ[u]:
                if v not in targets:
                    targets[v] = None
                    for w in graph.pred[v]:
                        if w not in taken:
                            taken[w] = None
                            sources.append(w)
        found.append((sources, list(targets)))
    return found
