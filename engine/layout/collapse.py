"""Collapse: closed groups become one node, identical siblings become one bundle.

A closed group whose contraction would make a cycle stays open. Siblings are identical when kind, group,
predecessors and successors are the same, as in a fan-out over partitions. A collapsed node keeps the ids of
what it stands for, so its state can be summed up.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from engine.layout.topology import topological, topology
from engine.layout.values import Edge, Graph, Node

FOLD_LEAST = 12  # siblings that fold by themselves in a graph of ordinary size
FOLD_LEAST_LARGE = 4
LARGE = 300  # visible nodes beyond which groups start closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsed:
    """The smaller graph, and for every original id the node it is in now."""

    graph: Graph
    into: dict[str, str]


def collapse(graph: Graph, *, closed: Collection[str] | None = None, fold: int | None = None) -> Collapsed:
    """Contract and fold. Raises GraphError when the graph has a cycle or a dangling edge.

    closed  names of the groups to contract; None: all of them if the graph is LARGE, else none
    fold    how many identical siblings at least make a bundle; None: by size of the graph, 0: never
    """
    topology(graph)  # refuses here, in the words of the original graph
    into = {node.id: node.id for node in graph.nodes}
    if closed is None:
        groups = [node.group for node in graph.nodes if node.group is not None]
        closed = tuple(dict.fromkeys(groups)) if len(graph.nodes) > LARGE else ()
    for group in dict.fromkeys(node.group for node in graph.nodes):
        if group is not None and group in closed:
            members = [node for node in graph.nodes if node.group == group]
            merged = Node(id=_free_id(f"group:{group}", graph), label=_counted(group, members), kind="group")
            smaller = _merge(graph, [(merged, members)], into)
            if not _cyclic(smaller.graph):
                graph, into = smaller.graph, smaller.into
    if fold is None:
        fold = FOLD_LEAST_LARGE if len(graph.nodes) > LARGE else FOLD_LEAST
    return _merge(graph, _bundles(graph, fold), into) if fold > 1 else Collapsed(graph=graph, into=into)


def _bundles(graph: Graph, least: int) -> list[tuple[Node, list[Node]]]:
    before: dict[str, list[tuple[str, str]]] = {node.id: [] for node in graph.nodes}
    after: dict[str, list[tuple[str, str]]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        after[edge.upstream].append((edge.downstream, edge.kind))
        before[edge.downstream].append((edge.upstream, edge.kind))
    alike: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.nodes:
        ways = (tuple(sorted(before[node.id])), tuple(sorted(after[node.id])))
        if ways != ((), ()):
            alike.setdefault((node.kind, node.group, *ways), []).append(node)
    found = []
    for members in alike.values():
        if len(members) >= least:
            first = members[0]
            label = bundle_label([node.label for node in members])
            name = _free_id(f"fold:{first.id}", graph)
            found.append((Node(id=name, label=label, kind=first.kind, group=first.group), members))
    return found


def bundle_label(labels: list[str]) -> str:
    """`part_000…199 ×200`: the first name, where the last one differs, and how many."""
    first, last = labels[0], labels[-1]
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    while same and same < len(last) and last[same - 1].isdigit() and last[same].isdigit():
        same -= 1  # never tear a number apart
    return f"{first}…{last[same:]} ×{len(labels)}"


def _counted(group: str, members: list[Node]) -> str:
    return f"{group} ×{sum(len(node.members) or 1 for node in members)}"


def _free_id(wanted: str, graph: Graph) -> str:
    taken = {node.id: None for node in graph.nodes}
    while wanted in taken:
        wanted += "'"
    return wanted


def _merge(graph: Graph, bundles: list[tuple[Node, list[Node]]], into: dict[str, str]) -> Collapsed:
    """Replace each bundle's members by its node, at the place of the first member."""
    home: dict[str, Node] = {}
    for merged, members in bundles:
        ids = tuple(name for node in members for name in (node.members or (node.id,)))
        whole = Node(id=merged.id, label=merged.label, kind=merged.kind, group=merged.group, members=ids)
        for node in members:
            home[node.id] = whole
    nodes = dict.fromkeys(home.get(node.id, node) for node in graph.nodes)
    edges: dict[tuple[str, str], Edge] = {}
    for edge in graph.edges:
        up = home[edge.upstream].id if edge.upstream in home else edge.upstream
        down = home[edge.downstream].id if edge.downstream in home else edge.downstream
        if up != down or edge.upstream == edge.downstream:
            edges.setdefault((up, down), Edge(upstream=up, downstream=down, kind=edge.kind))
    return Collapsed(
        graph=Graph(nodes=tuple(nodes), edges=tuple(edges.values())),
        into={name: home[at].id if at in home else at for name, at in into.items()},
    )


def _cyclic(graph: Graph) -> bool:
    index = {node.id: i for i, node in enumerate(graph.nodes)}
    succ: list[list[int]] = [[] for _ in index]
    pred: list[list[int]] = [[] for _ in index]
    for edge in graph.edges:
        succ[index[edge.upstream]].append(index[edge.downstream])
        pred[index[edge.downstream]].append(index[edge.upstream])
    return len(topological(succ, pred)) < len(index)
