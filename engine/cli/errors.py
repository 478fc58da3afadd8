"""`penstock errors`: what failed, of a run or lately, one by one or by type."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.spans import since as moment_since
from engine.cli.syntax import command, pass_session
from engine.client import failures
from engine.client.names import executions_named, label
from engine.client.text import shorten
from engine.model.errors import RequestError

_LATELY = "24h"


@command(
    "errors",
    "penstock errors last:orders_daily",
    "penstock errors --by type --since 7d",
    "penstock errors --retried",
)
@click.argument("run", required=False)
@click.argument("task", required=False)
@click.option(
    "--since", metavar="TIME", help="From then on: 24h, 7d, or a date. [default: 24h; of a RUN everything]"
)
@click.option("--pipeline", metavar="ID", help="Only of this pipeline.")
@click.option("--type", "error_type", metavar="TYPE", help="Only of this error type, as the lists show it.")
@click.option("--by", type=click.Choice(["type"]), help="Sums by error type, the most frequent first.")
@click.option("--retried", is_flag=True, help="Only of tasks that took more than one attempt; by error type.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Go on where `next` of an earlier list ended.")
@pass_session
def errors(
    session: Session,
    run: str | None,
    task: str | None,
    since: str | None,
    pipeline: str | None,
    error_type: str | None,
    by: str | None,
    retried: bool,
    limit: int,
    before: str | None,
) -> None:
    """List attempts that failed or were lost, newest first: of RUN, of its TASK, or of the last 24 hours."""
    asked = _asked(session, run, task, since)
    asked |= {"pipeline_id": pipeline, "error_type": error_type, "retried": retried}
    if by is None and not retried:
        found = failures.errors(session.client, limit=limit, before=before, **asked)
        session.answer(found, lambda out: _print_errors(out, found, run is None))
        return
    if before is not None:
        raise RequestError("--before goes on with a list; sums by type have no next page.")
    sums = failures.errors_by_type(session.client, limit=limit, **asked)
    session.answer(sums, lambda out: _print_types(out, sums))


def _asked(session: Session, run: str | None, task: str | None, since: str | None) -> dict[str, Any]:
    client = session.client
    asked: dict[str, Any] = {"run_id": None, "task_id": None, "since": None}
    if run is not None:
        asked["run_id"] = client.run(run).run_id
        if task is not None:
            made = client.queries.executions(asked["run_id"])
            asked["task_id"] = executions_named(task, asked["run_id"], made)[0].task_id
    if since is not None or run is None:
        asked["since"] = moment_since(since or _LATELY, "--since", client.clock.now())
    return asked


def _print_errors(out: Output, found: dict[str, Any], runs: bool) -> None:
    rows = []
    for each in found["errors"]:
        task = label(each["task_id"], each["map_index"])
        what = each["error"]["type"]
        said = shorten(" ".join(each["error"]["message"].split()), 120)
        became = "" if each["task_state"] == "FAILED" else out.state(each["task_state"])
        row = (each["at"], task, f"{each['attempt']} of {each['attempts']}", became, what, said)
        rows.append((row[0], each["run_id"], *row[1:]) if runs else row)
    head = ("AT", "TASK", "ATTEMPT", "NOW", "TYPE", "MESSAGE")
    out.table(("AT", "RUN", *head[1:]) if runs else head, rows, empty=_nothing(found))
    if found["next"]:
        out.remark(f"There are more: --before {found['next']}")


def _print_types(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (
            each["type"],
            each["kind"],
            each["count"],
            each["tasks"],
            each["recovered"],
            each["runs"],
            each["last_at"],
            each["newest"]["run_id"],
            shorten(" ".join(each["newest"]["error"]["message"].split()), 100),
        )
        for each in found["types"]
    ]
    head = ("TYPE", "KIND", "ERRORS", "TASKS", "RECOVERED", "RUNS", "LAST", "IN", "MESSAGE")
    out.table(head, rows, empty=_nothing(found))


def _nothing(found: dict[str, Any]) -> str:
    where = f" in run {found['run_id']}" if found["run_id"] else ""
    return f"No errors{where}{' since ' + found['since'] if found['since'] else ''}."
