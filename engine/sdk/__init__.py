"""What pipeline authors import.

Law: names only, loaded when first used, so that importing this package costs nothing and no name pays for
another.

    from engine.sdk import pipeline, task                       # definitions in Python
    from engine.sdk import Context, SkipTask, NetworkError      # inside a task
    from engine.sdk import run_task                             # in a unit test of a task
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.model.errors import (
        ConfigurationError,
        DataQualityError,
        LogicError,
        NetworkError,
        PermissionFailure,
        RateLimited,
        ResourceExhaustion,
        SkipTask,
        TaskFailure,
        TimeoutFailure,
    )
    from engine.model.workspace import Connection
    from engine.ports.tasktype import TaskContext as Context
    from engine.sdk.attempt import Cancelled
    from engine.sdk.definition import pipeline, task
    from engine.sdk.testing import TaskResult, run_task

_ERRORS = (
    "ConfigurationError",
    "DataQualityError",
    "LogicError",
    "NetworkError",
    "PermissionFailure",
    "RateLimited",
    "ResourceExhaustion",
    "SkipTask",
    "TaskFailure",
    "TimeoutFailure",
)
_HOMES = {
    **dict.fromkeys(_ERRORS, "engine.model.errors"),
    "Connection": "engine.model.workspace",
    "Context": "engine.ports.tasktype",
    "Cancelled": "engine.sdk.attempt",
    "TaskResult": "engine.sdk.testing",
    "pipeline": "engine.sdk.definition",
    "run_task": "engine.sdk.testing",
    "task": "engine.sdk.definition",
}
_NAMES_THERE = {"Context": "TaskContext"}

__all__ = [
    "Cancelled",
    "ConfigurationError",
    "Connection",
    "Context",
    "DataQualityError",
    "LogicError",
    "NetworkError",
    "PermissionFailure",
    "RateLimited",
    "ResourceExhaustion",
    "SkipTask",
    "TaskFailure",
    "TaskResult",
    "TimeoutFailure",
    "pipeline",
    "run_task",
    "task",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine.sdk' has no attribute '{name}'")
    found = getattr(importlib.import_module(home), _NAMES_THERE.get(name, name))
    globals()[name] = found
    return found
