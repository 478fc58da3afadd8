"""`branch`: chooses which of the tasks right below are followed; the others are SKIPPED.

Law: a `choose` template is rendered by the engine and needs no process; a `callable` runs in one and reports its
choice as the output `follow`. Whether the ids are dependants is judged by the engine (engine.rules.branching).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import Problem
from engine.model.run import Outcome
from engine.ports.tasktype import Mode, TaskContext
from engine.rules.branching import chosen
from engine.tasks.python import call, check_callable, load_callable

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "choose": {
            "type": ["string", "array", "null"],
            "items": {"type": "string"},
            "description": "a template that gives the id, or a list of ids, of direct dependants to follow",
        },
        "callable": {"type": "string", "minLength": 3, "description": "module:function that returns the id or ids"},
        "args": {"type": "object", "description": "arguments of the callable: function(ctx, **args)"},
    },
}


class BranchTask:
    """See engine.ports.tasktype.TaskType."""

    name = "branch"
    category = "control"

    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "process" if "callable" in config else "engine"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ()

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        given = [key for key in ("choose", "callable") if key in config]
        if len(given) != 1:
            found = "both" if given else "neither"
            return [
                Problem(severity="error", message=f"A branch has either `choose` or `callable`; found {found}.")
            ]
        if given == ["callable"]:
            return check_callable(config["callable"], root)
        if "args" in config:
            return [Problem(severity="error", path="args", message="`args` has no meaning beside `choose`.")]
        return []

    def run(self, ctx: TaskContext) -> Outcome:
        if "callable" in ctx.config:
            function = load_callable(str(ctx.config["callable"]))
            choice = call(function, ctx, ctx.config.get("args") or {})
        else:
            choice = ctx.config.get("choose")
        return Outcome(result="success", outputs={"follow": chosen(choice)})
