"""How fast the graph rules are on a pipeline far larger than anyone's: `python -m benchmarks.graph`.

Prints one JSON line. The shape is random but always the same (TST-08).
"""

from __future__ import annotations

import json
import random
import time

from engine.rules.graph import build_graph, find_cycle, levels
from engine.rules.graph_paths import analyse_paths
from engine.rules.graph_plan import make_plan


def random_dependencies(tasks: int, edges: int, seed: int = 1) -> dict[str, list[str]]:
    """An acyclic pipeline of about so many edges, defined in an order that tells nothing of its levels."""
    dice = random.Random(seed)
    ups: list[set[int]] = [set() for _ in range(tasks)]
    for _ in range(edges):
        low, high = sorted(dice.sample(range(tasks), 2))
        ups[high].add(low)
    order = dice.sample(range(tasks), tasks)
    return {f"task_{task}": [f"task_{up}" for up in sorted(ups[task])] for task in order}


def measure(tasks: int, edges: int) -> dict[str, float | int]:
    """Seconds of every step, each the best of three."""
    dependencies = random_dependencies(tasks, edges)
    durations = {task: float(place % 97) for place, task in enumerate(dependencies)}
    graph = build_graph(dependencies)
    steps = {
        "build": lambda: build_graph(dependencies),
        "cycle": lambda: find_cycle(graph),
        "levels": lambda: levels(graph),
        "critical_path": lambda: analyse_paths(graph, durations),
        "plan": lambda: make_plan(graph, durations=durations),
    }
    seconds: dict[str, float] = {}
    for name, step in steps.items():
        seconds[name] = min(_timed(step) for _ in range(3))
    total = sum(seconds[name] for name in ("build", "cycle", "levels", "critical_path"))
    rounded = {f"{name}_seconds": round(value, 4) for name, value in seconds.items()}
    return {"tasks": tasks, "edges": graph.edges, **rounded, "total_seconds": round(total, 4)}


def _timed(step: object) -> float:
    assert callable(step)
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps({"benchmark": "graph", "results": [measure(n, n * 3 // 2) for n in (100, 1_000, 10_000)]}))
