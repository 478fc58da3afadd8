"""The limited child that renders templates: `python -m engine.definitions.render_child`.

Law: 256 MiB, one second a template; it opens nothing and keeps nothing between requests but compiled templates.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.definitions.child import Parent
from engine.definitions.environment import environment, own_names, render
from engine.definitions.problems import Path
from engine.definitions.schema import has_markup
from engine.model.errors import ConfigurationError

MEMORY_MB = 256
_OWN_ALARM = 3.0  # ends a template that outlives even the parent that would kill it
_TICK_SECONDS = 0.1


def main() -> None:
    """Serve until the parent is gone."""
    parent = Parent()
    environment().from_string("{{ 1 }}").render()  # everything is imported before memory is limited
    parent.limit(memory_mb=MEMORY_MB)
    parent.ready()
    while (message := parent.receive()) is not None:
        parent.answer(_answer(message, parent.tick))


def _answer(message: Mapping[str, Any], tick: Callable[[], None]) -> dict[str, Any]:
    try:
        template, context = message["template"], message["context"]
        if isinstance(template, dict):
            context = {**context, **own_names(template)}
        value = _Walk(context, tick).render(template, ())
        return _fitting({"value": value})
    except ConfigurationError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"the templates need more than {MEMORY_MB} MiB of memory"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _fitting(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, or why it can't be sent: JSON knows no infinity."""
    try:
        size = len(json.dumps(answer, allow_nan=False))
    except (ValueError, RecursionError) as error:
        return {"error": f"the result is not JSON: {error}"}
    return answer if size < 8 << 20 else {"error": "the templates render to more than 8 MiB"}


class _Walk:
    """One request: every string with markup gets its own alarm and tells the parent that work goes on."""

    def __init__(self, context: Mapping[str, Any], tick: Callable[[], None]) -> None:
        self.context = context
        self.tick = tick
        self.told = time.monotonic()

    def render(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self.render(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.render(one, (*path, at)) for at, one in enumerate(value)]
        if not has_markup(value):
            return value
        if time.monotonic() - self.told > _TICK_SECONDS:
            self.tick()
            self.told = time.monotonic()
        signal.setitimer(signal.ITIMER_PROF, _OWN_ALARM)
        return render(value, self.context, path=path)


if __name__ == "__main__":
    main()
