"""`python`: a function of the workspace, called with `ctx` and its arguments.

Law: user code is imported in the attempt process only, never while checking. What cannot be imported or called
is a ConfigurationError with a sentence; what the function raises is the function's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError, Problem
from engine.model.run import Outcome
from engine.ports.tasktype import USES, Mode, TaskContext, used_connections
from engine.tasks.importing import import_module

CALLABLE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
_CALLABLE = re.compile(CALLABLE)


class PythonTask:
    """See engine.ports.tasktype.TaskType."""

    name = "python"
    category = "transform"

    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["callable"],
            "properties": {
                "callable": {
                    "type": "string",
                    "minLength": 3,
                    "description": "module:function, imported from the workspace root or udfs/",
                },
                "args": {
                    "type": "object",
                    "description": "keyword arguments, templated; the function is called as function(ctx, **args)",
                },
                "connections": USES,
            },
        }

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        return used_connections(config)

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        return check_callable(config.get("callable"), root)

    def run(self, ctx: TaskContext) -> Outcome:
        function = load_callable(str(ctx.config["callable"]))
        returned = call(function, ctx, ctx.config.get("args") or {})
        if returned is None:
            return Outcome(result="success")
        outputs = returned if isinstance(returned, Mapping) else {"result": returned}
        return Outcome(result="success", outputs=outputs)


def check_callable(given: Any, root: Path, path: str = "callable") -> list[Problem]:
    """Spelling and, where the module is the workspace's own, its file; nothing is imported."""
    if not isinstance(given, str) or "{{" in given:
        return []
    if not _CALLABLE.match(given):
        return [
            Problem(
                severity="error",
                path=path,
                message=f"'{given[:80]}' is not of the form module:function.",
                suggestion=given.replace(".", ":", 1) if given.count(".") == 1 and ":" not in given else None,
            )
        ]
    module = given.partition(":")[0]
    if _has_module(module, root):
        return []
    where = module.replace(".", "/") + ".py"
    return [
        Problem(
            severity="warning",
            path=path,
            message=f"Module '{module}' is neither {where} nor udfs/{where} in the workspace; "
            "unless it is an installed package the task will fail.",
        )
    ]


def _has_module(module: str, root: Path) -> bool:
    parts = module.split(".")
    for folder in (root, root / "udfs"):
        place = folder.joinpath(*parts)
        if place.with_name(f"{place.name}.py").is_file() or place.is_dir():
            return True
    return False


def load_callable(spelling: str) -> Callable[..., Any]:
    """Import `module:function`. ConfigurationError says what is missing."""
    if not _CALLABLE.match(spelling):
        raise ConfigurationError(f"'{spelling[:80]}' is not of the form module:function.")
    module_name, _, attribute = spelling.partition(":")
    try:
        found: Any = import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(_import_sentence(module_name, error)) from error
    except SyntaxError as error:
        raise ConfigurationError(
            f"Module '{module_name}' does not parse: {error.msg} (line {error.lineno} of {error.filename})."
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"Module '{module_name}' has no '{attribute}'; check the spelling.")
        found = getattr(found, name)
    if not callable(found):
        raise ConfigurationError(f"'{spelling}' is a {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]  # callable() narrows Any to nothing more exact


def _import_sentence(module: str, error: ImportError) -> str:
    missing = error.name
    if (
        isinstance(error, ModuleNotFoundError)
        and missing
        and (module == missing or module.startswith(f"{missing}."))
    ):
        return f"There is no module '{missing}' in the workspace, in udfs/ or among the installed packages."
    if isinstance(error, ModuleNotFoundError) and missing:
        return f"Module '{module}' needs '{missing}', which is not installed beside Penstock."
    return f"Module '{module}' cannot be imported: {error}."


def call(function: Callable[..., Any], ctx: TaskContext, args: Mapping[str, Any]) -> Any:
    """function(ctx, **args), sync or async. Arguments that do not fit are a ConfigurationError."""
    try:
        returned = function(ctx, **args)
    except TypeError as error:
        # No frame below this one: the call itself failed, not something in the function.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise ConfigurationError(f"The function cannot be called with these args: {error}.") from error
        raise
    if not hasattr(type(returned), "__await__"):
        return returned
    import asyncio  # 3 MB and 40 ms that only async tasks should pay

    async def waited() -> Any:
        return await returned

    return asyncio.run(waited())
