"""What became of a task, in order: its state changes, its attempts, what it waited for; and what it depends on.

Law: looks only. Entries that happened at one instant stay in the order of cause: a state, then the attempt it
began, then the wait it began. At most `limit` of each sort are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.client import views
from engine.client.names import executions_named
from engine.client.views import Json, iso
from engine.model.run import Attempt, PipelineRun, TaskExecution, Transition
from engine.ports.failures import Wait

if TYPE_CHECKING:
    from engine.client.client import Client

LIMIT = 1_000
_Entry = tuple[datetime, int, Json]


def timeline(client: Client, run: PipelineRun, task: str, *, limit: int = LIMIT) -> Json:
    """`show RUN TASK --timeline`: of `load` or `load[3]`, with executions that a retry has replaced."""
    made = client.queries.executions(run.run_id, history=True)
    mine = {each.execution_id: each for each in executions_named(task, run.run_id, made)}
    task_id = next(iter(mine.values())).task_id
    transitions = client.queries.transitions(run.run_id, task_id, limit)
    attempts = client.queries.attempts(run.run_id, task_id)
    waits = client.queries.waits(list(mine), limit)
    entries = [
        *(_state(each) for each in transitions if each.execution_id in mine),
        *(_attempt(each, mine[each.execution_id]) for each in attempts if each.execution_id in mine),
        *(_wait(each, mine[each.verdict.execution_id]) for each in waits),
    ]
    entries.sort(key=lambda entry: entry[:2])
    return {
        "run_id": run.run_id,
        "task": task,
        "timeline": [entry for _, _, entry in entries[:limit]],
        "cut": len(entries) > limit or len(transitions) >= limit or len(waits) >= limit,
    }


def dependencies(client: Client, run: PipelineRun, task: str | None = None) -> Json:
    """`show RUN [TASK] --dependencies`: as the run pinned them, with the states of what is above and below."""
    pipeline = client.pinned(run)
    executions = client.queries.executions(run.run_id)
    if task is not None:
        task = executions_named(task, run.run_id, executions)[0].task_id
    states: dict[str, dict[str, int]] = {}
    for each in executions:
        of_task = states.setdefault(each.task_id, {})
        of_task[each.state.value] = of_task.get(each.state.value, 0) + 1
    tasks = pipeline.tasks if pipeline is not None else ()
    rows = [
        {
            "id": one.id,
            "states": states.get(one.id, {}),
            "trigger_rule": one.trigger_rule.value,
            "upstream": [{"id": name, "states": states.get(name, {})} for name in one.dependencies],
            "downstream": [other.id for other in tasks if one.id in other.dependencies],
        }
        for one in tasks
        if task in (None, one.id)
    ]
    return {"run_id": run.run_id, "pipeline_id": run.pipeline_id, "version": run.version, "tasks": rows}


def _state(move: Transition) -> _Entry:
    entry = {
        "at": iso(move.at),
        "what": "state",
        "map_index": move.map_index,
        "from": move.from_state.value,
        "to": move.to_state.value,
        "event": move.event.value,
        "attempt": move.attempt,
        "message": move.message,
    }
    return move.at, 0, entry


def _attempt(attempt: Attempt, execution: TaskExecution) -> _Entry:
    at = attempt.started_at or attempt.submitted_at
    entry = {
        "at": iso(at),
        "what": "poke" if attempt.poke else "attempt",
        "map_index": attempt.map_index,
        "execution": execution.sequence,
        "attempt": attempt.number,
        "state": attempt.state.value,
        "until": iso(attempt.completed_at),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "error": views.error(attempt.error),
    }
    return at, 1, entry


def _wait(wait: Wait, execution: TaskExecution) -> _Entry:
    verdict = wait.verdict
    entry = {
        "at": iso(verdict.since),
        "what": "wait",
        "map_index": execution.map_index,
        "execution": execution.sequence,
        "code": verdict.code,
        "sentence": verdict.sentence,
        "about": verdict.about,
        "holders": list(verdict.holders),
        "until": iso(wait.until),
        "expected": iso(verdict.expected),
    }
    return verdict.since, 2, entry


def states_of(counts: dict[str, int]) -> str:
    """`SUCCESS`, or `3 SUCCESS, 1 FAILED` of a mapped task."""
    if not counts:
        return "not in this run"
    if sum(counts.values()) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def named(entries: Sequence[Json]) -> bool:
    """Whether entries are of several items, so that each is told with its own."""
    return len({entry["map_index"] for entry in entries}) > 1
