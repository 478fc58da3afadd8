"""`penstock logs`: what tasks wrote, printed or followed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.spans import span
from engine.cli.syntax import command, pass_session
from engine.client import patterns, surroundings
from engine.client.logbook import Follower, merged
from engine.client.names import executions_named, label
from engine.client.surroundings import Surroundings
from engine.client.text import clean
from engine.client.views import log_line
from engine.model.errors import NotFound, RequestError
from engine.model.run import PipelineRun
from engine.ports.logs import LogLine

_POLL_SECONDS = 0.25


@command(
    "logs",
    "penstock logs last extract_orders",
    "penstock logs last -f --grep ERROR",
    "penstock logs last --patterns",
    "penstock logs last --around-error --context 30s",
)
@click.argument("run")
@click.argument("task", required=False)
@click.option("--attempt", type=click.IntRange(min=1), help="Only of this attempt.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the run (or the task) has ended.")
@click.option("--grep", metavar="TEXT", help="Only lines that contain TEXT.")
@click.option(
    "--patterns", "seen", is_flag=True, help="What is worth a look: gaps, repeated errors, contradictions."
)
@click.option("--gap", metavar="TIME", help="With --patterns: how long a silence counts. [default: 60s]")
@click.option(
    "--around-error", "around", is_flag=True, help="Lines of every task around the last error (or TASK's)."
)
@click.option("--context", metavar="TIME", help="With --around-error: how long before and after. [default: 30s]")
@pass_session
def logs(
    session: Session,
    run: str,
    task: str | None,
    attempt: int | None,
    following: bool,
    grep: str | None,
    seen: bool,
    gap: str | None,
    around: bool,
    context: str | None,
) -> None:
    """Print the log of RUN's tasks, merged by time, or of one TASK. With --json: JSON Lines (--patterns: one
    document)."""
    _refuse(following=following, grep=grep, seen=seen, gap=gap, around=around, context=context)
    client = session.client
    found = client.run(run)
    if seen:
        length = span(gap, "--gap") if gap is not None else patterns.GAP
        told = patterns.patterns(client, found, task, attempt, gap=length)
        session.answer(told, lambda out: _print_patterns(out, told))
        return
    if around:
        width = span(context, "--context") if context is not None else surroundings.CONTEXT
        _around(session, surroundings.around_error(client, found, task, attempt, width))
        return
    if following:
        _follow(session, found, task, attempt, grep)
        return
    attempts = client.log_sources(found, task, attempt)
    _print(session, merged(client.logs, attempts, grep=grep), named=len({_key(each) for each in attempts}) > 1)


def _refuse(
    *, following: bool, grep: str | None, seen: bool, gap: str | None, around: bool, context: str | None
) -> None:
    if following + bool(grep) + seen + around > 1 and (seen or around):
        raise RequestError("--patterns and --around-error stand alone: without each other, --follow and --grep.")
    if gap is not None and not seen:
        raise RequestError("--gap belongs to --patterns.")
    if context is not None and not around:
        raise RequestError("--context belongs to --around-error.")


def _around(session: Session, found: Surroundings) -> None:
    if not session.json:
        session.out.remark(found.sentence)
    _print(session, found.lines, named=True)


def _print_patterns(out: Output, told: dict[str, Any]) -> None:
    rows = [
        (
            each["at"],
            each["pattern"].replace("_", " "),
            label(each["task_id"], each["map_index"]) if each["task_id"] else "",
            each["attempt"],
            each["sentence"],
        )
        for each in told["patterns"]
    ]
    nothing = f"Nothing stands out in {told['lines']} line(s)."
    out.table(("AT", "PATTERN", "TASK", "ATTEMPT", ""), rows, empty=nothing)
    if told["cut"]:
        out.remark(f"Only the first {told['lines']} lines were looked at; name a TASK to look closer.")


def _follow(session: Session, run: PipelineRun, task: str | None, attempt: int | None, grep: str | None) -> None:
    client = session.client
    follower = Follower(client.logs, grep=grep)
    _, token = client.queries.changed(None)
    named = task is None
    while True:
        ended = _ended(session, run.run_id, task)
        try:
            attempts = client.log_sources(run, task, attempt)
        except NotFound:
            if attempt is None or ended:
                raise
            attempts = []  # that attempt may yet come
        _print(session, follower.poll(attempts), named=named)
        session.out.flush()
        if ended:
            return
        _, token = client.queries.wait(token, _POLL_SECONDS)


def _ended(session: Session, run_id: str, task: str | None) -> bool:
    queries = session.client.queries
    if task is None:
        return queries.resolve_run(run_id).state.terminal
    return all(each.state.terminal for each in executions_named(task, run_id, queries.executions(run_id)))


def _print(session: Session, lines: Iterable[LogLine], *, named: bool) -> None:
    out = session.out
    if session.json:
        for line in lines:
            out.json_line(log_line(line))
        return
    colours = _Colours(out.terminal and "NO_COLOR" not in os.environ)
    for line in lines:
        prefix = f"{colours.name(label(line.task_id, line.map_index))} | " if named else ""
        out.prefixed(prefix, line.text)


def _key(attempt: object) -> tuple[object, object]:
    return getattr(attempt, "task_id", None), getattr(attempt, "map_index", None)


class _Colours:
    """Each task of a merged log in a colour of its own."""

    def __init__(self, on: bool) -> None:
        self._on = on
        self._given: dict[str, int] = {}

    def name(self, task: str) -> str:
        if not self._on:
            return task
        task = clean(task)
        number = self._given.setdefault(task, len(self._given))
        return f"\x1b[3{1 + number % 6}m{task}\x1b[0m"
