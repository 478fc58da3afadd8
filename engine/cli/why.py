"""`penstock why`: in plain words."""

from __future__ import annotations

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.client.names import label
from engine.client.views import explanation, iso
from engine.rules.explain_facts import Explanation


@command("why", "penstock why last:orders_daily", "penstock why last join_sales")
@click.argument("run")
@click.argument("task", required=False)
@pass_session
def why(session: Session, run: str, task: str | None) -> None:
    """Say why RUN, or its TASK (`load` or `load[3]`), is not running or failed, and what can be done."""
    from engine.bootstrap import engine_leads

    told = session.client.why(run, task, leader=engine_leads(session.workspace))
    session.answer(explanation(told), lambda out: _print(out, told))


def _print(out: Output, told: Explanation) -> None:
    _say(out, told, "")
    for cause in told.causes:
        out.line()
        _say(out, cause, "  ")
    actions = list({each.command: each for one in (*told.causes, told) for each in one.actions}.values())
    if actions:
        out.line()
        out.line("What can be done:")
        width = max(len(each.label) for each in actions)
        for each in actions:
            out.line(f"  {each.label.ljust(width)}  {each.command}")


def _ended(told: Explanation) -> bool:
    return told.state in ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")


def _say(out: Output, told: Explanation, indent: str) -> None:
    name = told.run_id if told.task_id is None else label(told.task_id, told.map_index)
    out.line(f"{indent}{name}  {out.state(told.state)}  {told.code}")
    out.line(f"{indent}{told.sentence}")
    if told.holders and not _ended(told):  # of what has ended the sentence names them
        out.line(f"{indent}Held by: {', '.join(told.holders)}")
    times = [
        f"since {iso(told.since)}" if told.since else "",
        f"expected {iso(told.expected)}" if told.expected else "",
    ]
    if any(times):
        out.line(f"{indent}({', '.join(each for each in times if each)})")
    for detail in told.details:
        out.line(f"{indent}- {detail}")
