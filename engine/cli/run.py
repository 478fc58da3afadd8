"""`penstock run`: a run from trigger to end."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.app import FAILED, INTERRUPTED
from engine.cli.deliver import answered
from engine.cli.follow import Ended, carry
from engine.cli.runs import print_run
from engine.cli.session import Session
from engine.cli.spans import moment
from engine.cli.syntax import command, pass_session
from engine.client.commands import accepted
from engine.client.names import near
from engine.client.scalars import assignments
from engine.model.errors import NotFound, RequestError
from engine.model.pipeline import Pipeline
from engine.model.run import RunState


@command(
    "run",
    "penstock run orders_daily -p region=eu --logical-date 2026-11-19",
    "penstock run orders_daily --from join_sales --detach",
)
@click.argument("pipeline")
@click.option("-p", "pairs", metavar="NAME=VALUE", multiple=True, help="A parameter; may be given again.")
@click.option("--logical-date", metavar="DATE", help="The time the run is for (ISO 8601, UTC if no zone).")
@click.option("--only", metavar="TASK", multiple=True, help="Just this task; may be given again.")
@click.option("--from", "from_", metavar="TASK", multiple=True, help="This task and all that waits for it.")
@click.option("--until", metavar="TASK", multiple=True, help="This task and all it waits for.")
@click.option("--priority", type=int, help="Higher goes first.")
@click.option("--detach", is_flag=True, help="Leave it to the engine (started if none runs) and return.")
@pass_session
def run(
    session: Session,
    pipeline: str,
    pairs: tuple[str, ...],
    logical_date: str | None,
    only: tuple[str, ...],
    from_: tuple[str, ...],
    until: tuple[str, ...],
    priority: int | None,
    detach: bool,
) -> int:
    """Run PIPELINE to its end: on the engine that leads, else here.

    Ctrl-C cancels the run. Exit code 1 when it failed, 130 when it was cancelled.
    """
    client = session.client
    given = assignments(pairs, "-p")
    definition = client.pipeline(pipeline)
    client.parameters(pipeline, given)
    _check_tasks(definition, {"--only": only, "--from": from_, "--until": until})
    at = moment(logical_date, "--logical-date")
    arguments: dict[str, Any] = {
        "pipeline_id": pipeline,
        "parameters": given,
        "logical_date": at.isoformat() if at else None,
        "only": list(only),
        "from": list(from_),
        "until": list(until),
        "profile": client.profile,
        "priority": priority,
        "run_id": None,
        "scope": None,
    }
    return _detached(session, arguments) if detach else _carried(session, arguments)


def _carried(session: Session, arguments: dict[str, Any]) -> int:
    client = session.client
    ticket = client.commands.send("run.trigger", arguments)
    try:
        answer = carry(session, ticket)
    except (Ended, KeyboardInterrupt):
        session.out.remark("penstock: Left. What had not ended goes on when an engine runs (`penstock engine`).")
        return INTERRUPTED
    run_id = answer.run_ids[0]
    shown = client.show(run_id)
    session.answer(shown, lambda out: print_run(out, shown))
    state = RunState(shown["state"])
    if state is RunState.FAILED and not session.json:
        session.out.remark(f"Why it failed: penstock why {run_id}")
    return {RunState.SUCCESS: 0, RunState.CANCELLED: INTERRUPTED}.get(state, FAILED)


def _detached(session: Session, arguments: dict[str, Any]) -> int:
    from engine.bootstrap import engine_leads
    from engine.bootstrap.host import spawn_engine

    if engine_leads(session.workspace) is None:
        pid = spawn_engine(session.workspace)
        session.out.remark(f"Started a background engine (process {pid}).")
    ticket = session.client.commands.send("run.trigger", arguments)
    answer = accepted(answered(session, ticket))
    shown = session.client.show(answer.run_ids[0])
    session.answer(shown, lambda out: out.line(shown["run_id"]))
    return 0


def _check_tasks(pipeline: Pipeline, selected: dict[str, tuple[str, ...]]) -> None:
    from engine.rules.graph import UnknownTaskError, build_graph
    from engine.rules.graph_plan import select_tasks

    known = [task.id for task in pipeline.tasks]
    for option, names in selected.items():
        for name in names:
            if name not in known:
                raise NotFound(f"{option}: pipeline '{pipeline.id}' has no task '{name}'.{near(name, known)}")
    try:
        graph = build_graph(pipeline.dependencies())
        select_tasks(graph, only=selected["--only"], from_=selected["--from"], until=selected["--until"])
    except UnknownTaskError as error:
        raise RequestError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
