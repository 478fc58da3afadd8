"""Graphs to draw: the named ones of the design, and random ones by seed."""

from __future__ import annotations

import random
from itertools import pairwise

from engine.layout.values import Edge, Graph, Node, Overlay, graph_of


def diamond() -> Graph:
    edges = [("extract", "clean"), ("extract", "enrich"), ("clean", "load"), ("enrich", "load")]
    return graph_of(["extract", "clean", "enrich", "load"], edges)


def fan(n: int) -> Graph:
    """One task, n alike, one task."""
    parts = [f"part_{i:03d}" for i in range(n)]
    return graph_of(["split", *parts, "merge"], [("split", p) for p in parts] + [(p, "merge") for p in parts])


_ORDERS = """start extract_orders|start extract_users|start extract_items|start extract_rates
extract_orders validate_orders|extract_users validate_users|validate_orders join_sales
extract_items join_sales|validate_users dim_users|join_sales fact_sales|dim_users fact_sales
fact_sales publish_mart|dim_users publish_mart"""


def orders() -> Graph:
    """The example of the console's design."""
    names = "start extract_orders extract_items extract_users extract_rates validate_orders validate_users"
    kinds = {"extract": "extract", "validate": "validation", "publish": "notification", "start": "shell"}
    nodes = [
        Node(id=name, label=name, kind=kinds.get(name.split("_")[0], "sql_transform"))
        for name in [*names.split(), "join_sales", "dim_users", "fact_sales", "publish_mart"]
    ]
    pairs = [pair.split() for line in _ORDERS.splitlines() for pair in line.split("|")]
    return graph_of(nodes, [Edge(upstream=u, downstream=v) for u, v in pairs])


ORDERS_STATES: dict[str, Overlay | str] = {
    "start": "SUCCESS",
    "extract_orders": "SUCCESS",
    "extract_items": "SUCCESS",
    "extract_users": "SUCCESS",
    "extract_rates": Overlay(state="RETRYING", suffix=" retry 2/3 in 41 s"),
    "validate_orders": "SUCCESS",
    "validate_users": "FAILED",
    "join_sales": Overlay(state="RUNNING", suffix="62%"),
    "dim_users": "SKIPPED",
}


def wild(seed: int, n: int, ratio: float, window: int) -> Graph:
    """n nodes with labels of all lengths, about ratio*n edges reaching at most `window` nodes onward."""
    dice = random.Random(seed)
    names = [f"t{i}" + "x" * dice.randint(0, 9) for i in range(n)]
    edges: dict[tuple[str, str], None] = {}
    for _ in range(int(3 * ratio * n)):
        if len(edges) >= ratio * n:
            break
        a = dice.randrange(n)
        b = a + dice.randint(1, window)
        if b < n:
            edges[names[a], names[b]] = None
    shuffled = list(edges)
    dice.shuffle(shuffled)
    dice.shuffle(names)
    return graph_of(names, shuffled)


def pipeline(n: int, seed: int = 7) -> Graph:
    """n tasks in layers with mostly local edges, 1.5 n of them, a seventh over several layers."""
    dice = random.Random(seed)
    depth = max(4, int(1.2 * n**0.5))
    layers: list[list[int]] = [[] for _ in range(depth)]
    for i in range(n):
        layers[i if i < depth else dice.randrange(depth)].append(i)
    place = {v: k / len(layer) for layer in layers for k, v in enumerate(layer)}

    def near(layer: list[int], p: float, spread: float) -> int:
        k = int((p + dice.uniform(-spread, spread)) * len(layer))
        return layer[min(len(layer) - 1, max(0, k))]

    edges: dict[tuple[int, int], None] = {}
    for before, layer in pairwise(layers):
        for v in layer:
            edges[near(before, place[v], 0.12), v] = None
    while len(edges) < 1.5 * n:
        i = dice.randrange(depth - 1)
        u = dice.choice(layers[i])
        step = 1 if dice.random() > 0.15 else dice.randint(2, 4)
        if i + step < depth:
            edges[u, near(layers[i + step], place[u], 0.25)] = None
    names = list(range(n))
    dice.shuffle(names)
    pairs = [(f"task_{a:04d}", f"task_{b:04d}") for a, b in edges]
    dice.shuffle(pairs)
    return graph_of([f"task_{i:04d}" for i in names], pairs)
