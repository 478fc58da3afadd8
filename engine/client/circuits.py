"""Connections that are left alone, and what waits for them.

Law: looks only; call it from threads. What the breaker of a connection remembers that is no longer in
connections.yaml, or has none now, holds nobody back and is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.model.breaker import Breaker, BreakerState
from engine.model.errors import NotFound, PenstockError
from engine.model.run import TaskExecution
from engine.rules.breaker import BAD, state_at
from engine.rules.explain_facts import VerdictCode

if TYPE_CHECKING:
    from engine.client.client import Client

__all__ = ["failures", "held_back", "left_alone", "state_at"]


def left_alone(client: Client) -> list[Breaker]:
    """Those of this profile that are open or half open, by name. Definitions are read only where there are some."""
    found = [each for each in client.circuits().values() if each.state is not BreakerState.CLOSED]
    if not found:
        return []
    try:
        known = client.connections()
    except PenstockError:  # the file is broken now: what is remembered counts until it can be read
        return sorted(found, key=lambda each: each.connection)
    guarded = {name for name, each in known.items() if each.breaker is not None}
    return sorted((each for each in found if each.connection in guarded), key=lambda each: each.connection)


def held_back(client: Client, connection_id: str) -> Sequence[TaskExecution]:
    """Tasks of this profile that wait for the circuit of a connection, the oldest first."""
    profiles: dict[str, bool] = {}
    found = []
    for task, verdict in client.queries.queued():
        if verdict is None or verdict.code != VerdictCode.CIRCUIT or verdict.about != connection_id:
            continue
        if task.run_id not in profiles:
            profiles[task.run_id] = _is_of(client, task.run_id)
        if profiles[task.run_id]:
            found.append(task)
    return found


def failures(breaker: Breaker) -> int:
    """How many of the calls it remembers failed."""
    return breaker.calls.count(BAD)


def _is_of(client: Client, run_id: str) -> bool:
    try:
        return client.queries.resolve_run(run_id).profile == client.profile
    except NotFound:  # pruned between two questions
        return False
