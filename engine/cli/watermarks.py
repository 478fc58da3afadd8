"""`penstock watermarks`: how far incremental reads have come, and reading again from another point."""

from __future__ import annotations

import shlex
from typing import Any

import click

from engine.cli.deliver import deliver, report
from engine.cli.operate import reason_of
from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import group, pass_session, refuse_before_subcommand
from engine.client.text import shorten

_HEAD = ("PIPELINE", "READ BY", "SOURCE", "LOADED BY", "STRATEGY", "VALUE", "MOVED", "RUN")
_AT_START = "(from the beginning)"


@group("watermarks", "penstock watermarks", "penstock watermarks reset orders_daily --reason 'late rows'")
@click.pass_context
def watermarks(ctx: click.Context) -> None:
    """List watermarks: up to where each incremental read has been loaded."""
    if refuse_before_subcommand(ctx):
        return
    _show(ctx.ensure_object(Session), None)


@watermarks.command("show", examples=("penstock watermarks show orders_daily",))
@click.argument("pipeline", required=False)
@pass_session
def show(session: Session, pipeline: str | None) -> None:
    """Show the watermarks of PIPELINE, or all."""
    _show(session, pipeline)


@watermarks.command(
    "reset",
    examples=(
        "penstock watermarks reset orders_daily --reason 'the source was repaired'",
        "penstock watermarks reset orders_daily extract_orders --to 2026-03-01T00:00:00Z --reason 'late rows'",
    ),
)
@click.argument("pipeline")
@click.argument("task", required=False)
@click.option("--source", metavar="DATASET", help="Only the watermark of this source.")
@click.option("--to", metavar="VALUE", help="Go on after this value; without it, from `initial` or the beginning.")
@click.option("--reason", required=True, help="Why; goes into the audit trail.")
@pass_session
def reset(
    session: Session, pipeline: str, task: str | None, source: str | None, to: str | None, reason: str
) -> None:
    """Let the next run of PIPELINE read again from another point. TASK is who reads, or who loads.

    Refused while a run of it is active. Rows that were loaded before are read again: a load that appends adds them
    again, one that upserts or merges does not. What the watermark was is printed; a reset to it undoes this one."""
    arguments = {
        "pipeline_id": pipeline,
        "profile": session.client.profile,
        "task": task,
        "source": source,
        "to": to,
        "reason": reason_of(reason),
    }
    answer = deliver(session, "watermark.reset", arguments)
    report(session, answer)
    for each in answer.payload.get("watermarks", ()):
        session.out.remark(f"  {each['source']}: was {_value(each['before'])}. {_undo(pipeline, each)}")


def _undo(pipeline: str, each: dict[str, Any]) -> str:
    words = ["penstock", "watermarks", "reset", pipeline, each["consumer"], "--source", each["source"]]
    words += [] if each["before"] is None else ["--to", each["before"]]
    return f"Back: {shlex.join([*words, '--reason', '...'])}"


def _show(session: Session, pipeline: str | None) -> None:
    found = session.client.watermarks(pipeline)
    if pipeline is not None and not found["watermarks"]:
        session.client.pipeline(pipeline)  # a name that is none is told so
    session.answer(found, lambda out: _print(out, found["watermarks"]))


def _print(out: Output, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            each["pipeline_id"],
            each["producer"],
            each["source"],
            each["consumer"],
            f"{each['strategy']} {each['column'] or ''}".rstrip(),
            shorten(_value(each["value"]), 60),
            each["updated_at"],
            each["run_id"] or "(reset)",
        )
        for each in found
    ]
    out.table(_HEAD, rows, empty="No watermarks yet; they come with `incremental` reads that were loaded.")


def _value(value: str | None) -> str:
    return _AT_START if value is None else value
