"""The replication slots that pipelines capture changes with, asked how far they are behind.

Law: asks only where a pipeline of this profile captures changes; no server may hold health up for long, and a slot
that is not there yet is no trouble.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from engine.bootstrap.workspace import Workspace
from engine.connectors.registry import Connectors
from engine.model.errors import PenstockError, TaskFailure
from engine.model.workspace import Connection
from engine.ports.health import SlotLag

SILENCE_SECONDS = 5
BUDGET_SECONDS = 20.0
MOST_SLOTS = 200
_Slot = tuple[str, str, str]  # connection, table, slot ('' for the table's own)


def slots(workspace: Workspace) -> list[SlotLag]:
    """One for each slot that is there, and one for each that could not be asked."""
    servers = {
        name: each
        for name, each in workspace.catalog.connections(workspace.profile).items()
        if each.type == "postgresql"
    }
    if not servers:  # definitions are not even read
        return []
    end = workspace.clock.monotonic() + BUDGET_SECONDS
    found: list[SlotLag] = []
    silent: set[str] = set()
    for connection, table, slot in sorted(captured(workspace))[:MOST_SLOTS]:
        if connection not in servers or connection in silent:
            continue
        if workspace.clock.monotonic() > end:
            problem = f"not asked, the servers before it took more than {BUDGET_SECONDS:.0f} s"
            found.append(SlotLag(connection=connection, slot=slot, problem=problem))
            break
        try:
            told = _asked(workspace, servers[connection], table, slot)
        except (PenstockError, TaskFailure) as error:
            silent.add(connection)
            text = str(workspace.secrets.mask(str(error)))[:300].rstrip(".")
            told = SlotLag(connection=connection, slot=slot, problem=text)
        if told is not None:
            found.append(told)
    return found


def captured(workspace: Workspace) -> set[_Slot]:
    """What pipelines usable now capture; a name that only a run knows is left out."""
    found: set[_Slot] = set()
    for pipeline_id in workspace.catalog.ids():
        for task in workspace.catalog.get(pipeline_id).tasks:
            for config in _sources(task.config):
                incremental = config.get("incremental")
                if isinstance(incremental, Mapping) and incremental.get("strategy") == "cdc":
                    names = (config.get("connection"), config.get("table"), incremental.get("slot") or "")
                    if all(isinstance(each, str) and "{{" not in each for each in names):
                        found.add((str(names[0]), str(names[1]), str(names[2])))
    return found


def _sources(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A task's own config, and the source of a load."""
    yield config
    source = config.get("source")
    if isinstance(source, Mapping):
        yield source


def _asked(workspace: Workspace, connection: Connection, table: str, slot: str) -> SlotLag | None:
    resolved, _ = workspace.secrets.resolve(connection)
    quick = {**resolved.config, "silence_seconds": SILENCE_SECONDS, "timeout_seconds": SILENCE_SECONDS}
    connector: Any = Connectors(workspace.settings.root).open(replace(resolved, config=quick))
    with closing(connector):
        lag = connector.lag_of(table, slot or None)
    if lag is None:
        return None
    return SlotLag(
        connection=connection.id,
        slot=lag.slot,
        active=lag.active,
        behind_bytes=lag.behind_bytes,
        retained_bytes=lag.retained_bytes,
        status=lag.status,
    )
