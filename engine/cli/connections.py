"""`penstock connections`: what connections.yaml names, and whether it answers."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.deliver import deliver, report
from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import group, pass_session, refuse_before_subcommand
from engine.client.views import circuit
from engine.client.views import connection as shown
from engine.model.breaker import BreakerState
from engine.model.errors import NotInThisVersion
from engine.model.workspace import Connection


@group("connections", "penstock connections", "penstock connections test shop_db")
@click.pass_context
def connections(ctx: click.Context) -> None:
    """List connections; secrets are shown as the references they are."""
    if refuse_before_subcommand(ctx):
        return
    session = ctx.ensure_object(Session)
    found = {"connections": _listed(session), "plugins": _plugins(session)}
    session.answer(found, lambda out: _print_all(out, found))


def _listed(session: Session) -> list[dict[str, Any]]:
    client, now = session.client, session.workspace.clock.now()
    circuits = {name: circuit(each, now) for name, each in client.circuits().items()}
    return [shown(each, circuits.get(each.id)) for each in client.connections().values()]


def _plugins(session: Session) -> list[dict[str, Any]]:
    return [
        {"type": each.type, "package": each.package, "problem": each.problem}
        for each in session.workspace.connector_plugins()
    ]


def _print_all(out: Output, found: dict[str, list[dict[str, Any]]]) -> None:
    rows = [
        (
            each["id"],
            each["type"],
            each["direction"],
            each["pool"] or "",
            _rate(each["rate_limit"]),
            _circuit(each["circuit"]),
        )
        for each in found["connections"]
    ]
    out.table(
        ("CONNECTION", "TYPE", "DIRECTION", "POOL", "RATE", "CIRCUIT"),
        rows,
        empty="No connections; they go into connections.yaml.",
    )
    for each in found["plugins"]:
        if each["problem"]:
            out.remark(f"Connector '{each['type']}' of {each['package']} is not available: {each['problem']}.")


@connections.command("test", examples=("penstock connections test shop_db",))
@click.argument("connection", required=False)
@pass_session
def test(session: Session, connection: str | None) -> int:
    """Try CONNECTION, or all; exit code 1 when one does not answer."""
    client = session.client
    chosen = [client.connection(connection)] if connection else list(client.connections().values())
    tested = [_tried(session, each, alone=connection is not None) for each in chosen]
    session.answer({"connections": tested}, lambda out: _print(out, tested))
    return 1 if any(each["ok"] is False for each in tested) else 0


@connections.command("close", examples=("penstock connections close shop_db",))
@click.argument("connection")
@pass_session
def close(session: Session, connection: str) -> None:
    """Close the circuit of CONNECTION: use it again at once, without waiting for a probe."""
    session.client.connection(connection)
    arguments = {"connection_id": connection, "profile": session.client.profile}
    report(session, deliver(session, "connection.close", arguments))


def _tried(session: Session, connection: Connection, *, alone: bool) -> dict[str, object]:
    found = session.client.test(connection)
    if found is None and alone:
        raise NotInThisVersion(f"Testing a connection of type '{connection.type}' is not in this version.")
    ok, message = found if found is not None else (None, "cannot be tested in this version")
    return {"id": connection.id, "type": connection.type, "ok": ok, "message": message}


def _print(out: Output, tested: list[dict[str, object]]) -> None:
    marks = {True: "✓", False: "✗", None: "?"}
    for each in tested:
        ok = each["ok"]
        out.line(f"{marks[ok if isinstance(ok, bool) else None]} {each['id']}: {each['message']}")


def _circuit(found: dict[str, Any]) -> str:
    if "calls" not in found or found["state"] == BreakerState.CLOSED.value:
        return str(found["state"])
    return f"{found['state']}: {found['failures']} of {found['calls']} calls failed"


def _rate(limit: dict[str, object] | None) -> str:
    return "" if limit is None else f"{limit['per_second']}/s, burst {limit['burst']}"
