"""One written pipeline against everything that can be known before it runs (VAL-01 to VAL-15).

Law: structural, then cross-field, then by the task types; every problem at once, and a mistake in one place
never hides those in another. Nothing is executed and no user code is imported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from engine.definitions.check_references import check_task_references, check_texts
from engine.definitions.check_rows import check_rows
from engine.definitions.check_shape import check_shape
from engine.definitions.check_tasks import check_hook_connections, check_task
from engine.definitions.parameters import check_parameters, check_value, declared
from engine.definitions.problems import Findings, kind
from engine.definitions.retries import check_policy
from engine.definitions.schedules import check_schedule
from engine.definitions.schema import Schema, has_markup, load_schema
from engine.definitions.surroundings import Surroundings
from engine.model.pipeline import Parameter

_PIPELINE = Schema(load_schema("pipeline"))


def check_pipeline(written: Any, findings: Findings, around: Surroundings) -> None:
    """Everything that is wrong, doubtful or better said otherwise, into the findings."""
    if not isinstance(written, Mapping):
        what = "the file is empty" if written is None else f"found {kind(written)}"
        findings.error((), f"{what}, expected a mapping with at least 'id' and 'tasks'")
        return
    _PIPELINE.check(_without_trigger_list(written, findings), (), findings)
    parameters = _check_pipeline_level(written, findings)
    check_hook_connections(written.get("on"), ("on",), findings, around)
    tasks = _usable_tasks(written)
    ids = _check_ids(tasks, findings)
    for at, task in tasks:
        check_task(at, task, findings, around)
    upstream = check_shape(tasks, ids, parameters, findings)
    for at, task in tasks:
        check_task_references(at, task, parameters, upstream, findings)
    check_rows(tasks, upstream, findings)


def _without_trigger_list(written: Mapping[str, Any], findings: Findings) -> Mapping[str, Any]:
    if not isinstance(written.get("schedule"), list):
        return written
    instead = "use a cron expression, or begin with a 'sensor' task that waits"
    findings.error(("schedule",), f"a list of triggers is not in this version: {instead}", instead)
    return {key: value for key, value in written.items() if key != "schedule"}


def _check_pipeline_level(written: Mapping[str, Any], findings: Findings) -> dict[str, Parameter]:
    for key in ("version", "created_at"):
        if key in written:
            message = f"'{key}' changes nothing: Penstock numbers and dates versions by itself"
            findings.warning((key,), message, f"remove '{key}'")
    check_policy(written, (), findings)
    execution = written.get("execution")
    if isinstance(execution, Mapping) and "retry_policy" in execution:
        check_policy({"retry_policy": execution["retry_policy"]}, ("execution",), findings)
        if "retry_policy" in written:
            findings.error(("execution", "retry_policy"), "'retry_policy' is given twice; keep the pipeline's own")
    check_schedule(written.get("schedule"), ("schedule",), findings)
    check_texts(written.get("on"), ("on",), findings)
    block = written.get("parameters")
    if not isinstance(block, Mapping):
        return {}
    check_parameters(block, ("parameters",), findings)
    parameters = {name: _declared(name, one) for name, one in block.items()}
    _check_scheduled_values(written, parameters, findings)
    return parameters


def _declared(name: str, one: Any) -> Parameter:
    try:
        return declared(name, one)
    except (TypeError, ValueError, KeyError):
        return Parameter(name=name)  # what is wrong with it has been said


def _check_scheduled_values(
    written: Mapping[str, Any], parameters: Mapping[str, Parameter], findings: Findings
) -> None:
    schedule = written.get("schedule")
    if not schedule:
        return
    given = schedule.get("parameters") if isinstance(schedule, Mapping) else None
    given = given if isinstance(given, Mapping) else {}
    for name, value in given.items():
        path = ("schedule", "parameters", name)
        if name not in parameters:
            findings.unknown(path, "parameter", name, parameters)
        elif not has_markup(value):
            check_value(parameters[name], value, path, findings)
    for name, parameter in parameters.items():
        if parameter.required and parameter.default is None and name not in given:
            hint = "give a default, or name it in schedule.parameters"
            findings.error(("parameters", name), f"scheduled runs have no value for parameter '{name}'; {hint}")


def _usable_tasks(written: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """Tasks that are at least mappings with an id; the rest has been told by the schema."""
    tasks = written.get("tasks")
    if not isinstance(tasks, list):
        return []
    return [
        (at, task) for at, task in enumerate(tasks) if isinstance(task, Mapping) and isinstance(task.get("id"), str)
    ]


def _check_ids(tasks: list[tuple[int, Mapping[str, Any]]], findings: Findings) -> dict[str, int]:
    """Where each id stands first; every duplicate is listed (VAL-02)."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, task in tasks:
        places[task["id"]].append(at)
    if len(places) < len(tasks):
        for name, spots in places.items():
            if len(spots) > 1:
                listed = ", ".join(f"tasks[{at}]" for at in spots[:10])
                message = f"task id '{name[:80]}' is used {len(spots)} times ({listed}); ids have to be unique"
                findings.error(("tasks", spots[1], "id"), message)
    return {name: spots[0] for name, spots in places.items()}
