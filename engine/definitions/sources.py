"""One definition file into the documents it holds, YAML or Python, each with the lines of its parts.

Law: reading decides nothing about meaning. What can't be read at all becomes problems, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.definitions.child import Child, ChildDied, ChildTimeout
from engine.definitions.problems import Path as Place
from engine.definitions.problems import printable
from engine.definitions.read import Source, Unreadable, read_yaml
from engine.model.errors import Problem

PYTHON_SECONDS = 10.0
_LOADER = "engine.definitions.python_loader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One pipeline as written."""

    value: Any
    lines: Mapping[Place, int] = field(default_factory=dict)

    def line(self, path: Place) -> int | None:
        """The line of a path, or of the nearest thing that contains it."""
        return Source(self.value, self.lines).line(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    imports: tuple[str, ...] = ()  # other files of the workspace that a Python definition is made of


def read_source(path: str, shown: str, data: bytes, root: Path, *, seconds: float = PYTHON_SECONDS) -> Contents:
    """The documents of one file. `shown` is its name in problems."""
    if path.endswith(".py"):
        # Modules that others import live here too; what never says `pipeline` decorates nothing.
        return _python(path, shown, root, seconds) if b"pipeline" in data else Contents()
    try:
        source = read_yaml(data)
    except Unreadable as error:
        return Contents(problems=tuple(_error(shown, line, message) for line, message in error.faults))
    return Contents(documents=(Document(value=source.value, lines=source.lines),))


def _error(shown: str, line: int | None, message: str, suggestion: str | None = None) -> Problem:
    return Problem(severity="error", message=printable(message), file=shown, line=line, suggestion=suggestion)


def _python(path: str, shown: str, root: Path, seconds: float) -> Contents:
    try:
        child = Child(_LOADER)
        try:
            answer = child.ask({"root": str(root), "file": path}, seconds=seconds)
        finally:
            child.close()
    except ChildTimeout:
        hint = "definitions only describe; move the work into a task"
        return Contents(
            problems=(_error(shown, None, f"loading took longer than {seconds:g} s and was stopped; {hint}"),)
        )
    except ChildDied as error:
        message = f"loading ended with {error}, likely past its limits of memory or time"
        return Contents(problems=(_error(shown, None, message),))
    return _understood(answer, shown)


def _understood(answer: Mapping[str, Any], shown: str) -> Contents:
    if "error" in answer:
        return Contents(problems=(_error(shown, answer["error"]["line"], answer["error"]["message"]),))
    documents: list[Document] = []
    problems: list[Problem] = []
    for one in answer["pipelines"]:
        if "error" in one:
            problems.append(_error(shown, one["error"]["line"], one["error"]["message"]))
        else:
            documents.append(Document(value=one["document"], lines=_lines(one["line"], one["task_lines"])))
    return Contents(documents=tuple(documents), problems=tuple(problems), imports=tuple(answer["imports"]))


def _lines(top: int | None, tasks: Sequence[int | None]) -> dict[Place, int]:
    lines: dict[Place, int] = {} if top is None else {(): top}
    lines.update({("tasks", at): line for at, line in enumerate(tasks) if line is not None})
    return lines
