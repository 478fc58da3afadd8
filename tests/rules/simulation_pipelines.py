"""Random pipelines for the simulation: small, and crowded with everything the run rules know."""

from __future__ import annotations

from random import Random
from typing import Any

from engine.model.pipeline import (
    Execution,
    FailurePolicy,
    Jitter,
    Pipeline,
    RetryPolicy,
    Task,
    TriggerRule,
)
from engine.rules.graph import Graph
from engine.rules.graph_plan import select_tasks

_RULES = [*TriggerRule, *[TriggerRule.ALL_SUCCESS] * 12, *[TriggerRule.ALL_DONE] * 2]
_TYPES = ("shell", "shell", "shell", "shell", "branch", "sensor", "pipeline")
_WHEN = (None, None, None, None, None, True, False, "{{ a }}", "{{ b }}")
_FOREACH: tuple[Any, ...] = (None, None, None, None, None, "{{ items }}", ["x", "y"], [], ["{{ x }}", "z"])
_CHOOSE: tuple[Any, ...] = ("{{ choice }}", "{{ choice }}", None, [], "t1", "t3", ["t2", "t4"])


def random_pipeline(dice: Random) -> Pipeline:
    """One to ten tasks; its definition order is not always that of its graph."""
    count = dice.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    names = [f"t{number}" for number in range(count)]
    tasks = [_task(dice, name, names[:place]) for place, name in enumerate(names)]
    if dice.random() < 0.3:
        dice.shuffle(tasks)
    execution = Execution(
        failure_policy=dice.choice((FailurePolicy.CONTINUE, FailurePolicy.CONTINUE, FailurePolicy.FAIL_FAST)),
        timeout_seconds=dice.choice((None, None, None, None, 60.0, 200.0)),
    )
    return Pipeline(id="p", name="p", tasks=tuple(tasks), execution=execution)


def _task(dice: Random, name: str, before: list[str]) -> Task:
    after = dice.sample(before, min(len(before), dice.choice((0, 1, 1, 1, 2, 2, 3))))
    kind = dice.choice(_TYPES)
    return Task(
        id=name,
        name=name,
        type=kind,
        config={"choose": dice.choice(_CHOOSE)} if kind == "branch" else {},
        dependencies=tuple(after),
        trigger_rule=dice.choice(_RULES),
        when=dice.choice(_WHEN),
        foreach=dice.choice(_FOREACH) if kind != "sensor" else None,
        retry_policy=_policy(dice),
    )


def _policy(dice: Random) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=dice.choice((1, 2, 3)),
        backoff_seconds=dice.choice((0.0, 1.0, 30.0)),
        exponential_backoff=dice.random() < 0.7,
        max_total_seconds=dice.choice((None, None, 40.0)),
        jitter_type=dice.choice(list(Jitter)),
        retry_on_error_types=dice.choice((("*",), ("NetworkError", "TimeoutError"), ())),
    )


def random_selection(dice: Random, graph: Graph) -> tuple[str, ...]:
    """Mostly all tasks; now and then a subset run."""
    if dice.random() < 0.8:
        return graph.ids
    how = dice.choice(("only", "from_", "until"))
    return select_tasks(graph, **{how: dice.sample(graph.ids, 1)})
