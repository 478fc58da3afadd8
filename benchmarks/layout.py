"""How fast graphs are laid out and painted, and what a console does per event: `python -m benchmarks.layout`.

Prints one JSON line. Wanted: 500 nodes under 100 ms, 2,000 under 400 ms, a repainted row under 2 ms.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from itertools import pairwise

from engine.layout.arrange import arrange
from engine.layout.collapse import collapse
from engine.layout.glyphs import UNICODE
from engine.layout.highlight import View, highlight
from engine.layout.overlay import overlays
from engine.layout.paint import paint
from engine.layout.spans import row_spans
from engine.layout.svg import to_svg
from engine.layout.text import to_text
from engine.layout.values import Graph, graph_of

SIZES = (4, 12, 100, 500, 2_000)
REPEATS = 5


def pipeline(tasks: int, seed: int = 7) -> Graph:
    """Tasks in layers, 1.5 edges per task, most of them local; the same in every process."""
    dice = random.Random(seed)
    depth = max(3, int(1.2 * tasks**0.5))
    layers: list[list[int]] = [[] for _ in range(depth)]
    for task in range(tasks):
        layers[task if task < depth else dice.randrange(depth)].append(task)
    edges: dict[tuple[int, int], None] = {}

    def near(layer: list[int], place: float, spread: float) -> int:
        wanted = int((place + dice.uniform(-spread, spread)) * len(layer))
        return layer[min(len(layer) - 1, max(0, wanted))]

    for before, layer in pairwise(layers):
        for i, task in enumerate(layer):
            edges[near(before, i / len(layer), 0.12), task] = None
    for _ in range(20 * tasks):  # small graphs may have no room for so many edges
        if len(edges) >= 1.5 * tasks:
            break
        start = dice.randrange(depth - 1)
        step = 1 if dice.random() > 0.15 else dice.randint(2, 4)
        if start + step < depth:
            i = dice.randrange(len(layers[start]))
            place = i / len(layers[start])
            edges[layers[start][i], near(layers[start + step], place, 0.25)] = None
    names = dice.sample(range(tasks), tasks)
    return graph_of([f"task_{task:04d}" for task in names], [(f"task_{a:04d}", f"task_{b:04d}") for a, b in edges])


def measure(tasks: int) -> dict[str, float | int]:
    """Milliseconds of every step, each the best of several."""
    graph = pipeline(tasks)
    plan = arrange(graph)
    drawing = paint(plan, UNICODE, 24)
    over = overlays(graph, {}, UNICODE)
    middle = drawing.height // 2
    node = graph.nodes[tasks // 2].id
    view = View(left=0, top=0, right=120, bottom=40)
    return {
        "nodes": tasks,
        "edges": len(graph.edges),
        "width": drawing.width,
        "height": drawing.height,
        "layout_ms": _ms(lambda: paint(arrange(graph), UNICODE, 24)),
        "paint_ms": _ms(lambda: paint(plan, UNICODE, 24)),
        "collapse_ms": _ms(lambda: collapse(graph)),
        "row_ms": _ms(lambda: row_spans(drawing, middle, over)),
        "highlight_screen_ms": _ms(lambda: highlight(drawing, nodes=[node], view=view)),
        "text_ms": _ms(lambda: to_text(graph)),
        "svg_ms": _ms(lambda: to_svg(graph)),
    }


def _ms(step: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return round(1_000 * best, 3)


if __name__ == "__main__":
    print(json.dumps({"benchmark": "layout", "results": [measure(tasks) for tasks in SIZES]}))
