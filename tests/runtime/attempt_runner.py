"""What the tests' zygotes run: the shell and python types with Jinja rendering of bare strings, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.bootstrap.datasets import StagedDatasets
from engine.model.run import Outcome
from engine.ports.executor import AttemptSpec
from engine.sdk.attempt import run_attempt
from engine.sdk.channel import Channel, Workplace
from engine.tasks.python import PythonTask
from engine.tasks.shell import ShellTask

TYPES = {"python": PythonTask(), "shell": ShellTask()}


def render(template: Any, variables: Mapping[str, Any]) -> Any:
    """`{{ name }}` in whole strings only."""
    if isinstance(template, str) and template.startswith("{{"):
        name = template.strip("{} ")
        if name not in variables:
            from engine.model.errors import ConfigurationError

            raise ConfigurationError(f"'{name}' is undefined")
        return variables[name]
    if isinstance(template, Mapping):
        return {key: render(value, variables) for key, value in template.items()}
    return template


def run(spec: AttemptSpec, channel: Channel, place: Workplace) -> Outcome:
    """Runner."""
    kind = TYPES[spec.type]
    return run_attempt(spec, channel, place, task_type=kind, render=render, datasets=StagedDatasets())  # type: ignore[arg-type]
