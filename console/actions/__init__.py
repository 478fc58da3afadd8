"""The action table: everything a key, the footer, the help, the command line or the palette can do.

Law: one row per action, and nothing can be done in the console that has no row here. A row says who carries it
out (`scope`) and, where it changes state, which command it sends and its twin on the command line. An action
`run.retry` is carried out by the method `do_run_retry` of its scope.

Scopes: `*` the app; `@table`, `@card`, `@log`, `@logbelow`, `@dag` the focused widget of that kind; any other the
view so named.
Rows stand in one file per scope; a view brings its own file and one line here. Going to a view is an action that
every view has by being registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from console.actions import (
    again,
    audit,
    dag,
    frame,
    guide,
    health,
    letters,
    lineage,
    log,
    logbelow,
    pipelines,
    pulse,
    replay,
    runs,
    schedules,
    table,
)
from console.actions.action import EVERYWHERE, Action
from console.screens import VIEWS

__all__ = ["ACTIONS", "EVERYWHERE", "Action", "available", "by_id"]

_GOING = tuple(
    Action(id=f"go.{each.name}", label=each.name, help=each.help, keys=each.keys, name=each.name)
    for each in VIEWS.values()
)

ACTIONS: tuple[Action, ...] = (
    *frame.ACTIONS,
    *_GOING,
    *table.ACTIONS,
    *log.ACTIONS,
    *logbelow.ACTIONS,
    *dag.ACTIONS,
    *pulse.ACTIONS,
    *pipelines.ACTIONS,
    *runs.ACTIONS,
    *schedules.ACTIONS,
    *health.ACTIONS,
    *audit.ACTIONS,
    *letters.ACTIONS,
    *replay.ACTIONS,
    *lineage.ACTIONS,
    *again.ACTIONS,
    *guide.ACTIONS,
)


def by_id(actions: Iterable[Action] = ACTIONS) -> dict[str, Action]:
    """The table, by id."""
    return {each.id: each for each in actions}


def available(actions: Sequence[Action], scopes: Sequence[str]) -> list[Action]:
    """Actions of these scopes, the innermost scope first; an inner one hides an outer one with its id."""
    found: dict[str, Action] = {}
    for scope in scopes:
        for each in actions:
            if scope in each.scope:
                found.setdefault(each.id, each)
    return list(found.values())
