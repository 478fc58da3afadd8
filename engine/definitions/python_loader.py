"""The process in which one Python definition is loaded: `python -m engine.definitions.python_loader`.

Law: user code runs here and never in the engine: bare environment, memory and CPU limits, answers as JSON.
Whatever it raises becomes a problem with the line of the user's file.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.definitions.child import Parent
from engine.sdk.definition import MARK, PipelineDefinition, TaskDefinition

MEMORY_MB = 2048
CPU_SECONDS = 10
_MOST_VALUES = 2_000_000


class _NotJSON(Exception):
    """A value that no definition can hold."""


def main() -> None:
    """Answer one request: {"root", "file"}."""
    parent = Parent()
    parent.limit(memory_mb=MEMORY_MB, cpu_seconds=CPU_SECONDS)
    os.environ.pop("PYTHONPATH", None)
    parent.ready()
    message = parent.receive()
    if message is None:
        return
    answer = _answer(message["root"], message["file"])
    try:
        parent.answer(answer)
    except ValueError as error:
        parent.answer({"error": {"message": str(error), "line": None}})
    os._exit(0)  # threads and exit hooks of user code have nothing more to say


def _answer(root: str, file: str) -> dict[str, Any]:
    sys.path.insert(0, root)
    os.chdir(root)
    before = set(sys.modules)
    try:
        module = _imported(file)
        pipelines = [_document(function, file) for function in _functions(module)]
    except BaseException as error:  # noqa: BLE001 - sys.exit() and friends of user code are its mistakes too
        return {"error": _told(error, file)}
    return {"pipelines": pipelines, "imports": _imports(root, before, file)}


def _imported(file: str) -> ModuleType:
    name = "penstock_definition"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _functions(module: ModuleType) -> list[Any]:
    """The decorated functions of this file itself, in its order."""
    return [
        value
        for value in vars(module).values()
        if isinstance(getattr(value, MARK, None), PipelineDefinition) and value.__module__ == module.__name__
    ]


def _document(function: Any, file: str) -> dict[str, Any]:
    mark: PipelineDefinition = getattr(function, MARK)
    try:
        given = function()
        shape = dict(given) if isinstance(given, Mapping) else {"tasks": _tasks(given, mark.id)}
        raw = {"id": mark.id, **mark.keys, **shape}
        tasks = list(raw["tasks"]) if isinstance(raw.get("tasks"), (list, tuple)) else []
        lines = [one.line if isinstance(one, TaskDefinition) and one.file == file else None for one in tasks]
        return {"document": _Plainer().plain(raw, ""), "line": mark.line, "task_lines": lines}
    except _NotJSON as error:
        return {"error": {"message": f"pipeline '{mark.id}': {error}", "line": mark.line}}
    except BaseException as error:  # noqa: BLE001 - one broken function leaves the file's others usable
        return {"error": _told(error, file), "id": mark.id}


def _tasks(given: Any, name: str) -> list[Any]:
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return list(given)
    raise _NotJSON(f"its function returns {type(given).__name__}; it has to return (or yield) tasks, or a mapping")


class _Plainer:
    """Python values into JSON, counted."""

    def __init__(self) -> None:
        self.left = _MOST_VALUES

    def plain(self, value: Any, where: str) -> Any:
        self.left -= 1
        if self.left < 0:
            raise _NotJSON(f"it has more than {_MOST_VALUES:,} values")
        if isinstance(value, TaskDefinition):
            return self.plain(value.keys, where)
        if isinstance(value, Enum):
            return self.plain(value.value, where)
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return self._finite(value, where)
        if isinstance(value, Mapping):
            return {str(key): self.plain(one, f"{where}.{key}") for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(one, f"{where}[{at}]") for at, one in enumerate(value)]
        if isinstance(value, (set, frozenset)):
            return [self.plain(one, where) for one in sorted(value, key=str)]
        if isinstance(value, (datetime, date)):
            return value.isoformat()
        if isinstance(value, Path):
            return str(value)
        raise _NotJSON(f"{where.lstrip('.')[:80]} is a {type(value).__name__}; definitions hold JSON values only")

    def _finite(self, value: float, where: str) -> float:
        if value != value or value in (float("inf"), float("-inf")):
            raise _NotJSON(f"{where.lstrip('.')[:80]} is {value}; definitions hold JSON values only")
        return value


def _told(error: BaseException, file: str) -> dict[str, Any]:
    """The last line of the user's file that had to do with it."""
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = frames[-1] if frames else None
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    where = _elsewhere(error, file)
    return {"message": f"{type(error).__name__}: {text}"[:400] + where, "line": line}


def _elsewhere(error: BaseException, file: str) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename in (file, __file__) or isinstance(error, SyntaxError):
        return ""
    return f" (raised in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})"


def _imports(root: str, before: set[str], file: str) -> list[str]:
    """Files of the workspace that this definition imported: when one changes, it has to be loaded again."""
    base = os.path.realpath(root) + os.sep
    found = []
    for name in set(sys.modules) - before:
        try:
            source = inspect.getsourcefile(sys.modules[name])
        except (TypeError, OSError):
            continue
        if source and source != file and os.path.realpath(source).startswith(base):
            found.append(os.path.realpath(source))
    return sorted(found)


if __name__ == "__main__":
    main()
