"""Connectors of installed packages: entry points of the group `penstock.connectors`.

Law: an entry point's name is the connection type, its object is called like a connector module's `connect`. One
that cannot be loaded is a row with its reason, never a crash, and none takes the place of a type that comes with
Penstock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.model.errors import ConfigurationError
from engine.sdk.plugins import entry_points_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "penstock.connectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One connector that a package adds."""

    type: str
    package: str
    problem: str | None = None


def installed() -> Sequence[EntryPoint]:
    """Those of this environment."""
    return entry_points_of(GROUP)


def types(taken: Collection[str]) -> frozenset[str]:
    """The connection types that packages add; nothing is loaded."""
    return frozenset(point.name for point in installed()) - frozenset(taken)


def looked_at(taken: Collection[str]) -> list[Plugin]:
    """Every plugin, loaded to see whether it can be."""
    return [_looked_at(point, taken) for point in installed()]


def connector(type: str) -> Callable[..., Any] | None:
    """The `connect` of a type that a package adds. ConfigurationError when it cannot be loaded."""
    point = next((each for each in installed() if each.name == type), None)
    if point is None:
        return None
    plugin = _looked_at(point, ())
    if plugin.problem is not None:
        raise ConfigurationError(f"The connector '{type}' of {plugin.package} is not available: {plugin.problem}.")
    loaded: Callable[..., Any] = point.load()
    return loaded


def _looked_at(point: EntryPoint, taken: Iterable[str]) -> Plugin:
    package = point.dist.name if point.dist is not None else "an unknown package"
    if point.name in taken:
        return Plugin(type=point.name, package=package, problem="its name is taken already; rename it")
    try:
        found = point.load()
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything, and must not stop us
        problem = f"{type(error).__name__}: {str(error)[:200]}"
        return Plugin(type=point.name, package=package, problem=problem)
    if not callable(found):
        return Plugin(type=point.name, package=package, problem="it cannot be called")
    return Plugin(type=point.name, package=package)
