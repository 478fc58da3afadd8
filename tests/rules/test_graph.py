"""The shape of a pipeline: cycles, levels, reachability (TST-05, TST-06)."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules.graph import (
    CycleError,
    UnknownDependencyError,
    UnknownTaskError,
    ancestors,
    build_graph,
    components,
    descendants,
    detect_cycles_dfs,
    find_cycle,
    graph_from_adjacency,
    leaves,
    levels,
    orphans,
    ready,
    roots,
    topological_order,
    topological_sort_kahns,
)

Dependencies = dict[str, list[str]]


@st.composite
def any_dependencies(draw: st.DrawFn) -> Dependencies:
    """Any graph of up to nine tasks, cycles and self-loops included."""
    names = draw(st.permutations("abcdefghi"))[: draw(st.integers(0, 9))]
    return {name: draw(st.lists(st.sampled_from(names), max_size=3)) for name in names}


@st.composite
def acyclic_dependencies(draw: st.DrawFn) -> Dependencies:
    """A graph without a cycle, defined in any order."""
    names = draw(st.permutations("abcdefghi"))[: draw(st.integers(0, 9))]
    upstream = {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        for place, name in enumerate(names)
    }
    return {name: upstream[name] for name in draw(st.permutations(names))}


def oracle(dependencies: Dependencies) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from((up, task) for task, ups in dependencies.items() for up in ups)
    return graph


def chain(length: int) -> Dependencies:
    return {f"t{n}": [f"t{n - 1}"] if n else [] for n in range(length)}


@pytest.mark.parametrize(
    ("dependencies", "path"),
    [
        pytest.param({"a": ["c"], "b": ["a"], "c": ["b"]}, ("a", "b", "c", "a"), id="simple"),
        pytest.param({"a": ["a"]}, ("a", "a"), id="self-loop"),
        pytest.param({"a": [], "b": ["a", "c"], "c": ["b"]}, ("b", "c", "b"), id="behind a root"),
        pytest.param({"a": [], "b": [], "x": ["y"], "y": ["x"]}, ("x", "y", "x"), id="disconnected"),
        pytest.param({"a": ["b", "c"], "b": ["a"], "c": ["b"]}, ("a", "b", "a"), id="interconnected"),
    ],
)
def test_a_cycle_is_shown_as_a_path_that_ends_where_it_starts(
    dependencies: Dependencies, path: tuple[str, ...]
) -> None:
    """GRA-02, TST-05."""
    found = find_cycle(build_graph(dependencies))
    assert (found.has_cycle, found.cycle_path) == (True, path)


def test_a_cycle_of_thousands_of_tasks_is_found_without_recursion() -> None:
    """TST-05."""
    dependencies = chain(5000)
    dependencies["t0"] = ["t4999"]
    found = find_cycle(build_graph(dependencies))
    assert len(found.cycle_path) == 5001
    assert not find_cycle(build_graph(chain(5000))).has_cycle


@given(any_dependencies())
def test_cycles_agree_with_networkx_and_their_path_is_made_of_edges(dependencies: Dependencies) -> None:
    """GRA-02."""
    graph = build_graph(dependencies)
    found = find_cycle(graph)
    assert found.has_cycle is not nx.is_directed_acyclic_graph(oracle(dependencies))
    if found.has_cycle:
        assert found.cycle_path[0] == found.cycle_path[-1]
        assert all(up in dependencies[task] for up, task in pairwise(found.cycle_path))
        with pytest.raises(CycleError) as caught:
            levels(graph)
        assert caught.value.path == found.cycle_path
    else:
        assert found.cycle_path == ()


@pytest.mark.parametrize(
    ("dependencies", "expected"),
    [
        pytest.param({}, (), id="empty"),
        pytest.param({"a": []}, (("a",),), id="single"),
        pytest.param(chain(3), (("t0",), ("t1",), ("t2",)), id="chain"),
        pytest.param({"c": [], "a": [], "b": []}, (("c", "a", "b"),), id="parallel"),
        pytest.param(
            {"d": ["b", "c"], "c": ["a"], "b": ["a"], "a": []}, (("a",), ("c", "b"), ("d",)), id="diamond"
        ),
        pytest.param({"a": [], "b": ["a"], "c": ["a", "b"]}, (("a",), ("b",), ("c",)), id="short cut"),
        pytest.param({"a": [], "x": [], "b": ["a", "a"]}, (("a", "x"), ("b",)), id="repeated dependency"),
    ],
)
def test_levels_are_in_definition_order(dependencies: Dependencies, expected: tuple[tuple[str, ...], ...]) -> None:
    """GRA-03, GRA-04, TST-06."""
    assert levels(build_graph(dependencies)) == expected


@given(acyclic_dependencies())
def test_levels_are_the_longest_way_from_a_root(dependencies: Dependencies) -> None:
    """GRA-04."""
    graph = build_graph(dependencies)
    expected = [set(row) for row in nx.topological_generations(oracle(dependencies))]
    assert [set(row) for row in levels(graph)] == expected
    assert all(list(row) == [t for t in dependencies if t in row] for row in levels(graph))


@given(acyclic_dependencies())
def test_the_topological_order_respects_every_dependency(dependencies: Dependencies) -> None:
    """GRA-03."""
    order = topological_order(build_graph(dependencies))
    assert sorted(order) == sorted(dependencies)
    assert all(order.index(up) < order.index(task) for task, ups in dependencies.items() for up in ups)


@given(any_dependencies())
def test_reach_agrees_with_networkx(dependencies: Dependencies) -> None:
    """GRA-01, C-05."""
    graph, other = build_graph(dependencies), oracle(dependencies)
    for task in dependencies:
        assert descendants(graph, task) == nx.descendants(other, task)
        assert ancestors(graph, task) == nx.ancestors(other, task)
        assert set(graph.downstream[task]) == set(other.successors(task))
        assert list(graph.upstream[task]) == list(dict.fromkeys(dependencies[task]))
    assert [set(part) for part in components(graph)] == list(nx.weakly_connected_components(other))


@given(any_dependencies())
def test_orphans_are_what_no_root_leads_to(dependencies: Dependencies) -> None:
    """C-07: only a cycle makes them."""
    graph = build_graph(dependencies)
    reached = set(roots(graph)) | descendants(graph, *roots(graph))
    assert orphans(graph) == tuple(task for task in dependencies if task not in reached)
    if not find_cycle(graph).has_cycle:
        assert orphans(graph) == ()
        assert all(not graph.downstream[task] for task in leaves(graph))


@given(acyclic_dependencies(), st.data())
def test_what_is_ready_has_all_its_upstreams_done(dependencies: Dependencies, data: st.DataObject) -> None:
    """GRA-01."""
    done = set(data.draw(st.lists(st.sampled_from(sorted(dependencies))))) if dependencies else set()
    expected = tuple(t for t, ups in dependencies.items() if t not in done and all(up in done for up in ups))
    assert ready(build_graph(dependencies), done) == expected


def test_every_dangling_dependency_is_named_at_once() -> None:
    """GRA-01: referential integrity while building."""
    with pytest.raises(UnknownDependencyError, match="'a' depends on 'x', 'b' depends on 'y'") as caught:
        build_graph({"a": ["x"], "b": ["a", "y"]})
    assert caught.value.dangling == (("a", "x"), ("b", "y"))


def test_reach_of_an_unknown_task_is_refused() -> None:
    with pytest.raises(UnknownTaskError, match="'nope'"):
        descendants(build_graph({"a": []}), "nope")


def test_bare_adjacency_lists_are_read_upstream_to_downstream() -> None:
    """GRA-02, GRA-03, C-05; a neighbour that is no key is a task (REQUIREMENTS 3.4)."""
    assert topological_sort_kahns({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) == [["a"], ["b", "c"], ["d"]]
    assert not detect_cycles_dfs({"a": ["b"]}).has_cycle
    assert detect_cycles_dfs({"a": ["b"], "b": ["a"]}).cycle_path == ("a", "b", "a")
    with pytest.raises(CycleError, match="a -> b -> a"):
        topological_sort_kahns({"a": ["b"], "b": ["a"], "c": []})
    assert graph_from_adjacency({"a": ["b"]}).upstream["b"] == ("a",)
