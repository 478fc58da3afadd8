"""`penstock stats`: how work went, by day or by task."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.spans import since as moment_since
from engine.cli.syntax import command, group, pass_session, refuse_before_subcommand
from engine.client import failures

_BAR = 20


@group("stats", "penstock stats --since 30d", "penstock stats tasks --pipeline orders_daily")
@click.option("--pipeline", metavar="ID", help="Only of this pipeline.")
@click.option("--since", metavar="TIME", help="From then on: 7d, 4w, or a date. [default: 14d]")
@click.pass_context
def stats(ctx: click.Context, pipeline: str | None, since: str | None) -> None:
    """Count runs by the day they ended (UTC), and the share that failed of those that succeeded or failed."""
    if refuse_before_subcommand(ctx, pipeline=pipeline, since=since):
        return
    session = ctx.ensure_object(Session)
    begin = moment_since(since or "14d", "--since", session.client.clock.now())
    found = failures.days(session.client, begin, pipeline)
    session.answer(found, lambda out: _print_days(out, found))


@command("tasks", "penstock stats tasks --since 7d")
@click.option("--pipeline", metavar="ID", help="Only of this pipeline.")
@click.option("--since", metavar="TIME", default="7d", show_default=True, help="Of runs triggered from then on.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@pass_session
def tasks(session: Session, pipeline: str | None, since: str, limit: int) -> None:
    """Count attempts per task over the last 2,000 runs of that time; those tried again most often first."""
    begin = moment_since(since, "--since", session.client.clock.now())
    found = failures.task_tries(session.client, begin, pipeline, limit)
    session.answer(found, lambda out: _print_tasks(out, found))


stats.add_command(tasks)


def _print_days(out: Output, found: dict[str, Any]) -> None:
    rows = []
    for each in found["days"]:
        rate = each["failure_rate"]
        share = "" if rate is None else f"{100 * rate:.1f} %"
        bar = "" if rate is None else "#" * round(_BAR * rate)
        rows.append((each["day"], each["succeeded"], each["failed"], each["cancelled"], share, bar))
    head = ("DAY", "SUCCEEDED", "FAILED", "CANCELLED", "FAILURE RATE", "")
    out.table(head, rows, empty=f"No run ended since {found['since']}.")


def _print_tasks(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (
            each["pipeline_id"],
            each["task_id"],
            each["executions"],
            each["attempts"],
            f"{each['attempts'] / each['executions']:.2f}",
            each["most"],
            each["recovered"],
            each["failed"],
        )
        for each in found["tasks"]
    ]
    head = ("PIPELINE", "TASK", "EXECUTIONS", "ATTEMPTS", "MEAN", "MOST", "RECOVERED", "FAILED")
    out.table(head, rows, empty=f"No task was tried in the {found['runs']} run(s) since {found['since']}.")
