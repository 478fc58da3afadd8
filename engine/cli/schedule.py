"""`penstock schedule`: when pipelines run by themselves."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.ask import confirm
from engine.cli.deliver import deliver, report
from engine.cli.operate import reason_of
from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import group, pass_session, refuse_before_subcommand


@group("schedule", "penstock schedule", "penstock schedule next orders_daily -n 10")
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """List schedules: when each fires next, and which are paused and why."""
    if refuse_before_subcommand(ctx):
        return
    session = ctx.ensure_object(Session)
    found = session.client.schedules()
    session.answer(found, lambda out: _print_schedules(out, found))


@schedule.command("pause", examples=("penstock schedule pause orders_daily --reason 'source is down'",))
@click.argument("pipeline")
@click.option("--reason", required=True, help="Why; is shown, and goes into the audit trail.")
@pass_session
def pause(session: Session, pipeline: str, reason: str) -> None:
    """Fire nothing for PIPELINE until it is resumed."""
    session.client.schedule(pipeline)
    arguments = {"pipeline_id": pipeline, "reason": reason_of(reason)}
    report(session, deliver(session, "schedule.pause", arguments))


@schedule.command("resume", examples=("penstock schedule resume orders_daily",))
@click.argument("pipeline")
@click.option("--yes", is_flag=True, help="Do not ask, even if it fires missed slots at once.")
@pass_session
def resume(session: Session, pipeline: str, yes: bool) -> None:
    """Let PIPELINE's schedule fire again. What that fires at once is shown, and asked for, first."""
    consequence = session.client.resume_consequence(pipeline)
    if consequence["fires"]:
        confirm(session.out, consequence["sentence"], yes=yes)
    else:
        session.out.remark(consequence["sentence"])
    report(session, deliver(session, "schedule.resume", {"pipeline_id": pipeline}))


@schedule.command(
    "next",
    examples=(
        "penstock schedule next orders_daily -n 10",
        "penstock schedule next orders_daily --cron '0 3 * * *'",
    ),
)
@click.argument("pipeline")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@click.option("--cron", metavar="EXPRESSION", help="What this expression would fire instead; nothing is saved.")
@click.option("--timezone", metavar="ZONE", help="As --cron: read in this zone instead of the schedule's.")
@pass_session
def upcoming(session: Session, pipeline: str, count: int, cron: str | None, timezone: str | None) -> None:
    """Show the next slots of PIPELINE, with clock changes and blackouts marked."""
    client = session.client
    if cron is None and timezone is None:
        found = client.next_fires(pipeline, count)
    else:
        schedule = client.schedule(pipeline)
        found = client.try_schedule(pipeline, cron or schedule.cron, timezone or schedule.timezone, count)
    session.answer(found, lambda out: _print_next(out, found))


def _print_schedules(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (each["pipeline_id"], each["cron"], each["timezone"], each["next_fire"] or "", _remark(each))
        for each in found["schedules"]
    ]
    out.table(("PIPELINE", "CRON", "TIMEZONE", "NEXT", ""), rows, empty="No pipeline has a schedule.")


def _remark(each: dict[str, Any]) -> str:
    if not each["enabled"]:
        return "not enabled"
    if each["paused"]:
        return f"paused by {each['paused_by']}: {each['pause_reason']}"
    return f"{each['skipped']} skipped, last: {each['last_skip_reason']}" if each["skipped"] else ""


def _print_next(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (each["at"], each["local"], each["note"] or (f"blackout {each['blackout']}" if each["blackout"] else ""))
        for each in found["fires"]
    ]
    out.table(("UTC", found["timezone"], ""), rows, empty="It does not fire again.")
