"""A run as it was read, with what is worked out from it once. Pure.

Law: a detail never changes; a newer one is made from it and from the tasks that moved, and shares the rest. What
is costly with thousands of tasks is made where the run is read, in a thread, and kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from engine.client.names import split
from engine.layout.values import Edge, Graph, Node, graph_of
from engine.model.pipeline import Pipeline, Task
from engine.model.run import Attempt, PipelineRun, TaskExecution, TaskState, Verdict


class Shape:
    """What follows from a pinned definition alone."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.tasks = {each.id: each for each in pipeline.tasks}
        self.below: dict[str, list[str]] = {each.id: [] for each in pipeline.tasks}
        for each in pipeline.tasks:
            for up in dict.fromkeys(each.dependencies):
                if up in self.below:
                    self.below[up].append(each.id)

    @cached_property
    def layers(self) -> list[list[str]]:
        """Tasks by their distance from the start, as far as there is no cycle."""
        open_ups = {each.id: len(dict.fromkeys(each.dependencies)) for each in self.pipeline.tasks}
        layer = [task_id for task_id, ups in open_ups.items() if not ups]
        found = []
        while layer:
            found.append(layer)
            following = []
            for done in layer:
                for down in self.below[done]:
                    open_ups[down] -= 1
                    if not open_ups[down]:
                        following.append(down)
            layer = following
        return found

    @cached_property
    def depths(self) -> dict[str, int]:
        """Steps from the start."""
        return {task_id: depth for depth, layer in enumerate(self.layers) for task_id in layer}

    @cached_property
    def order(self) -> dict[str, int]:
        """A place for each task, upstream first, within a layer as they are defined."""
        depths = self.depths
        known = [task_id for task_id in self.tasks if task_id in depths]
        return {task_id: i for i, task_id in enumerate(sorted(known, key=lambda each: depths[each]))}

    @cached_property
    def graph(self) -> Graph:
        """As it is drawn."""
        return Graph(
            nodes=tuple(Node(id=each.id, label=each.id, kind=each.type) for each in self.pipeline.tasks),
            edges=tuple(
                Edge(upstream=up, downstream=each.id, kind="conditional" if each.when is not None else "control")
                for each in self.pipeline.tasks
                for up in each.dependencies
                if up in self.tasks
            ),
        )


@dataclass(frozen=True, kw_only=True)
class RunDetail:
    """All that the view of a run shows, read together."""

    run: PipelineRun
    executions: Sequence[TaskExecution]
    verdicts: Mapping[str, Verdict]
    attempts: Sequence[Attempt]
    pipeline: Pipeline | None = None
    medians: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def shape(self) -> Shape | None:
        """Of its definition."""
        return Shape(self.pipeline) if self.pipeline is not None else None

    @cached_property
    def graph(self) -> Graph:
        """The run's pinned definition; without one, its tasks without edges."""
        if self.shape is not None:
            return self.shape.graph
        return graph_of(dict.fromkeys(each.task_id for each in self.executions))

    @cached_property
    def by_task(self) -> dict[str, list[TaskExecution]]:
        """Executions by task."""
        found: dict[str, list[TaskExecution]] = {}
        for each in self.executions:
            found.setdefault(each.task_id, []).append(each)
        return found

    @cached_property
    def places(self) -> dict[tuple[str, int | None], int]:
        """Where an execution stands among the others."""
        return {(each.task_id, each.map_index): i for i, each in enumerate(self.executions)}

    @cached_property
    def tried(self) -> dict[str, list[Attempt]]:
        """Attempts by execution, looks at a sensor's condition left out."""
        found: dict[str, list[Attempt]] = {}
        for each in self.attempts:
            if not each.poke:
                found.setdefault(each.execution_id, []).append(each)
        return found

    @cached_property
    def ended(self) -> tuple[int, int]:
        """How many tasks have ended, and how many of them failed."""
        states = [each.state for each in self.executions]
        return sum(each.terminal for each in states), states.count(TaskState.FAILED)

    def of(self, task_id: str) -> list[TaskExecution]:
        """A task's executions: one, or one per item."""
        return self.by_task.get(task_id, [])

    def newest(self, name: str, most: int = 8) -> list[Attempt]:
        """Of a task or an item the newest attempt that writes a log; of a mapped task those of as many items."""
        task_id, index = split(name)
        found: dict[int | None, Attempt] = {}
        for each in self.attempts:
            if each.task_id == task_id and each.log and index in (None, each.map_index):
                known = found.get(each.map_index)
                if known is None or known.submitted_at <= each.submitted_at:
                    found[each.map_index] = each
        return sorted(found.values(), key=lambda each: each.submitted_at)[-most:]

    def task(self, task_id: str) -> Task | None:
        """Its definition, as the run pinned it."""
        return self.shape.tasks.get(task_id) if self.shape is not None else None

    @cached_property
    def critical(self) -> list[str]:
        """The longest way through the run by what each task took, or takes by the median."""
        shape = self.shape
        if shape is None:
            return []
        cost = dict(self.medians)
        for each in self.executions:
            if each.started_at is not None:
                end = each.completed_at or each.created_at
                cost[each.task_id] = max(0.0, (end - each.started_at).total_seconds())
        best: dict[str, tuple[float, str | None]] = {}
        for layer in shape.layers:
            for task_id in layer:
                ups = [up for up in shape.tasks[task_id].dependencies if up in best]
                above = max(ups, key=lambda up: best[up][0], default=None)
                best[task_id] = (cost.get(task_id, 0.0) + (best[above][0] if above is not None else 0.0), above)
        path: list[str] = []
        at: str | None = max(best, key=lambda each: best[each][0], default=None)
        while at is not None:
            path.append(at)
            at = best[at][1]
        return path[::-1]

    def ready(self, before: RunDetail | None = None) -> RunDetail:
        """Itself, with what is costly made now: called in the thread that read it. `before` is the same run."""
        if before is not None and before.pipeline is self.pipeline and self.pipeline is not None:
            self.__dict__.update(shape=before.shape, graph=before.graph)
        _ = self.graph, self.by_task, self.places, self.critical, self.tried, self.ended
        return self

    @cached_property
    def retrying(self) -> list[str]:
        """Tasks whose next try is awaited: what they show moves with the time."""
        waiting = (each.task_id for each in self.executions if each.state is TaskState.RETRYING)
        return list(dict.fromkeys(waiting))

    def moved(
        self,
        run: PipelineRun,
        executions: Sequence[TaskExecution],
        verdicts: Mapping[str, Verdict],
        attempts: Sequence[Attempt],
    ) -> RunDetail | None:
        """With some tasks as they are now; None when they are not the ones that were known."""
        places, by_task = self.places, dict(self.by_task)
        whole = list(self.executions)
        for each in executions:
            place = places.get((each.task_id, each.map_index))
            if place is None:
                return None
            whole[place] = each
        for task_id in {each.task_id for each in executions}:
            if len(by_task[task_id]) == 1:
                by_task[task_id] = [whole[places[task_id, by_task[task_id][0].map_index]]]
            else:
                by_task[task_id] = [whole[places[task_id, each.map_index]] for each in by_task[task_id]]
        named = {each.task_id for each in executions}
        ours = {each.execution_id for task_id in named for each in (*self.by_task[task_id], *by_task[task_id])}
        newer = replace(
            self,
            run=run,
            executions=whole,
            verdicts={**{key: each for key, each in self.verdicts.items() if key not in ours}, **verdicts},
            attempts=[*(each for each in self.attempts if each.task_id not in named), *attempts],
        )
        shared = {"shape": self.shape, "graph": self.graph, "places": places, "critical": self.critical}
        newer.__dict__.update(shared, by_task=by_task)  # what a cached property would have kept
        return newer.ready()
