"""Connections as they are written, and what they say when they are tried.

Law: called in threads. A connection that does not answer is an answer; one that went from its file is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.present import health as present
from console.present.health import ConnectionRow
from engine.client.views import connection as as_written
from engine.model.errors import NotFound, PenstockError

if TYPE_CHECKING:
    from engine.client import Client


def with_test(fresh: ConnectionRow, known: ConnectionRow | None) -> ConnectionRow:
    """As it is written now, with what it said last."""
    if known is None:
        return fresh
    return fresh._replace(ok=known.ok, said=known.said, tested_at=known.tested_at)


def connections(client: Client) -> list[ConnectionRow]:
    """All of them."""
    known = client.circuits()
    return [present.connection_row(as_written(each), known.get(each.id)) for each in client.connections().values()]


def tested(client: Client, wanted: list[str] | None) -> list[ConnectionRow]:
    """Try these, or all."""
    rows = []
    for name in wanted if wanted is not None else list(client.connections()):
        try:
            connection = client.connection(name)
        except NotFound:  # taken out of its file meanwhile
            continue
        try:
            answer = client.test(connection)
        except (PenstockError, OSError) as error:
            answer = (False, str(error))
        row = present.connection_row(as_written(connection), client.circuits().get(name))
        rows.append(present.tested(row, answer, client.clock.now()))
    return rows
