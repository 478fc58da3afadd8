"""One task by itself: its type, its config by the type's schema, its pool, resources, connections and policy.

Law: the type is found first and only its own schema is applied, so that messages speak of what was meant. A
type's `check` is asked only about a config that its schema accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.definitions.check_references import check_texts
from engine.definitions.problems import Findings, Path, quote
from engine.definitions.refusals import other_type, type_refusal
from engine.definitions.retries import SHORT_KEYS, check_policy
from engine.definitions.schema import has_markup
from engine.definitions.surroundings import Surroundings
from engine.ports.tasktype import TaskType

_STEPS = re.compile(r"[^.\[\]]+")


def check_task(at: int, task: Mapping[str, Any], findings: Findings, around: Surroundings) -> None:
    """Everything about one task that needs no other task."""
    path: Path = ("tasks", at)
    task_type = _known_type(task.get("type"), path, findings, around)
    if task_type is not None:
        _check_config(task.get("config", {}), task_type, path, findings, around)
    if "retry_policy" in task or not task.keys().isdisjoint(SHORT_KEYS):
        check_policy(task, path, findings)
    if task.get("pool") is not None:
        _check_pool(task["pool"], (*path, "pool"), findings, around)
    if "resources" in task:
        _check_capacity(task["resources"], (*path, "resources"), findings, around)
    if "on" in task:
        check_texts(task["on"], (*path, "on"), findings)
        check_hook_connections(task["on"], (*path, "on"), findings, around)


def _known_type(name: Any, path: Path, findings: Findings, around: Surroundings) -> TaskType | None:
    if not isinstance(name, str):
        return None
    known = around.task_types.get(name)
    if known is None:
        refused = type_refusal(name)
        meant = other_type(name, around.task_types)
        if refused:
            findings.error((*path, "type"), f"task type {quote(name)} is not in this version: {refused}", refused)
        elif meant:
            findings.error(
                (*path, "type"), f"task type {quote(name)} is not known; it is called '{meant}' here", meant
            )
        else:
            findings.unknown((*path, "type"), "task type", name, around.task_types)
    return known


def _check_config(config: Any, task_type: TaskType, path: Path, findings: Findings, around: Surroundings) -> None:
    here = (*path, "config")
    if not isinstance(config, Mapping) or not around.schema_of(task_type).check(config, here, findings):
        return
    for problem in task_type.check(config, around.root):
        steps = tuple(int(step) if step.isdigit() else step for step in _STEPS.findall(problem.path))
        findings.add(replace(problem, path=""), (*here, *steps))
    for name in task_type.connections(config):
        if not has_markup(name) and name not in around.connections:
            findings.unknown(_place_of(name, config, here), "connection", name, around.connections)


def _place_of(name: str, config: Mapping[str, Any], path: Path) -> Path:
    """The key of the config that names a connection, in whatever depth."""
    waiting: list[tuple[Path, Any]] = [(path, config)]
    while waiting:
        here, one = waiting.pop(0)
        inner = one.items() if isinstance(one, Mapping) else enumerate(one) if isinstance(one, list) else ()
        for key, value in inner:
            if value == name:
                return (*here, key)
            waiting.append(((*here, key), value))
    return path


def _check_pool(name: Any, path: Path, findings: Findings, around: Surroundings) -> None:
    if isinstance(name, str) and name not in around.settings.pools:
        findings.unknown(path, "pool", name, around.settings.pools)


def _check_capacity(wanted: Any, path: Path, findings: Findings, around: Surroundings) -> None:
    """VAL-09: it would wait for ever, so it fails when it runs; said here as a warning."""
    if not isinstance(wanted, Mapping):
        return
    there = {"cpu": around.capacity.cpu, "memory_mb": around.capacity.memory_mb}
    for key, most in there.items():
        asked = wanted.get(key)
        if most and isinstance(asked, (int, float)) and asked > most:
            message = (
                f"asks for {asked:g} {key}, this engine has {most:g}; here the task would fail instead of starting"
            )
            findings.warning((*path, key), message, f"ask for at most {most:g}")


def check_hook_connections(hooks: Any, path: Path, findings: Findings, around: Surroundings) -> None:
    """Connections that the notifications under `on:` name; and that each has exactly one address."""
    if not isinstance(hooks, Mapping):
        return
    for event, entries in hooks.items():
        for at, entry in enumerate(entries if isinstance(entries, list) else ()):
            notify = entry.get("notify") if isinstance(entry, Mapping) else None
            if isinstance(notify, Mapping):
                _check_notify(notify, (*path, event, at, "notify"), findings, around)


def _check_notify(notify: Mapping[str, Any], path: Path, findings: Findings, around: Surroundings) -> None:
    if ("connection" in notify) == ("url" in notify):
        findings.error(path, "a notification goes to one address: give either 'connection' or 'url'")
    name = notify.get("connection")
    if isinstance(name, str) and not has_markup(name) and name not in around.connections:
        findings.unknown((*path, "connection"), "connection", name, around.connections)
