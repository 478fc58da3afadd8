"""Run a pipeline again with other parameters: a form with the values of a run that was.

Law: the definition usable now is what runs, with its parameters as they are declared now; what the old run had
besides is said, not sent. Everything else (logical date, profile, priority, selected tasks) stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.client.names import near

if TYPE_CHECKING:
    from console.screens.view import View
    from engine.client import Client
    from engine.client.commands import Answer
    from engine.model.pipeline import Pipeline
    from engine.model.run import PipelineRun


def rerun(view: View, run_id: str) -> None:
    """Ask for the parameters, then trigger."""
    view.ask("again", lambda client: _read(client, run_id), lambda found: _ask(view, *found), about=run_id)


def _read(client: Client, run_id: str) -> tuple[Client, PipelineRun, Pipeline]:
    run = client.run(run_id)
    return client, run, client.pipeline(run.pipeline_id)


def _ask(view: View, client: Client, run: PipelineRun, pipeline: Pipeline) -> None:
    from console.widgets.form import (
        Form,
        fields_of,
    )  # brings text inputs along, which the first paint has no use for

    known = [each.name for each in pipeline.parameters]
    for name in run.parameters:
        if name not in known:
            view.console.say(f"'{name[:60]}' is no parameter any more and is left out.{near(name, known)}", "warn")

    def check(values: Mapping[str, Any]) -> None:
        client.catalog.bind_parameters(pipeline, values)

    def filled(values: dict[str, Any] | None) -> None:
        if values is not None:
            view.send("run.trigger", arguments(run, values), then=lambda answer: _follow(view, answer))

    form = Form(
        view.looks,
        f"Run {run.pipeline_id} again for {run.logical_date:%Y-%m-%d %H:%M}",
        fields_of(pipeline.parameters, run.parameters),
        confirm="Run again",
        check=check,
    )
    view.console.push_screen(form, filled)


def arguments(run: PipelineRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """The command: the old run with these parameters."""
    return {
        "pipeline_id": run.pipeline_id,
        "parameters": dict(values),
        "logical_date": run.logical_date.isoformat(),
        "only": list(run.selection or ()),
        "from": [],
        "until": [],
        "profile": run.profile,
        "priority": run.priority,
        "run_id": None,
        "scope": None,
    }


def _follow(view: View, answer: Answer) -> None:
    if answer.run_ids and view.shown:
        view.go("run", answer.run_ids[0])
