"""The inside of an attempt process: what a zygote is handed by name (`engine.bootstrap.attempt:run`).

Law: imported once in the zygote, so that a fork finds everything loaded; holds no handle on the state store.
"""

from __future__ import annotations

from engine.bootstrap.datasets import StagedDatasets
from engine.bootstrap.tasktypes import task_types
from engine.definitions.environment import render
from engine.model.errors import ErrorKind, TaskError
from engine.model.run import Outcome
from engine.ports.executor import AttemptSpec
from engine.sdk.attempt import run_attempt
from engine.sdk.channel import Channel, Workplace

# At import, which happens in the zygote: looking for plugins reads every installed package's metadata, and a
# first template compiles; neither must be paid for by each attempt.
_TYPES = task_types().types
render("{{ 1 }}", {})


def run(spec: AttemptSpec, channel: Channel, place: Workplace) -> Outcome:
    """One attempt."""
    found = _TYPES.get(spec.type)
    if found is None:
        message = f"This installation has no task type '{spec.type}'"
        return Outcome(
            result="failed",
            error=TaskError(type="ConfigurationError", kind=ErrorKind.CONFIGURATION, message=message),
        )
    return run_attempt(spec, channel, place, task_type=found, render=render, datasets=StagedDatasets())
