"""`penstock runs` and `penstock show`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from engine.cli.output import Output, amount
from engine.cli.session import Session
from engine.cli.spans import span
from engine.cli.syntax import command, pass_session
from engine.cli.timeline import print_dependencies, print_timeline
from engine.client import failures, timeline
from engine.client.names import label
from engine.client.text import shorten
from engine.model.errors import RequestError
from engine.model.run import RunState

_MEASURED_BY_US = (  # of every attempt; `--json` has them
    "execution_duration_seconds",
    "cpu_seconds",
    "cpu_usage_percent",
    "memory_usage_mb",
    "read_bytes",
    "write_bytes",
)
_STATES = [state.value for state in RunState]


@command("runs", "penstock runs --pipeline orders_daily --state failed", "penstock runs --stuck --over 30m")
@click.option("--pipeline", metavar="ID", help="Only of this pipeline.")
@click.option("--state", type=click.Choice(_STATES, case_sensitive=False), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Go on where `next` of an earlier list ended.")
@click.option("--stuck", is_flag=True, help="Only RUNNING for long, the oldest first.")
@click.option("--over", metavar="TIME", help="How long that is: 30m, 2h, 1d. [default: 2h; implies --stuck]")
@pass_session
def runs(
    session: Session,
    pipeline: str | None,
    state: str | None,
    limit: int,
    before: str | None,
    stuck: bool,
    over: str | None,
) -> None:
    """List runs, newest first."""
    if stuck or over is not None:
        if before is not None or (state or "running").upper() != RunState.RUNNING.value:
            raise RequestError("--stuck lists RUNNING runs, the oldest first; leave out --before and --state.")
        length = span(over, "--over") if over is not None else failures.STUCK_AFTER
        hanging = failures.stuck(session.client, length, pipeline, limit)
        session.answer(hanging, lambda out: _print_stuck(out, hanging))
        return
    wanted = RunState(state.upper()) if state else None
    found = session.client.runs(pipeline_id=pipeline, state=wanted, limit=limit, before=before)
    session.answer(found, lambda out: _print_runs(out, found))


@command(
    "show", "penstock show last:orders_daily", "penstock show last --history", "penstock show last load --timeline"
)
@click.argument("run")
@click.argument("task", required=False)
@click.option("--history", is_flag=True, help="Every attempt, and executions that retries made.")
@click.option("--timeline", "in_order", is_flag=True, help="State changes, attempts and waits of TASK, in order.")
@click.option("--dependencies", is_flag=True, help="What tasks depend on, and what on them, with states.")
@pass_session
def show(session: Session, run: str, task: str | None, history: bool, in_order: bool, dependencies: bool) -> None:
    """Show RUN (an id, a unique prefix, `last` or `last:PIPELINE`) and its tasks, or one TASK of it (`load` or
    `load[3]`)."""
    client = session.client
    if history + in_order + dependencies > 1:
        raise RequestError("Give one of --history, --timeline and --dependencies.")
    if in_order and task is None:
        raise RequestError("--timeline is of one task: penstock show RUN TASK --timeline")
    if in_order and task is not None:
        told = timeline.timeline(client, client.run(run), task)
        session.answer(told, lambda out: print_timeline(out, told))
    elif dependencies:
        found = timeline.dependencies(client, client.run(run), task)
        session.answer(found, lambda out: print_dependencies(out, found))
    else:
        shown = client.show(run, history=history, task=task)
        session.answer(shown, lambda out: print_run(out, shown))


def print_run(out: Output, shown: dict[str, Any]) -> None:
    """A run for people."""
    out.line(f"{shown['run_id']}  {shown['pipeline_id']} v{shown['version']}  {out.state(shown['state'])}")
    out.line(f"by {shown['triggered_by']} for {shown['logical_date']}{_span(shown)}")
    if shown["parameters"]:
        out.line("with " + ", ".join(f"{name}={value}" for name, value in shown["parameters"].items()))
    if shown["reason"]:
        out.line(shown["reason"])
    out.line()
    rows = [
        (
            label(task["id"], task["map_index"]),
            out.state(task["state"]),
            task["attempts"],
            duration(task["started_at"], task["completed_at"]),
            _remark(task),
        )
        for task in shown["tasks"]
    ]
    out.table(("TASK", "STATE", "ATTEMPTS", "TOOK", ""), rows, empty="It has no tasks.")
    for task in shown["tasks"]:
        if task.get("history"):
            _print_history(out, task)


def duration(start: str | None, end: str | None) -> str:
    """How long something took, from two instants as shown."""
    if start is None or end is None:
        return ""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _print_runs(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (
            each["run_id"],
            each["pipeline_id"],
            out.state(each["state"]),
            each["logical_date"],
            each["triggered_by"],
            duration(each["started_at"], each["completed_at"]),
        )
        for each in found["runs"]
    ]
    out.table(("RUN", "PIPELINE", "STATE", "FOR", "BY", "TOOK"), rows, empty="No runs.")
    if found["next"]:
        out.remark(f"There are more: --before {found['next']}")


def _print_stuck(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (each["run_id"], each["pipeline_id"], each["started_at"], _long(each["running_seconds"]))
        for each in found["runs"]
    ]
    out.table(("RUN", "PIPELINE", "STARTED", "RUNNING FOR"), rows, empty="No run has been running for so long.")
    if rows:
        out.remark(f"See why: penstock why {rows[0][0]}")


def _long(seconds: int) -> str:
    minutes = seconds // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds % 60} s"


def _print_history(out: Output, task: dict[str, Any]) -> None:
    out.line()
    out.line(f"{label(task['id'], task['map_index'])}:")
    for each in task["history"]:
        ended = f"exit {each['exit_code']}" if each["exit_code"] is not None else ""
        ended = f"signal {each['signal']}" if each["signal"] is not None else ended
        error = each["error"]
        said = f"{error['kind']}: {_first_line(error['message'])}" if error else ""
        took = duration(each["started_at"], each["completed_at"])
        parts = [f"  attempt {each['attempt']}", each["state"], each["started_at"] or "", took, ended, said]
        out.line("  ".join(part for part in parts if part))


def _remark(task: dict[str, Any]) -> str:
    if task["error"]:
        return shorten(f"{task['error']['kind']}: {_first_line(task['error']['message'])}", 120)
    if task["verdict"]:
        return shorten(str(task["verdict"]["sentence"]), 120)
    if task["reason"]:
        return str(task["reason"]).replace("_", " ")
    told = [f"{name} {amount(value)}" for name, value in task["metrics"].items() if name not in _MEASURED_BY_US]
    return ", ".join(told[:3])


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def _span(shown: dict[str, Any]) -> str:
    took = duration(shown["started_at"], shown["completed_at"])
    return f", took {took}" if took else (f", since {shown['started_at']}" if shown["started_at"] else "")
