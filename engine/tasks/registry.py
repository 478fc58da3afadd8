"""Which task type a `type:` name means: the builtin ones and those of installed packages.

Law: a plugin that cannot be loaded is a reported problem, never a crash, and never takes the place of a builtin
type. Types get what they need from outside at construction; nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from engine.model.errors import Problem
from engine.model.workspace import Connection
from engine.ports.connector import Fetch, Scalar
from engine.ports.destination import Destination
from engine.ports.notifier import Message
from engine.ports.source import Source
from engine.ports.tasktype import TaskType
from engine.sdk.plugins import entry_points_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "penstock.task_types"
_REQUIRED = ("category", "schema", "mode", "heavy", "connections", "check", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskServices:
    """What types reach of other rooms, as plain callables; they are called in the attempt process only."""

    scalar: Scalar  # sensor: the first cell of a query
    fetch: Fetch  # sensor: one GET
    send: Callable[[Connection, Message], None]  # notify
    of_url: Callable[[str], Connection]  # notify: a bare url as a connection
    source: Callable[[Connection], Source]  # extract, load: a system to read from
    destination: Callable[[Connection], Destination]  # load: a system to write to


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTypes:
    """All types by name, and what is wrong with the plugins that are missing among them."""

    types: Mapping[str, TaskType]
    problems: Sequence[Problem] = field(default_factory=tuple)


def builtin_types(services: TaskServices) -> dict[str, TaskType]:
    """The types of this version, by name."""
    made: list[TaskType] = [
        _class("shell", "ShellTask")(),
        _class("python", "PythonTask")(),
        _class("branch", "BranchTask")(),
        _class("sensor", "SensorTask")(scalar=services.scalar, fetch=services.fetch),
        _class("subrun", "SubrunTask")(),
        _class("notify", "NotifyTask")(send=services.send, of_url=services.of_url),
        _class("extract", "ExtractTask")(source=services.source),
        _class("load", "LoadTask")(source=services.source, destination=services.destination),
    ]
    return {one.name: one for one in made}


def all_types(services: TaskServices, found: Iterable[EntryPoint] | None = None) -> TaskTypes:
    """Builtin types and plugins: entry points of the group `penstock.task_types`, whose name is the type's name and
    whose object is called without arguments and gives the type."""
    types = builtin_types(services)
    problems: list[Problem] = []
    for point in _installed() if found is None else found:
        if point.name in types:
            problems.append(_problem(point, "its name is taken already; rename it"))
            continue
        try:
            types[point.name] = _loaded(point)
        except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything, and must not stop us
            problems.append(_problem(point, f"{type(error).__name__}: {str(error)[:200]}"))
    return TaskTypes(types=types, problems=tuple(problems))


def _installed() -> Iterable[EntryPoint]:
    return entry_points_of(GROUP)


def _class(module: str, name: str) -> Callable[..., TaskType]:
    return cast(Callable[..., TaskType], getattr(import_module(f"engine.tasks.{module}"), name))


def _loaded(point: EntryPoint) -> TaskType:
    made: Any = point.load()()
    missing = [name for name in ("name", *_REQUIRED) if not hasattr(made, name)]
    if missing:
        raise TypeError(f"it lacks {', '.join(missing)} (see engine.ports.tasktype.TaskType)")
    if made.name != point.name:
        raise TypeError(f"it calls itself '{made.name}'; entry point and type must have the same name")
    return cast(TaskType, made)


def _problem(point: EntryPoint, why: str) -> Problem:
    package = point.dist.name if point.dist is not None else "an unknown package"
    return Problem(
        severity="warning",
        path=point.name,
        message=f"The task type '{point.name}' of {package} ({point.value}) is not available: {why}.",
    )
