"""What the text drawing looks like, in which form it comes, and that nothing hostile gets through it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from itertools import pairwise

import pytest

from engine.layout.arrange import arrange
from engine.layout.cells import cell_width, clean, fit
from engine.layout.collapse import collapse
from engine.layout.glyphs import ASCII, KINDS, STATES, UNICODE, kind_style, state_style
from engine.layout.highlight import View, cone, highlight
from engine.layout.order import crossings
from engine.layout.overlay import overlays
from engine.layout.paint import paint
from engine.layout.spans import row_spans
from engine.layout.text import to_text
from engine.layout.topology import topological
from engine.layout.values import Edge, Graph, GraphError, Node, Overlay, graph_of
from tests.layout.graphs import ORDERS_STATES, diamond, fan, orders, pipeline, wild


def drawn(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_the_diamond() -> None:
    """VIS-01: left to right, one row per task."""
    assert to_text(diamond()) == drawn("""
        • extract ─┬▸ • clean ──┬▸ • load
                   ╰▸ • enrich ─╯
    """)


def test_the_diamond_in_ascii() -> None:
    assert to_text(diamond(), ascii=True) == drawn("""
        * extract -+> * clean --+> * load
                   +> * enrich -+
    """)


def test_a_chain_is_one_line() -> None:
    """VIS-01: simple pipelines are not drawn over-complex."""
    assert to_text(graph_of(["a", "b", "c"], [("a", "b"), ("b", "c")])) == "• a ─▸ • b ─▸ • c"


def test_the_example_of_the_console_with_its_states() -> None:
    """VIS-06, VIS-11: a state is a glyph, its note stands where there is room."""
    assert to_text(orders(), ORDERS_STATES) == drawn("""
                 ╭▸ ✓ extract_orders ─▸ ✓ validate_orders ─╮
                 ├▸ ✓ extract_items ───────────────────────┴▸ ◉ join_sales 62% ─┬▸ · fact_sales ─╮
        ✓ start ─┼▸ ✓ extract_users ──▸ ✗ validate_users ───▸ ⊘ dim_users ──────┴────────────────┴▸ · publish_mart
                 ╰▸ ↻ extract_rates  retry 2/3 in 41 s
    """)


def test_ancestry_and_descent_are_heavy() -> None:
    """VIS-04: highlighted without colour."""
    assert to_text(orders(), ORDERS_STATES, lit=["join_sales"]) == drawn("""
                 ┏▸ ✓ extract_orders ━▸ ✓ validate_orders ━┓
                 ┣▸ ✓ extract_items ━━━━━━━━━━━━━━━━━━━━━━━┻▸ ◉ join_sales 62% ━┯▸ · fact_sales ━┓
        ✓ start ━╃▸ ✓ extract_users ──▸ ✗ validate_users ───▸ ⊘ dim_users ──────┴────────────────┺▸ · publish_mart
                 ╰▸ ↻ extract_rates  retry 2/3 in 41 s
    """)


def test_identical_siblings_are_one_bundle() -> None:
    """VIS-15: 1-200-1 is three nodes."""
    assert to_text(fan(200)) == "• split ─▸ • part_000…199 ×200 ─▸ • merge"


def test_a_bundle_sums_up_the_states_of_its_members() -> None:
    states = {f"part_{i:03d}": "SUCCESS" for i in range(180)} | {"split": "SUCCESS", "part_190": "FAILED"}
    text = to_text(fan(200), states)
    assert text == "✓ split ─▸ ✗ part_000…199 ×200 ✗1 ·19 ✓180 ─▸ · merge"


def test_1_200_1_unfolded_is_a_comb_of_200_rows() -> None:
    rows = to_text(fan(200), fold=0).splitlines()
    assert len(rows) == 200
    assert rows[0] == "         ╭▸ • part_000 ─╮"
    assert rows[1] == "         ├▸ • part_001 ─┤"
    assert rows[-1] == "         ╰▸ • part_199 ─╯"
    assert [row for row in rows if "split" in row] == ["• split ─┼▸ • part_099 ─┼▸ • merge"]


def test_closed_groups_are_one_node_unless_that_makes_a_cycle() -> None:
    """VIS-15."""
    nodes = [Node(id=i, label=i, group=g) for i, g in (("a", "x"), ("b", None), ("c", "x"), ("d", "y"), ("e", "y"))]
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]
    small = collapse(graph_of(nodes, edges), closed=["x", "y"])
    assert [node.label for node in small.graph.nodes] == ["a", "b", "c", "y ×2"]
    assert small.into == {"a": "a", "b": "b", "c": "c", "d": "group:y", "e": "group:y"}
    assert to_text(graph_of(nodes, edges), closed=["y"]) == "• a ─▸ • b ─▸ • c ─▸ ◫ y ×2"


def test_siblings_of_different_kinds_or_edges_are_not_bundled() -> None:
    nodes = [Node(id=f"n{i}", label=f"n{i}", kind="load" if i % 2 else "extract") for i in range(6)]
    edges = [Edge(upstream="s", downstream=node.id) for node in nodes]
    graph = graph_of([Node(id="s", label="s"), *nodes], edges)
    assert [len(node.members) for node in collapse(graph, fold=2).graph.nodes] == [0, 3, 3]
    assert collapse(graph, fold=0).graph == graph


def test_a_number_in_a_bundle_label_is_not_torn() -> None:
    parts = [f"part_{i}" for i in range(100, 200)]
    graph = graph_of(["s", *parts], [("s", part) for part in parts])
    assert "part_100…199 ×100" in to_text(graph)


# ------------------------------------------------------------------------------------------ widths


def test_80_columns_fall_back_to_lanes() -> None:
    text = to_text(orders(), ORDERS_STATES, width=80)
    assert text == drawn("""
        ╭───────✓ start
        ├─┬─────✓ extract_orders
        │ ╰─┬───✓ validate_orders
        ├─┬─│───✓ extract_users
        │ ╰─│─┬─✗ validate_users
        │ ╭─│─┴─⊘ dim_users
        ├─│─┼───✓ extract_items
        │ │ ╰─┬─◉ join_sales 62%
        │ ├─┬─┴─· fact_sales
        │ ╰─┴───· publish_mart
        ╰───────↻ extract_rates  retry 2/3 in 41 s
    """)


def test_labels_are_capped_before_the_form_changes() -> None:
    graph = graph_of(["a" * 60, "b" * 60], [("a" * 60, "b" * 60)])
    assert to_text(graph, width=None).count("a") == 39
    assert to_text(graph, width=60) == f"• {'a' * 12}…{'a' * 11} ─▸ • {'b' * 12}…{'b' * 11}"
    assert to_text(graph, width=36) == f"• {'a' * 6}…{'a' * 5} ─▸ • {'b' * 6}…{'b' * 5}"


@pytest.mark.parametrize("width", [30, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("with_states", [False, True])
def test_nothing_is_ever_wider_than_asked(width: int, with_states: bool) -> None:
    for graph in (diamond(), orders(), pipeline(60), pipeline(500), wild(3, 40, 2.5, 40)):
        states = {node.id: Overlay(state="RETRYING", suffix="retry 2/3 in 41 s") for node in graph.nodes}
        text = to_text(graph, states if with_states else None, width=width)
        assert max(map(cell_width, text.splitlines())) <= width


def test_what_no_lane_can_carry_becomes_levels_with_counts() -> None:
    """VIS-12: completion per level."""
    graph = pipeline(500)
    done = [node.id for node in graph.nodes][:250]
    rows = to_text(graph, dict.fromkeys(done, "SUCCESS"), width=80).splitlines()
    assert len(rows) == 26
    assert sum(int(row.split()[1]) for row in rows) == 500
    assert all(" %  " in row for row in rows)


def test_levels_name_what_fits_and_count_the_rest() -> None:
    assert to_text(diamond(), mode="levels").splitlines() == [
        "  0     1  • extract",
        "  1     2  • clean, • enrich",
        "  2     1  • load",
    ]
    assert to_text(fan(200), mode="levels", width=40).splitlines()[1] == "  1   200  • part_000, • part_001 +198"


def test_level_progress_counts_what_has_ended() -> None:
    """VIS-12."""
    states = {"extract": "SUCCESS", "clean": "FAILED", "enrich": "RUNNING"}
    rows = to_text(diamond(), states, width=40, mode="levels").splitlines()
    assert rows == ["  0     1  100 %  ✓1", "  1     2   50 %  ✗1 ◉1", "  2     1    0 %  ·1"]


def test_a_graph_too_deep_for_the_width_is_not_laid_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """VIS-15: 10,000 tasks on 80 columns do not wait for a drawing nobody will see."""
    text = importlib.import_module("engine.layout.text")
    monkeypatch.setattr(text, "arrange", lambda graph: pytest.fail("laid out in vain"))
    names = [f"t{i}" for i in range(30)]
    chain = graph_of(names, list(pairwise(names)))
    assert len(to_text(chain, width=80).splitlines()) == 30


def test_a_form_can_be_forced() -> None:
    """VIS-02: manual override."""
    assert "╭▸" in to_text(orders(), width=40, mode="full")
    assert to_text(diamond(), width=200, mode="lanes").splitlines()[0].endswith("─• extract")
    assert to_text(diamond(), width=200, mode="levels").startswith("  0     1")


def test_a_suffix_without_room_is_cut_not_spilled() -> None:
    drawing = paint(arrange(graph_of(["a", "b"], [("a", "b")])), UNICODE, 24)
    over = {"a": Overlay(state="RUNNING", suffix="a very long note")}
    assert "".join(span.text for span in row_spans(drawing, 0, over)) == "◉ a ─▸ · b"
    wide = paint(arrange(graph_of(["a", "b"], [("a", "b")])), UNICODE, 24, {"a": 7})
    assert "".join(span.text for span in row_spans(wide, 0, over)) == "◉ a a ver… ─▸ · b"


# ------------------------------------------------------------------------------------------ labels


def test_wide_and_combining_characters_count_as_cells() -> None:
    assert cell_width("日本語") == 6
    assert cell_width("e\u0301") == 1
    assert fit("日本語データ取込処理", 9, UNICODE) == "日本…処理"
    assert fit("abcdefghij", 5, UNICODE) == "ab…ij"
    assert fit("abc", 1, UNICODE) == "…"
    graph = graph_of([Node(id="a", label="日本語"), "b", "c"], [("a", "c"), ("b", "c")])
    rows = to_text(graph).splitlines()
    assert rows == ["• 日本語 ─┬▸ • c", "• b ──────╯"]
    assert cell_width(rows[0].split("┬")[0]) == cell_width(rows[1].split("╯")[0])


@pytest.mark.parametrize("mode", ["full", "lanes", "levels"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_control_characters_of_a_label_never_reach_the_text(mode: str, ascii_only: bool) -> None:
    """A label is untrusted: no escape sequence, line break, bidi override or zero-width trick gets out."""
    hostile = "a\x1b[2J\r\n\tb\u202ec\u200b\x9b\u2028\ud800z"
    graph = graph_of([Node(id="n", label=hostile), Node(id="m", label="\u0301" * 50 + "m")], [("n", "m")])
    states = {"n": Overlay(state="RUN\x1bNING", suffix="\x07\x1b]0;x\x07")}
    for shown in (None, states):
        text = to_text(graph, shown, mode=mode, ascii=ascii_only)  # type: ignore[arg-type]
        assert all(c.isprintable() or c == "\n" for c in text)
        assert len(text.splitlines()) == text.count("\n") + 1 <= 2
        assert text.count("\u0301") == 0
        assert not ascii_only or text.isascii()


def test_marks_cannot_pile_up() -> None:
    assert clean("a" + "\u0301" * 50 + "b", UNICODE) == "a\u0301\u0301b"
    assert clean("né", ASCII) == "n?"


def test_every_state_and_kind_can_be_told_apart() -> None:
    """C-45, VIS-09: no state by colour alone."""
    states = list(STATES.values())
    assert len({s.glyph for s in states}) == len({s.ascii for s in states}) == len(states) == 9
    assert len({s.letter for s in states}) == 9
    five = [KINDS[k] for k in ("extract", "transform", "load", "validation", "notification")]
    assert len({k.glyph for k in five}) == len({k.ascii for k in five}) == len({k.colour for k in five}) == 5
    kinds = list(KINDS.values())
    assert all(cell_width(c) == 1 for c in [*(s.glyph for s in states), *(k.glyph for k in kinds)])
    assert not any(c in "-|+>=# " for c in [*(s.ascii for s in states), *(k.ascii for k in kinds)])


def test_a_specific_type_looks_like_its_category() -> None:
    """C-09."""
    assert kind_style("sql_transform").category == "transform"
    assert kind_style("database_extract").category == "extract"
    assert kind_style("load_s3").category == "load"
    assert kind_style("whatever").category == "task"
    assert state_style("running").letter == "R"


# ------------------------------------------------------------------------------- layout and queries


def test_edges_are_as_short_as_they_can_be() -> None:
    """A source joins its consumer, not the left margin: the rank is network simplex, not longest path."""
    graph = graph_of(["a", "b", "c", "d", "late"], [("a", "b"), ("b", "c"), ("c", "d"), ("late", "d")])
    regions = paint(arrange(graph), UNICODE, 24).regions
    assert regions["late"].column == regions["c"].column == 2


def test_ranks_are_no_longer_than_tightened_longest_path() -> None:
    for seed in range(10):
        top = arrange(wild(seed, 60, 1.5, 60))
        rank = top.layered.rank
        assert all(rank[v] > rank[u] for u, v in top.topology.edges)
        assert len(topological(top.topology.succ, top.topology.pred)) == 60


def test_components_never_cross_each_other() -> None:
    pairs = [(f"{c}{i}", f"{c}{i + 1}") for c in "abc" for i in range(5)]
    plan = arrange(graph_of(list(dict.fromkeys(name for pair in pairs for name in pair)), pairs))
    assert crossings(plan.layered, plan.columns) == 0
    assert max(plan.rows) == 4


def test_a_viewer_finds_nodes_by_cell_and_neighbours_by_node() -> None:
    drawing = paint(arrange(orders()), UNICODE, 24)
    for node, region in drawing.regions.items():
        assert drawing.node_at(region.x, region.y) == node
        assert drawing.node_at(region.x + region.width - 1, region.y) == node
        assert drawing.node_at(region.x + region.width, region.y) is None
    assert drawing.node_at(0, 99) is None
    assert drawing.upstream("join_sales") == ["validate_orders", "extract_items"]
    assert drawing.downstream("start") == ["extract_orders", "extract_users", "extract_items", "extract_rates"]
    assert drawing.columns[1] == ("extract_orders", "extract_items", "extract_users", "extract_rates")


def test_a_state_change_touches_the_cells_of_its_node_only() -> None:
    """VIS-06: what a console repaints is one region."""
    drawing = paint(arrange(orders()), UNICODE, 24)
    before = overlays(drawing.graph, {}, UNICODE)
    after = before | {"join_sales": Overlay(state="SUCCESS")}
    region = drawing.regions["join_sales"]
    for y in range(drawing.height):
        old, new = ("".join(s.text for s in row_spans(drawing, y, over)) for over in (before, after))
        changed = [x for x, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        assert changed == ([region.x] if y == region.y else [])


def test_spans_cover_the_row_exactly_and_name_their_node() -> None:
    drawing = paint(arrange(orders()), UNICODE, 24)
    lit = highlight(drawing, nodes=["dim_users"])
    over = overlays(drawing.graph, ORDERS_STATES, UNICODE)
    for y in range(drawing.height):
        spans = row_spans(drawing, y, over, lit)
        assert cell_width("".join(span.text for span in spans)) == drawing.width
        assert [s.node for s in spans if s.part == "glyph"] == [node for _, node in drawing.rows[y]]
        assert {s.node for s in spans if s.lit and s.node} <= set(lit.nodes)


def test_a_highlight_is_clipped_to_the_view() -> None:
    drawing = paint(arrange(pipeline(200)), UNICODE, 24)
    node = drawing.graph.nodes[100].id
    whole = highlight(drawing, nodes=[node])
    view = View(left=40, top=3, right=120, bottom=15)
    clipped = highlight(drawing, nodes=[node], view=view)
    inside = {
        y: {x: c for x, c in row.items() if view.left <= x < view.right}
        for y, row in whole.rows.items()
        if view.top <= y < view.bottom
    }
    assert {y: row for y, row in clipped.rows.items() if row} == {y: row for y, row in inside.items() if row}
    assert any(inside.values())


def test_up_and_down_are_separate_cones() -> None:
    """VIS-04: all upstream requirements, or all downstream impact."""
    drawing = paint(arrange(orders()), UNICODE, 24)
    assert cone(drawing, "dim_users", down=False) == [
        ("start", "extract_users"),
        ("extract_users", "validate_users"),
        ("validate_users", "dim_users"),
    ]
    assert cone(drawing, "fact_sales", up=False) == [("fact_sales", "publish_mart")]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        (["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "b")], "cycle, b -> c -> b"),
        (["a"], [("a", "a")], "cycle, a -> a"),
        (["a"], [("a", "z")], "'z', which is not a node"),
        (["a", "a"], [], "'a' is defined twice"),
    ],
)
def test_what_cannot_be_drawn_is_named(nodes: list[str], edges: list[tuple[str, str]], words: str) -> None:
    graph = Graph(
        nodes=tuple(Node(id=i, label=i) for i in nodes),
        edges=tuple(Edge(upstream=u, downstream=v) for u, v in edges),
    )
    with pytest.raises(GraphError, match=words):
        to_text(graph)


def test_nothing_to_draw_is_an_empty_text() -> None:
    assert to_text(graph_of([])) == ""
    assert to_text(graph_of(["only"])) == "• only"


# ------------------------------------------------------------------------------------- determinism

_SCRIPT = """
from tests.layout.graphs import fan, orders, pipeline, wild
from engine.layout.document import to_json
from engine.layout.dot import to_dot
from engine.layout.svg import to_svg
from engine.layout.text import to_text
import hashlib
out = []
for graph in (orders(), fan(30), pipeline(150), wild(4, 60, 2.5, 60)):
    out += [to_text(graph), to_text(graph, mode="lanes"), to_text(graph, mode="levels"), to_svg(graph)]
    out += [to_dot(graph), to_json(graph)]
print(hashlib.sha256(chr(0).join(out).encode()).hexdigest())
"""


def test_every_process_draws_the_same() -> None:
    """No set and no hash order decides anything."""
    seen = set()
    for seed in ("0", "1", "4242"):
        env = dict(os.environ, PYTHONHASHSEED=seed, PYTHONPATH=os.pathsep.join(sys.path))
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env=env, capture_output=True, text=True, check=True, timeout=60
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1
