"""The shape of a pipeline: dependencies that exist, no task waiting for itself, no circles, nobody unreachable.

Law: a definition is never repaired; each circle is told with its path (VAL-03 to VAL-05). Linear in tasks and
edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.definitions.build import filled_in
from engine.definitions.problems import Findings, quote
from engine.model.pipeline import Parameter
from engine.rules.graph import build_graph, find_cycle, orphans

_MOST_CIRCLES = 20


def check_shape(
    tasks: Sequence[tuple[int, Mapping[str, Any]]],
    places: Mapping[str, int],
    parameters: Mapping[str, Parameter],
    findings: Findings,
) -> dict[str, list[str]]:
    """Check every dependency; answers task -> upstream ids, broken ones put aside."""
    values = {name: parameter.default for name, parameter in parameters.items()}
    edges: dict[str, list[str]] = {name: [] for name in places}
    for at, task in tasks:
        kept = _dependencies(at, task, places, values, findings)
        edges[task["id"]].extend(kept)
    _check_circles(edges, places, findings)
    return edges


def _dependencies(
    at: int, task: Mapping[str, Any], places: Mapping[str, int], values: Mapping[str, Any], findings: Findings
) -> list[str]:
    written = task.get("dependencies")
    if not isinstance(written, list):
        return []
    kept: list[str] = []
    for spot, one in enumerate(written):
        if not isinstance(one, str):
            continue
        wanted = filled_in(one, values)
        path = ("tasks", at, "dependencies", spot)
        if "{{" in wanted or "{%" in wanted:
            message = f"{quote(one)} can't be resolved: dependencies take parameters that have a default, by name"
            findings.error(path, message)
        elif wanted == task["id"]:
            findings.error(path, f"task '{wanted[:80]}' depends on itself; remove it", "remove it")
        elif wanted not in places:
            findings.unknown(path, "dependency", wanted, places)
        else:
            if wanted in kept:
                findings.warning(path, f"dependency '{wanted[:80]}' is listed twice", "remove it")
            kept.append(wanted)
    return kept


def _check_circles(edges: Mapping[str, list[str]], places: Mapping[str, int], findings: Findings) -> None:
    """Tell every circle (one by one, each opened before the next is looked for), then who sits behind them."""
    graph = build_graph(edges)
    unreachable = orphans(graph)
    if not unreachable:
        return
    opened = {task: list(ups) for task, ups in edges.items()}
    circling: set[str] = set()
    for _ in range(_MOST_CIRCLES):
        found = find_cycle(build_graph(opened))
        if not found.has_cycle:
            break
        _tell_circle(found.cycle_path, places, findings)
        circling.update(found.cycle_path)
        opened[found.cycle_path[-1]].remove(found.cycle_path[-2])
    for task in unreachable:
        if task not in circling:
            message = f"task '{task}' can never start: it waits for tasks that wait for each other"
            findings.warning(("tasks", places[task]), message)


def _tell_circle(path: Sequence[str], places: Mapping[str, int], findings: Findings) -> None:
    shown = [*path[:20], "…"] if len(path) > 21 else list(path)
    last = path[-2]
    findings.error(
        ("tasks", places[path[-1]], "dependencies"),
        f"tasks wait for each other: {' -> '.join(shown)}; remove one of these dependencies",
        f"remove '{last}' from the dependencies of '{path[-1]}'",
    )
