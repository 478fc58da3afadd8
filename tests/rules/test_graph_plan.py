"""Longest paths, partial runs and plans (GRA-05 to GRA-12)."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules.graph import CycleError, UnknownTaskError, build_graph, levels, roots
from engine.rules.graph_paths import analyse_paths, calculate_critical_path, critical_path
from engine.rules.graph_plan import estimate_seconds, make_plan, select_tasks, split_levels, subgraph
from tests.rules.test_graph import Dependencies, acyclic_dependencies, oracle

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def all_paths(dependencies: Dependencies) -> list[list[str]]:
    """Every path of any length, walked one by one."""
    paths = [[task] for task in dependencies]
    for path in paths:
        paths.extend([*path, task] for task, ups in dependencies.items() if path[-1] in ups)
    return paths


def test_the_critical_path_is_the_longest_by_duration() -> None:
    """GRA-05, TST-06."""
    found = critical_path(build_graph(DIAMOND), {"a": 1, "b": 5, "c": 2, "d": 1})
    assert (found.tasks, found.length, found.measured) == (("a", "b", "d"), 7.0, True)


def test_without_durations_every_task_weighs_the_same() -> None:
    """GRA-05, REQUIREMENTS 3.4: no empty path."""
    found = critical_path(build_graph({"x": [], **DIAMOND}))
    assert (found.tasks, found.length, found.measured) == (("a", "b", "d"), 3.0, False)


def test_tasks_that_take_no_time_stay_on_the_path() -> None:
    """GRA-05, REQUIREMENTS 3.4: zero-cost predecessors are not dropped."""
    assert critical_path(build_graph({"a": [], "b": ["a"]}), {"a": 0, "b": 5}).tasks == ("a", "b")
    assert critical_path(build_graph({"x": [], **DIAMOND}), dict.fromkeys("xabcd", 0.0)).tasks == ("a", "b", "d")


def test_an_unknown_or_impossible_duration_counts_as_the_median() -> None:
    durations = {"a": 1.0, "b": 4.0, "c": float("nan"), "d": -3.0, "gone": 99.0}
    found = analyse_paths(build_graph(DIAMOND), durations)
    assert dict(found.weight) == {"a": 1.0, "b": 4.0, "c": 4.0, "d": 4.0}


def test_the_path_of_an_empty_pipeline_is_empty_and_of_a_cyclic_one_refused() -> None:
    assert critical_path(build_graph({})).tasks == ()
    with pytest.raises(CycleError):
        critical_path(build_graph({"a": ["a"]}))


def test_a_chain_of_thousands_is_walked_without_recursion() -> None:
    """REQUIREMENTS 3.4."""
    length = 5000
    adjacency = {f"t{n}": [f"t{n + 1}"] for n in range(length - 1)}
    path, total = calculate_critical_path(adjacency, {f"t{n}": 0.1 for n in range(length)})
    assert (len(path), total) == (length, 500.0)


@given(acyclic_dependencies(), st.data())
def test_paths_agree_with_every_path_walked_one_by_one(dependencies: Dependencies, data: st.DataObject) -> None:
    """GRA-05, GRA-06: critical path, slack and remaining path."""
    weights = {task: data.draw(st.integers(0, 4)) for task in dependencies}
    found = analyse_paths(build_graph(dependencies), {task: float(weight) for task, weight in weights.items()})
    paths = all_paths(dependencies)
    lengths = [sum(weights[task] for task in path) for path in paths]
    total = max(lengths, default=0)
    assert found.critical.length == total == sum(weights[task] for task in found.critical.tasks)
    assert all(up in dependencies[task] for up, task in pairwise(found.critical.tasks))
    for task in dependencies:
        through = max(length for path, length in zip(paths, lengths, strict=True) if task in path)
        assert found.slack[task] == total - through
        assert found.remaining[task] == max(n for path, n in zip(paths, lengths, strict=True) if path[0] == task)
    assert all(found.slack[task] == 0 for task in found.critical.tasks)


SELECTIONS = [
    pytest.param({}, "abcdefg", id="everything"),
    pytest.param({"only": ["d"]}, "d", id="only"),
    pytest.param({"only": ["d", "a"]}, "ad", id="only two"),
    pytest.param({"from_": ["b"]}, "bde", id="from"),
    pytest.param({"until": ["d"]}, "abcd", id="until"),
    pytest.param({"from_": ["b"], "until": ["d"]}, "bd", id="between"),
    pytest.param({"from_": ["a"], "until": ["d"]}, "abcd", id="between over both arms"),
    pytest.param({"only": ["f"], "from_": ["d"]}, "def", id="only is added"),
    pytest.param({"from_": ["d"], "until": ["d"]}, "d", id="from and until the same"),
]
SEVEN = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"], "f": [], "g": ["f"]}


@pytest.mark.parametrize(("asked", "expected"), SELECTIONS)
def test_a_partial_run_takes_the_tasks_asked_for(asked: dict[str, list[str]], expected: str) -> None:
    """GRA-12."""
    assert "".join(select_tasks(build_graph(SEVEN), **asked)) == expected


def test_a_selection_that_cannot_be_made_is_refused() -> None:
    """GRA-12."""
    graph = build_graph(SEVEN)
    with pytest.raises(UnknownTaskError, match="no such task: 'x', 'y'"):
        select_tasks(graph, only=["x"], until=["y"])
    with pytest.raises(UnknownTaskError, match="no path leads from 'e' to 'a'"):
        select_tasks(graph, from_=["e"], until=["a"])
    with pytest.raises(UnknownTaskError, match="'x'"):
        subgraph(graph, ["a", "x"])


@given(acyclic_dependencies(), st.data())
def test_a_subgraph_keeps_the_order_of_what_it_keeps(dependencies: Dependencies, data: st.DataObject) -> None:
    """GRA-12: also where the way leads through dropped tasks."""
    kept = data.draw(st.sets(st.sampled_from(sorted(dependencies)))) if dependencies else set()
    part = subgraph(build_graph(dependencies), sorted(kept))
    assert part.ids == tuple(task for task in dependencies if task in kept)
    whole = nx.transitive_closure(oracle(dependencies))
    small = nx.transitive_closure(oracle({task: list(part.upstream[task]) for task in part.ids}))
    assert set(small.edges) == {(up, task) for up, task in whole.edges if up in kept and task in kept}


def test_wide_levels_are_split_into_batches() -> None:
    """GRA-08."""
    rows = (("a", "b", "c"), ("d",))
    assert split_levels(rows, max_parallel=2) == ((("a", "b"), ("c",)), (("d",),))
    requests = {
        "a": {"memory_mb": 600},
        "b": {"memory_mb": 600},
        "c": {"memory_mb": 400},
        "d": {"memory_mb": 5000},
    }
    fitting = split_levels(rows, requests=requests, available={"memory_mb": 1000})
    assert fitting == ((("a",), ("b", "c")), (("d",),))
    with pytest.raises(ValueError, match="at least 1"):
        split_levels(rows, max_parallel=0)


def test_an_estimate_is_the_longest_task_of_every_batch() -> None:
    """GRA-09."""
    batches = ((("a", "b"), ("c",)), (("d",),))
    weights = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 5.0}
    assert estimate_seconds(batches, weights) == 10.0
    assert estimate_seconds(batches, weights, overhead_seconds=0.5) == 11.5


def test_a_plan_says_what_will_run_when_and_with_what() -> None:
    """GRA-07."""
    plan = make_plan(
        build_graph(DIAMOND),
        durations={"a": 1, "b": 2, "c": 5, "d": 1},
        requests={"b": {"cpu": 1, "memory_mb": 512}, "c": {"cpu": 2}},
        max_parallel=1,
    )
    assert plan.execution_levels == (("a",), ("b", "c"), ("d",))
    assert plan.batches == ((("a",),), (("c",), ("b",)), (("d",),))  # the critical task first
    assert plan.critical_path.tasks == ("a", "c", "d")
    assert plan.estimated_seconds == 9.0
    assert [dict(needs) for needs in plan.resource_requirements] == [{}, {"cpu": 3, "memory_mb": 512}, {}]
    assert plan.paths.slack["b"] == 3.0


def test_a_plan_without_history_estimates_nothing() -> None:
    """GRA-09: no made-up seconds."""
    plan = make_plan(build_graph(DIAMOND))
    assert plan.estimated_seconds is None
    assert plan.critical_path.tasks == ("a", "b", "d")


@given(acyclic_dependencies(), st.integers(1, 4))
def test_batches_keep_levels_together_and_lose_nothing(dependencies: Dependencies, most: int) -> None:
    """GRA-08."""
    graph = build_graph(dependencies)
    plan = make_plan(graph, max_parallel=most)
    joined = [sorted(task for batch in level for task in batch) for level in plan.batches]
    assert joined == [sorted(row) for row in levels(graph)]
    assert all(1 <= len(batch) <= most for level in plan.batches for batch in level)
    assert not plan.batches or sorted(t for b in plan.batches[0] for t in b) == sorted(roots(graph))
