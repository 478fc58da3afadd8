"""Every drawing can be read back edge by edge, and the checker that says so notices injected bugs."""

from __future__ import annotations

import importlib
import random
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.layout.arrange import arrange
from engine.layout.glyphs import JUNCTION, UNICODE
from engine.layout.highlight import highlight
from engine.layout.lanes import lanes
from engine.layout.paint import paint
from engine.layout.topology import topology
from engine.layout.values import Graph, graph_of
from tests.layout.graphs import diamond, fan, orders, pipeline, wild
from tests.layout.reading import faults


@st.composite
def dags(draw: st.DrawFn) -> Graph:
    """Any acyclic graph of up to 14 nodes; edges go up in the definition order, then the nodes are mixed."""
    n = draw(st.integers(min_value=0, max_value=14))
    names = [f"n{i}" + "x" * draw(st.integers(0, 6)) for i in range(n)]
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=40)) if pairs else []
    mixed = draw(st.permutations(names))
    return graph_of(mixed, [(names[a], names[b]) for a, b in chosen])


@given(dags())
@settings(max_examples=150)
def test_any_graph_is_drawn_so_that_every_edge_can_be_followed_and_no_other(graph: Graph) -> None:
    """VIS-01: no broken line, dangling arm, line through a node, or edge that does not exist."""
    assert faults(paint(arrange(graph), UNICODE, 24)) == []


@pytest.mark.parametrize("block", range(4))
def test_random_graphs_of_all_densities_keep_the_invariants(block: int) -> None:
    """VIS-01, VIS-15."""
    jogs = 0
    for seed in range(60 * block, 60 * block + 60):
        dice = random.Random(seed)
        n = dice.choice((5, 12, 30, 60, 100))
        graph = wild(seed, n, dice.choice((0.6, 1, 1.5, 2.5)), dice.choice((3, 8, n)))
        plan = arrange(graph)
        jogs += sum(wire.jog is not None for channel in plan.channels for wire in channel.wires)
        assert faults(paint(plan, UNICODE, 24)) == [], f"seed {seed}"
    assert jogs > 50, "these graphs shall exercise the breaking of cycles"


@pytest.mark.parametrize("graph", [diamond(), fan(3), fan(60), orders(), pipeline(300)])
def test_named_graphs_keep_the_invariants(graph: Graph) -> None:
    """VIS-01."""
    assert faults(paint(arrange(graph), UNICODE, 24)) == []


def test_room_reserved_for_a_suffix_keeps_the_invariants() -> None:
    """Widening single nodes moves lines but breaks none."""
    graph = wild(5, 40, 1.5, 8)
    reserve = {node.id: i % 7 for i, node in enumerate(graph.nodes)}
    drawing = paint(arrange(graph), UNICODE, 24, reserve)
    assert faults(drawing) == []
    for node, cells in reserve.items():
        assert cells == 0 or drawing.regions[node].room >= cells - 1


def test_the_lit_cells_are_painted_cells() -> None:
    """VIS-04: a highlight replaces line characters and nothing else."""
    drawing = paint(arrange(pipeline(120)), UNICODE, 24)
    lit = highlight(drawing, nodes=[drawing.graph.nodes[60].id])
    cells = [(x, y) for y, row in lit.rows.items() for x in row]
    assert len(cells) > 50
    assert all(drawing.masks[y][x] for x, y in cells)


@pytest.mark.parametrize("seed", range(20))
def test_lanes_join_each_node_to_its_neighbours_buses(seed: int) -> None:
    """Every edge is one lane joined at both of its rows; between them the lane is unbroken."""
    graph = wild(seed, 25, 1.3, 6)
    top = topology(graph)
    found = lanes(top)
    row = {v: i for i, v in enumerate(found.order)}
    for u, v in top.edges:
        assert row[u] < row[v]
        shared = [
            x
            for x in range(0, 2 * found.count, 2)
            if found.masks[row[u]][x] & JUNCTION
            and found.masks[row[v]][x] & JUNCTION
            and all(found.masks[y][x] & 8 and found.masks[y + 1][x] & 4 for y in range(row[u], row[v]))
        ]
        assert shared, f"{u} -> {v}"


# ------------------------------------------------------------------------------------------------
# Can the checker fail? One bug at a time is put into a copy of a module's source.

MUTATIONS = {
    "a source may turn off right of where another net turns in": (
        "route",
        "piece.left_of.append(other)\n                    other.waits += 1",
        "pass",
    ),
    "tracks are packed one too tight": (
        "route",
        "max(self.skyline[low : high + 1]) + 1",
        "max(self.skyline[low : high + 1]) or 1",
    ),
    "a jog does not keep its spare row": ("route", "self.spare_taken[row] = None", "pass"),
    "all that hangs together shares a line": (
        "nets",
        "hops == len(sources) * len(targets)",
        "hops >= len(sources)",
    ),
    "joints look like crossings": ("paint", "self.grid[y][x] |= JUNCTION", "pass"),
    "verticals end one row early": ("paint", "for y in range(low, high):", "for y in range(low, high - 1):"),
    "a source's line stops short": ("paint", "self._begin(a), x - 1)", "self._begin(a), x - 2)"),
    "an entering line begins late": ("paint", "self._line(b), x + 1,", "self._line(b), x + 2,"),
    "arrows are missing": ("paint", "[self._end(i, b)] |= ARROW", "[self._end(i, b)] |= 0"),
    "dummies are not drawn": ("paint", "for v in range(real, len(rank)):", "for v in range(0):"),
    "two nodes stand on one row": ("rows", "place[column[i]] = base + i", "place[column[i]] = base + i - (i == 1)"),
    "ranks are not feasible": ("rank", "ranks[v] += shift", "ranks[v] += shift + (v == 3)"),
}
IMPORTED_BY = {"nets": "route", "route": "arrange", "rows": "arrange", "rank": "arrange"}


def _mutant(module: str, original: str, replacement: str) -> types.ModuleType:
    real = importlib.import_module(f"engine.layout.{module}")
    source = Path(str(real.__file__)).read_text(encoding="utf-8")
    assert source.count(original) == 1, f"{module}.py no longer contains {original!r} once"
    mutant = types.ModuleType(f"mutant_{module}")
    sys.modules[mutant.__name__] = mutant
    try:
        exec(compile(source.replace(original, replacement), mutant.__name__, "exec"), mutant.__dict__)
    finally:
        del sys.modules[mutant.__name__]
    return mutant


def _caught(seed: int, paint_it: object) -> bool:
    dice = random.Random(seed)
    n = dice.choice((12, 30, 60))
    graph = wild(seed, n, 1.5, dice.choice((3, 8, n)))
    plan = importlib.import_module("engine.layout.arrange").arrange
    try:
        return bool(faults(paint_it(plan(graph), UNICODE, 24)))  # type: ignore[operator]
    except (IndexError, KeyError, ValueError):
        return True


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_checker_catches_an_injected_bug(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property tests above prove something: with any of these bugs they fail."""
    module, original, replacement = MUTATIONS[name]
    mutant = _mutant(module, original, replacement)
    paint_it = mutant.paint if module == "paint" else paint
    if module in IMPORTED_BY:
        importer = importlib.import_module(f"engine.layout.{IMPORTED_BY[module]}")
        monkeypatch.setattr(importer, module, getattr(mutant, module))
    assert any(_caught(seed, paint_it) for seed in range(120))
