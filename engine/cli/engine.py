"""`penstock engine`: the same engine the console embeds, headless."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import group, pass_session, refuse_before_subcommand
from engine.client.commands import accepted
from engine.client.views import lease as shown_lease
from engine.model.errors import RequestError

_STOP_SECONDS = 30.0


@group("engine", "penstock engine", "penstock engine --drain", "penstock engine status")
@click.option("--drain", is_flag=True, help="End when nothing is left to do.")
@click.pass_context
def engine(ctx: click.Context, drain: bool) -> int:
    """Lead this workspace until SIGTERM or `penstock engine stop`; stand by while another engine leads."""
    if refuse_before_subcommand(ctx, drain=drain):
        return 0
    from engine.bootstrap import engine_leads
    from engine.bootstrap.host import host

    session = ctx.ensure_object(Session)
    workspace = session.workspace
    held = engine_leads(workspace)
    if held is not None:
        session.out.remark(f"Process {held.pid} leads ({held.scope}, by {held.started_by}); standing by.")
    return host(workspace, "engine").serve(drain=drain, on_ready=lambda: session.out.remark("The engine leads."))


@engine.command("status", examples=("penstock engine status --json",))
@pass_session
def status(session: Session) -> None:
    """Say who leads, since when, its pid, and who started it."""
    from engine.bootstrap import engine_leads

    found = shown_lease(engine_leads(session.workspace))
    session.answer(found, lambda out: _print(out, found))


@engine.command("stop", examples=("penstock engine stop",))
@pass_session
def stop(session: Session) -> None:
    """End the engine that leads. Attempts end as losses, nothing is cancelled; the next engine goes on."""
    from engine.bootstrap import engine_leads

    workspace, commands = session.workspace, session.client.commands
    held = engine_leads(workspace)
    if held is None:
        session.answer({"stopped": False, "message": "No engine leads."}, lambda out: out.line("No engine leads."))
        return
    ticket = commands.send("engine.stop", {})

    def still() -> bool:
        now = engine_leads(workspace)
        return now is not None and now.epoch == held.epoch

    answer = commands.wait(ticket, timeout=_STOP_SECONDS, still=still)
    if answer is not None:
        accepted(answer)
    _wait_until_gone(session, still)
    message = f"The engine (process {held.pid}) has ended."
    session.answer({"stopped": True, "pid": held.pid, "message": message}, lambda out: out.line(message))


def _wait_until_gone(session: Session, still: Any) -> None:
    clock, queries = session.client.clock, session.client.queries
    until = clock.monotonic() + _STOP_SECONDS
    _, token = queries.changed(None)
    while still():
        if clock.monotonic() > until:
            raise RequestError(
                f"The engine did not end within {_STOP_SECONDS:g} s; `penstock engine status` shows it."
            )
        _, token = queries.wait(token, 0.1)


def _print(out: Output, found: dict[str, Any]) -> None:
    if not found["leads"]:
        out.line("No engine leads. `penstock engine` starts one.")
        return
    out.line(f"Process {found['pid']} on {found['host']} leads since {found['since']} (epoch {found['epoch']}).")
    out.line(f"Scope {found['scope']}, user {found['user']}, started by {found['started_by']}.")
