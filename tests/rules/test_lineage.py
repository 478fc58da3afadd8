"""Which dataset is made from which."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.model.dataset import DatasetEdge
from engine.model.pipeline import Pipeline, Task
from engine.rules.lineage import (
    LineageGraph,
    Touch,
    affected_pipelines,
    data_sources,
    lineage_graph,
    path,
    reach,
    united,
)

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def task(name: str, *after: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> Task:
    return Task(id=name, name=name, type="shell", config={}, dependencies=after, inputs=reads, outputs=writes)


def pipeline(name: str, *tasks: Task) -> Pipeline:
    return Pipeline(id=name, name=name, tasks=tasks)


def pairs(graph: LineageGraph) -> list[tuple[str, str]]:
    return [(link.source, link.target) for link in graph.links]


def hops(graph: LineageGraph, name: str, *, downstream: bool) -> list[tuple[int, str]]:
    return [(each.hop, each.name) for each in reach(graph, name, downstream=downstream)]


def test_a_task_makes_its_outputs_from_its_inputs() -> None:
    graph = lineage_graph([pipeline("p", task("t", reads=("a", "b"), writes=("c", "a")))])
    assert pairs(graph) == [("a", "c"), ("b", "a"), ("b", "c")]
    assert graph.writers["c"] == [Touch("p", "t")] == graph.readers["b"]


def test_what_is_only_read_flows_to_the_nearest_writers_below() -> None:
    graph = lineage_graph(
        [
            pipeline(
                "p",
                task("extract", reads=("raw",)),
                task("check", "extract"),
                task("load", "check", writes=("mart",)),
                task("copy", "load", writes=("archive",)),
                task("other", "check", reads=("elsewhere",), writes=("side",)),
            )
        ]
    )
    assert pairs(graph) == [("elsewhere", "side"), ("raw", "mart")]


def test_upstream_and_downstream_are_found_hop_by_hop_across_pipelines() -> None:
    """LIN-08, LIN-09, LIN-10: both ways, to any depth."""
    graph = lineage_graph(
        [
            pipeline("one", task("t", reads=("a",), writes=("b",))),
            pipeline("two", task("t", reads=("b",), writes=("c", "d"))),
            pipeline("three", task("t", reads=("d", "a"))),
        ]
    )
    assert hops(graph, "a", downstream=True) == [(1, "b"), (2, "c"), (2, "d")]
    assert hops(graph, "d", downstream=False) == [(1, "b"), (2, "a")]
    assert affected_pipelines(graph, "a") == ["one", "three", "two"]
    assert affected_pipelines(graph, "d") == ["three"]
    assert affected_pipelines(graph, "c") == []


def test_a_cycle_of_datasets_ends_where_it_began() -> None:
    graph = lineage_graph(
        [
            pipeline("p", task("t", reads=("a",), writes=("b",))),
            pipeline("q", task("t", reads=("b",), writes=("a",))),
        ]
    )
    assert hops(graph, "a", downstream=True) == [(1, "b")]
    assert hops(graph, "b", downstream=False) == [(1, "a")]


def edge(source: str, target: str, task_id: str = "load", pipeline_id: str = "p") -> DatasetEdge:
    return DatasetEdge(
        source=source,
        target=target,
        pipeline_id=pipeline_id,
        task_id=task_id,
        first_seen=T0,
        last_seen=T0,
        run_id="r",
    )


def test_what_runs_did_is_united_with_what_is_declared() -> None:
    """A load that reports what its extract read is the declared way, not a second one."""
    declared = lineage_graph(
        [pipeline("p", task("extract", reads=("raw",)), task("load", "extract", writes=("mart",)))]
    )
    seen = edge("raw", "mart")
    graph = united(declared, [seen, edge("mart", "cube", "build")], [("raw", False, Touch("q", "look"))])
    assert pairs(graph) == [("mart", "cube"), ("raw", "mart")]
    (link,) = [each for each in graph.links if each.target == "mart"]
    assert (link.reads, link.writes) == (Touch("p", "extract"), Touch("p", "load"))
    assert graph.seen[link] == seen
    assert graph.readers["raw"] == [Touch("p", "extract"), Touch("q", "look")]
    assert graph.writers["cube"] == [Touch("p", "build")] == graph.readers["mart"]
    assert affected_pipelines(graph, "raw") == ["p", "q"]
    assert united(graph, []).seen == graph.seen
    assert declared.names == ["mart", "raw"]  # the graph it was made from is as it was


def test_direct_dependencies_sources_and_the_way_between_two() -> None:
    """LIN-08, LIN-09."""
    edges = [
        edge("a", "b"),
        edge("b", "c"),
        edge("x", "c"),
        edge("c", "d"),
        edge("a", "d", "short"),
        edge("d", "a"),
    ]
    graph = united(lineage_graph([]), edges)
    assert [each.name for each in reach(graph, "a", downstream=True, depth=1)] == ["b", "d"]
    assert [each.name for each in reach(graph, "a", downstream=True, depth=2)] == ["b", "d", "c"]
    assert data_sources(graph, "c") == ["x"]  # a is made from d, and so from nothing outside
    assert [link.target for link in path(graph, "b", "a")] == ["c", "d", "a"]
    assert [link.target for link in path(graph, "a", "d")] == ["d"]
    assert path(graph, "c", "x") == [] == path(graph, "a", "a") == path(graph, "a", "nowhere")
