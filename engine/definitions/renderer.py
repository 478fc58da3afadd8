"""The Renderer port: templates rendered in one long-lived limited child, and what a plan can know of them.

Law: no user template is ever compiled or rendered in the process that calls. What has no markup is not sent. A
child that dies or is too slow is killed and replaced; the caller gets a ConfigurationError that names the
limit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from typing import Any

from engine.definitions.child import Child, ChildDied, ChildTimeout
from engine.definitions.environment import RUN_ONLY
from engine.definitions.problems import Path
from engine.definitions.references import TemplateFault, references, strings_in
from engine.model.errors import ConfigurationError
from engine.ports.catalog import Planned, Renderer

_MODULE = "engine.definitions.render_child"
_SECONDS = 1.0
_TOTAL_SECONDS = 30.0


class ChildRenderer:
    """engine.ports.catalog.Renderer. Thread-safe; the child starts with the first template."""

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child: Child | None = None

    def render(self, template: Any, context: Mapping[str, Any]) -> Any:
        """Every string inside `template` rendered; see the port."""
        if next(strings_in(template), None) is None:
            return template
        with self._lock:
            answer = self._ask({"template": template, "context": context})
        if "error" in answer:
            raise ConfigurationError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the child; the next template would start another."""
        with self._lock:
            self._drop()

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._child.pid if self._child is not None else None

    def _ask(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        fresh = self._child is None
        try:
            return self._exchange(message)
        except ChildDied as error:
            # An idle child may have been killed from outside; that is not this template's fault.
            if not fresh and error.returncode != -signal.SIGPROF:
                return self._second_try(message)
            raise self._blame(error) from error
        except ChildTimeout as error:
            raise self._slow() from error
        except TypeError as error:
            raise ConfigurationError(f"the context of the template is not JSON: {error}") from error

    def _second_try(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._exchange(message)
        except ChildDied as error:
            raise self._blame(error) from error
        except ChildTimeout as error:
            raise self._slow() from error

    def _exchange(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._child is None:
            self._child = Child(_MODULE)
        try:
            answer: Mapping[str, Any] = self._child.ask(message, seconds=self._seconds, total=_TOTAL_SECONDS)
            return answer
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _slow(self) -> ConfigurationError:
        return ConfigurationError(f"a template took longer than {self._seconds:g} s and was stopped; simplify it")

    def _blame(self, error: ChildDied) -> ConfigurationError:
        if error.returncode == -signal.SIGPROF:
            return self._slow()
        return ConfigurationError(
            f"rendering ended with {error}, likely out of its 256 MiB of memory; simplify the template"
        )


def render_plan(
    renderer: Renderer, value: Any, context: Mapping[str, Any], *, unknown: frozenset[str] = RUN_ONLY
) -> Planned:
    """Render what is known; an expression that needs any of `unknown` stays as written and is listed."""
    kept: dict[Path, str] = {path: text for path, text in strings_in(value) if _needs(text, unknown)}
    rendered = renderer.render(_without(value, kept, ()), context)
    return Planned(value=_put_back(rendered, kept, ()), unresolved=tuple(kept))


def _needs(text: str, unknown: frozenset[str]) -> bool:
    try:
        return any(reference.name in unknown for reference in references(text))
    except TemplateFault:
        return False  # rendering says what is wrong with it


def _without(value: Any, kept: Mapping[Path, str], path: Path) -> Any:
    if path in kept:
        return None
    if isinstance(value, Mapping):
        return {key: _without(one, kept, (*path, key)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(one, kept, (*path, at)) for at, one in enumerate(value)]
    return value


def _put_back(value: Any, kept: Mapping[Path, str], path: Path) -> Any:
    if path in kept:
        return kept[path]
    if isinstance(value, Mapping):
        return {key: _put_back(one, kept, (*path, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_put_back(one, kept, (*path, at)) for at, one in enumerate(value)]
    return value
