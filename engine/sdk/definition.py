"""What authors of Python definitions write: the `pipeline` decorator and `task()` values.

    from engine.sdk.definition import pipeline, task

    @pipeline(id="tables_daily", schedule="@daily")
    def tables():
        for table in ("orders", "customers"):
            yield task(f"copy_{table}", "shell", command=f"copy {table}")

Law: values only. A decorated function is called when the workspace is read, in a process of its own, without
arguments; it returns or yields tasks, or a mapping in the shape of the YAML file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

MARK = "__penstock_pipeline__"

Function = TypeVar("Function", bound=Callable[[], Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """One task as its author wrote it; `keys` are those of a task in a YAML file."""

    id: str
    keys: Mapping[str, Any]
    file: str | None = None  # where task() was called
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDefinition:
    """What the decorator was given."""

    id: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None


def task(
    id: str,
    type: str,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    dependencies: Iterable[str | TaskDefinition] | str | TaskDefinition = (),
    trigger_rule: str | None = None,
    when: str | bool | None = None,
    foreach: str | list[Any] | None = None,
    retry_policy: Mapping[str, Any] | None = None,
    retries: int | None = None,
    delay_seconds: float | None = None,
    retry_delay_minutes: float | None = None,
    timeout_seconds: float | None = None,
    pool: str | None = None,
    resources: Mapping[str, Any] | None = None,
    on: Mapping[str, Any] | None = None,
    inputs: Iterable[str] | None = None,
    outputs: Iterable[str] | None = None,
    **more: Any,
) -> TaskDefinition:
    """One task. Keywords that are not keys of a task belong to its config: `task("a", "shell", command="true")`.

    `dependencies` are ids or other tasks. A config key that is called like a task's (a sensor's `timeout_seconds`)
    goes into `config`.
    """
    given = {
        "id": id,
        "name": name,
        "type": type,
        "dependencies": [one.id if isinstance(one, TaskDefinition) else one for one in _many(dependencies)] or None,
        "trigger_rule": trigger_rule,
        "when": when,
        "foreach": foreach,
        "retry_policy": retry_policy,
        "retries": retries,
        "delay_seconds": delay_seconds,
        "retry_delay_minutes": retry_delay_minutes,
        "timeout_seconds": timeout_seconds,
        "pool": pool,
        "resources": resources,
        "on": on,
        "inputs": None if inputs is None else list(inputs),
        "outputs": None if outputs is None else list(outputs),
        "config": {**(config or {}), **more},
    }
    caller = sys._getframe(1)
    keys = {key: value for key, value in given.items() if value is not None}
    return TaskDefinition(id=id, keys=keys, file=caller.f_code.co_filename, line=caller.f_lineno)


def _many(one: Any) -> Iterable[Any]:
    return (one,) if isinstance(one, (str, TaskDefinition)) else one


@overload
def pipeline(id: Function) -> Function: ...


@overload
def pipeline(id: str | None = None, **keys: Any) -> Callable[[Function], Function]: ...


def pipeline(id: Any = None, **keys: Any) -> Any:
    """Mark a function as a pipeline. Without an id it is called like the function; `keys` are those of the file."""
    if callable(id):
        return _marked(id, None, {})
    return lambda function: _marked(function, id, keys)


def _marked(function: Function, given: str | None, keys: Mapping[str, Any]) -> Function:
    name = given if given is not None else function.__name__
    line = function.__code__.co_firstlineno if hasattr(function, "__code__") else None
    setattr(function, MARK, PipelineDefinition(id=name, keys=dict(keys), line=line))
    return function
