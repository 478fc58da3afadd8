"""`penstock graph`: a pipeline, or a run with its states, as text, picture, page or data."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.graph_files import graph_details, picture
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.model.errors import NotFound, RequestError
from engine.model.pipeline import Pipeline
from engine.model.run import TaskExecution, TaskState

if TYPE_CHECKING:
    from engine.layout.values import Graph, Overlay

_FORMATS = ("text", "svg", "png", "dot", "json", "graphml", "html")
_WORST_FIRST = ("FAILED", "RUNNING", "RETRYING", "QUEUED", "WAITING", "PENDING", "CANCELLED", "SKIPPED", "SUCCESS")


@command("graph", "penstock graph orders_daily", "penstock graph orders_daily --run last -f svg -o orders.svg")
@click.argument("pipeline", required=False)
@click.option("--run", "run_name", metavar="RUN", help="Draw this run's definition with its states.")
@click.option("-f", "--format", "form", metavar="|".join(_FORMATS), help="Default: text.")
@click.option("-o", "--output", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write it there.")
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters only.")
@pass_session
def graph(
    session: Session, pipeline: str | None, run_name: str | None, form: str | None, target: Path | None, plain: bool
) -> None:
    """Draw PIPELINE, or a run of it. Without -f the format follows FILE's ending, else it is text."""
    chosen = _format(form, target, session)
    definition, executions = _drawn(session, pipeline, run_name)
    states = _states(executions) if executions is not None else None
    if target is not None and (target.is_dir() or not target.parent.exists()):
        raise RequestError(f"{target} cannot be written: it has to be a file in a folder that exists.")
    if chosen == "png" and target is None and session.out.terminal:
        raise RequestError("A PNG is nothing for a terminal; give it a file with -o FILE.")
    drawn = "svg" if chosen == "png" else chosen
    if chosen == "html":
        text = _page(session, definition, executions, run_name)
    else:
        text = _render(session, definition, states, drawn, plain=plain, to_file=target is not None)
    if chosen == "png":
        _write_bytes(picture(text), target)
    elif target is None:
        session.out.block(text)
    else:
        target.write_text(text + "\n", encoding="utf-8")
    if target is not None:
        session.out.remark(f"Wrote {target}.")


def _write_bytes(data: bytes, target: Path | None) -> None:
    if target is not None:
        target.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _page(
    session: Session, definition: Pipeline, executions: list[TaskExecution] | None, run_name: str | None
) -> str:
    from engine.layout.html import to_html

    run = executions[0].run_id if executions else None
    about = f"Run {run}" if run_name is not None and run else definition.description
    states = _states(executions) if executions is not None else None
    details = graph_details(definition, executions)
    return to_html(_graph_of(definition), states, title=definition.name, subtitle=about, details=details)


def _format(form: str | None, target: Path | None, session: Session) -> str:
    if form is None and target is not None and target.suffix[1:] in _FORMATS:
        form = target.suffix[1:]
    chosen = form or ("json" if session.json else "text")
    if chosen not in _FORMATS:
        raise RequestError(f"There is no graph format '{chosen}'; there are {', '.join(_FORMATS)}.")
    if session.json and chosen != "json" and target is None:
        raise RequestError(f"--json and -f {chosen} do not go together; give one of them.")
    return chosen


def _drawn(
    session: Session, pipeline: str | None, run_name: str | None
) -> tuple[Pipeline, list[TaskExecution] | None]:
    client = session.client
    if run_name is None:
        if pipeline is None:
            raise RequestError(
                "`penstock graph` takes a PIPELINE, or --run RUN; `penstock validate` lists pipelines."
            )
        return client.pipeline(pipeline), None
    run = client.run(f"last:{pipeline}" if run_name == "last" and pipeline else run_name)
    if pipeline is not None and run.pipeline_id != pipeline:
        raise RequestError(f"Run {run.run_id} is one of '{run.pipeline_id}', not of '{pipeline}'.")
    definition = client.pinned(run)
    if definition is None:
        raise NotFound(
            f"Version {run.version} of '{run.pipeline_id}', which run {run.run_id} used, is not kept any more."
        )
    return definition, list(client.queries.executions(run.run_id))


def _states(executions: list[TaskExecution]) -> Mapping[str, Overlay]:
    """One overlay per task; items of a mapped task are summed up, the worst state first."""
    from engine.layout.values import Overlay

    by_task: dict[str, list[TaskExecution]] = {}
    for each in executions:
        by_task.setdefault(each.task_id, []).append(each)
    found = {}
    for task_id, items in by_task.items():
        worst = min((each.state.value for each in items), key=_WORST_FIRST.index)
        found[task_id] = Overlay(state=worst, suffix=_suffix(items))
    return found


def _suffix(items: list[TaskExecution]) -> str:
    if len(items) > 1:
        ended = sum(each.state.terminal for each in items)
        return f"{ended}/{len(items)}"
    (one,) = items
    if one.state is TaskState.RETRYING:
        return f"retry after attempt {one.attempt_count}"
    done, total = one.progress.get("done"), one.progress.get("total")
    if one.state is TaskState.RUNNING and isinstance(done, int | float) and isinstance(total, int | float):
        return f"{100 * done / total:.0f}%" if total else ""
    return ""


def _render(session: Session, definition: Pipeline, states: Any, form: str, *, plain: bool, to_file: bool) -> str:
    graph = _graph_of(definition)
    if form == "svg":
        from engine.layout.svg import to_svg

        return to_svg(graph, states, title=definition.name)
    if form == "dot":
        from engine.layout.dot import to_dot

        return to_dot(graph, states, name=definition.id)
    if form == "graphml":
        from engine.layout.graphml import to_graphml

        return to_graphml(graph, states, name=definition.id)
    if form == "json":
        from engine.layout.document import to_json

        return to_json(graph, states)
    from engine.layout.text import to_text

    width = shutil.get_terminal_size().columns if session.out.terminal and not to_file else None
    ascii_only = plain or os.environ.get("LC_ALL", os.environ.get("LANG", "utf-8")) in ("C", "POSIX")
    return to_text(graph, states, width=width, ascii=ascii_only)


def _graph_of(definition: Pipeline) -> Graph:
    from engine.layout.values import Edge, Node, graph_of

    nodes = [Node(id=task.id, label=task.id, kind=task.type) for task in definition.tasks]
    edges = [
        Edge(upstream=upstream, downstream=task.id, kind="conditional" if task.when is not None else "control")
        for task in definition.tasks
        for upstream in task.dependencies
    ]
    return graph_of(nodes, edges)
