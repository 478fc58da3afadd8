"""Documents into values: a checked file becomes its canonical document, and that becomes a Pipeline.

Law: the canonical document holds everything a run needs, with the workspace's and the pipeline's defaults
filled in, so that it means the same for ever; what is at its contract default is left out. Its hash is the
version's identity: comments, key order, spelling variants and the file's name do not change it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.definitions.parameters import declared, written_form
from engine.definitions.retries import merged, policy_keys, policy_value, tidy, written_policy
from engine.definitions.schedules import schedule_keys, schedule_value, written_schedule
from engine.model.pipeline import (
    Execution,
    FailurePolicy,
    Hook,
    Hooks,
    Parameter,
    Pipeline,
    Resources,
    RetryPolicy,
    Task,
    TriggerRule,
)
from engine.model.workspace import Defaults

_TIMEOUT = 3600
_EVENTS = ("failure", "success", "retry")
_PLAIN_NAME = re.compile(r"\{\{\s*(?:params\.)?([A-Za-z_]\w*)\s*(?:\|\s*['\"]?([\w.-]+)['\"]?\s*)?\}\}")


def canonical(written: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """A checked document in its canonical form."""
    execution = dict(written.get("execution") or {})
    policy = merged(
        policy_keys(defaults.retry_policy),
        written_policy({}, execution.pop("retry_policy", None)),
        written_policy(written),
    )
    parameters = [declared(name, one) for name, one in (written.get("parameters") or {}).items()]
    document: dict[str, Any] = {"id": written["id"], "name": written.get("name", written["id"])}
    for key in ("description", "tags", "owner", "source_id"):
        if written.get(key):
            document[key] = written[key]
    if parameters:
        document["parameters"] = {parameter.name: written_form(parameter) for parameter in parameters}
    said = written_schedule(written.get("schedule"))
    if said is not None:
        document["schedule"] = schedule_keys(schedule_value(said), said.get("parameters") or {})
    if execution_value(execution) != Execution():
        document["execution"] = execution_keys(execution_value(execution))
    document["retry_policy"] = policy_keys(policy_value(policy))
    if hooks := _hook_keys(written.get("on")):
        document["on"] = hooks
    document["tasks"] = _canonical_tasks(written["tasks"], policy, defaults, parameters)
    return document


def _canonical_tasks(
    written: Sequence[Mapping[str, Any]],
    policy: Mapping[str, Any],
    defaults: Defaults,
    parameters: Sequence[Parameter],
) -> list[dict[str, Any]]:
    values = {parameter.name: parameter.default for parameter in parameters}
    whole = policy_keys(policy_value(policy))
    return [_canonical_task(task, whole, defaults, values) for task in written]


def _canonical_task(
    task: Mapping[str, Any], policy: Mapping[str, Any], defaults: Defaults, values: Mapping[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {"id": task["id"], "type": task["type"], "config": task.get("config") or {}}
    if task.get("name", task["id"]) != task["id"]:
        made["name"] = task["name"]
    if task.get("dependencies"):
        made["dependencies"] = list(dict.fromkeys(filled_in(one, values) for one in task["dependencies"]))
    made.update({key: task[key] for key in ("when", "foreach") if key in task})
    if task.get("trigger_rule", "all_success") != "all_success":
        made["trigger_rule"] = task["trigger_rule"]
    made.update({key: task[key] for key in ("pool", "inputs", "outputs") if task.get(key)})
    resources = {key: tidy(value) for key, value in (task.get("resources") or {}).items() if value}
    if resources:
        made["resources"] = resources
    if hooks := _hook_keys(task.get("on")):
        made["on"] = hooks
    timeout = tidy(task.get("timeout_seconds", defaults.timeout_seconds))
    if timeout != _TIMEOUT:
        made["timeout_seconds"] = timeout
    own = written_policy(task)
    whole = policy_keys(policy_value(merged(policy, own))) if own else policy
    return made if whole == policy else {**made, "retry_policy": whole}


def _hook_keys(written: Mapping[str, Any] | None) -> dict[str, Any]:
    """An `on:` block without what is empty or at its default."""
    kept: dict[str, Any] = {}
    for event, entries in (written or {}).items():
        if entries:
            kept[event] = [{"notify": _said(entry["notify"])} for entry in entries]
    return kept


def _said(notify: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in notify.items() if value and (key, value) != ("severity", "info")}


def filled_in(text: str, values: Mapping[str, Any]) -> str:
    """A dependency with parameters in its name, filled with their defaults (DEF-15); others stay as they are."""
    if "{{" not in text:
        return text

    def value_of(match: re.Match[str]) -> str:
        value = values.get(match[1])
        value = match[2] if value is None else value
        return match[0] if value is None else str(value)

    return _PLAIN_NAME.sub(value_of, text)


def digest(document: Mapping[str, Any]) -> str:
    """The hash of a canonical document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def build(document: Mapping[str, Any], file: str | None = None) -> Pipeline:
    """A canonical document as a value. Equal documents make equal values."""
    policy = policy_value(document["retry_policy"])
    said = document.get("schedule")
    return Pipeline(
        id=document["id"],
        name=document["name"],
        description=document.get("description", ""),
        tags=tuple(document.get("tags", ())),
        owner=document.get("owner", ""),
        parameters=tuple(declared(name, form) for name, form in document.get("parameters", {}).items()),
        schedule=schedule_value(said) if said else None,
        schedule_parameters=dict(said.get("parameters", {})) if said else {},
        execution=execution_value(document.get("execution", {})),
        on=_hooks(document.get("on")),
        source_id=document.get("source_id"),
        tasks=tuple(_task(task, policy) for task in document["tasks"]),
        file=file,
        document=document,
        hash=digest(document),
    )


def _task(task: Mapping[str, Any], policy: RetryPolicy) -> Task:
    own = task.get("retry_policy")
    resources = task.get("resources")
    return Task(
        id=task["id"],
        name=task.get("name", task["id"]),
        type=task["type"],
        config=task["config"],
        dependencies=tuple(task.get("dependencies", ())),
        trigger_rule=_RULES[task.get("trigger_rule", "all_success")],
        when=task.get("when"),
        foreach=task.get("foreach"),
        retry_policy=policy_value(own) if own else policy,
        timeout_seconds=float(task.get("timeout_seconds", _TIMEOUT)),
        pool=task.get("pool"),
        resources=_resources(resources) if resources else _NO_RESOURCES,
        on=_hooks(task.get("on")),
        inputs=tuple(task.get("inputs", ())),
        outputs=tuple(task.get("outputs", ())),
    )


_RULES = {rule.value: rule for rule in TriggerRule}
_NO_RESOURCES = Resources()
_NO_HOOKS = Hooks()


def _resources(said: Mapping[str, Any]) -> Resources:
    return Resources(cpu=float(said.get("cpu", 0)), memory_mb=said.get("memory_mb", 0))


def _hooks(said: Mapping[str, Any] | None) -> Hooks:
    if not said:
        return _NO_HOOKS
    return Hooks(**{event: tuple(Hook(**one["notify"]) for one in said.get(event, ())) for event in _EVENTS})


def execution_value(said: Mapping[str, Any]) -> Execution:
    """An `execution:` block as a value."""
    timeout = said.get("timeout_seconds")
    return Execution(
        max_active_runs=said.get("max_active_runs", 1),
        depends_on_past=said.get("depends_on_past", False),
        timeout_seconds=float(timeout) if timeout is not None else None,
        failure_policy=FailurePolicy(said.get("failure_policy", FailurePolicy.CONTINUE)),
        priority=said.get("priority", 0),
    )


def execution_keys(execution: Execution) -> dict[str, Any]:
    """A value as its canonical block."""
    return {
        "max_active_runs": execution.max_active_runs,
        "depends_on_past": execution.depends_on_past,
        "timeout_seconds": tidy(execution.timeout_seconds),
        "failure_policy": execution.failure_policy.value,
        "priority": execution.priority,
    }
