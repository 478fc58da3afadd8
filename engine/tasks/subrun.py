"""`pipeline`: a run of another pipeline as one task of this one.

Law: it has no process. The dispatcher makes the child run with the profile of the parent, waits for its end (or
not), and takes its state for the task's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError, Problem
from engine.model.run import Outcome
from engine.ports.tasktype import Mode, TaskContext

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["pipeline"],
    "properties": {
        "pipeline": {"type": "string", "minLength": 1, "description": "the id of the pipeline to run"},
        "parameters": {"type": "object", "description": "parameters of its run, templated"},
        "wait": {
            "type": "boolean",
            "default": True,
            "description": "end when its run has ended, and as it ended; false: end when it has been made",
        },
    },
}


class SubrunTask:
    """See engine.ports.tasktype.TaskType."""

    name = "pipeline"
    category = "control"

    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "engine"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ()

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        given = config.get("pipeline")
        if not isinstance(given, str) or "{{" in given or _ID.fullmatch(given):
            return []
        return [
            Problem(
                severity="error",
                path="pipeline",
                message=f"'{given[:80]}' is no pipeline id: letters, digits, '-' and '_' only. "
                "Name the id, not the file.",
            )
        ]

    def run(self, ctx: TaskContext) -> Outcome:
        raise ConfigurationError(
            "A `pipeline` task is carried by the engine and has no process of its own. "
            "Run the whole pipeline: penstock run " + ctx.pipeline_id
        )
