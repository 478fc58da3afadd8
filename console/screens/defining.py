"""What is done with pipelines, from any view of them: trigger, pause and resume, validate, edit.

Law: what a trigger or a pause would do is shown before it is sent; values are checked by whoever checks them for
the command line, and a form that was refused comes back with what was typed. A definition is edited in the user's
own editor and checked when that returns; this program never writes one.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.app import ComposeResult, SuspendNotSupported

from console.present.cells import Cell, Line, cell, labelled
from console.present.pipelines import PipelineRow, problem
from console.present.times import counted, span
from console.screens.view import View
from console.theme import Look
from console.widgets.card import Card
from console.widgets.dialog import Buttons, Dialog
from console.widgets.form import Field, Form, fields_of
from console.widgets.preview import Confirmed, Preview
from engine.client.values import PipelineReport
from engine.model.pipeline import Pipeline

if TYPE_CHECKING:
    from engine.client import Client
    from engine.client.commands import Answer

_LOGICAL, _PRIORITY = "logical date", "priority"  # no parameter can be called so: there is a blank, or it is ours
_MOST = 20  # lines of a preview
_FIRES = 3
_LAST = 20  # runs looked through for the values somebody gave last


class Begun(NamedTuple):
    """What a form for a trigger needs."""

    pipeline: Pipeline
    last: Mapping[str, Any]
    note: str


# ---- trigger


def trigger(view: View, row: PipelineRow) -> None:
    """A form of the pipeline's parameters, then the run."""
    view.ask("trigger", lambda client: _begun(client, row.id), lambda begun: _form(view, begun), about=row.id)


def _begun(client: Client, pipeline_id: str) -> Begun:
    pipeline = client.pipeline(pipeline_id)
    active = len(client.queries.runs(pipeline_id=pipeline_id, active=True, limit=100)[0])
    median = client.queries.statistics(pipeline_id).median_seconds
    notes = [counted(len(pipeline.tasks), "task")]
    if median is not None:
        notes.append(f"about {span(median)}")
    if active >= pipeline.execution.max_active_runs:
        notes.append(f"{active} active of at most {pipeline.execution.max_active_runs}: it waits")
    declared = {each.name for each in pipeline.parameters}
    given = [
        run.parameters
        for run in client.queries.runs(pipeline_id=pipeline_id, limit=_LAST)[0]
        if not run.triggered_by.startswith(("schedule:", "run:"))
    ]
    last = {name: value for name, value in given[0].items() if name in declared} if given else {}
    return Begun(pipeline, last, ", ".join(notes))


def _form(view: View, begun: Begun, refusal: str = "") -> None:
    pipeline = begun.pipeline
    if not view.shown or len(view.app.screen_stack) != 1:
        return
    fields = [
        *fields_of(pipeline.parameters, begun.last),
        Field(name=_LOGICAL, type="datetime", value=begun.last.get(_LOGICAL), help="what the run is for, UTC; now"),
        Field(
            name=f"run {_PRIORITY}", type="integer", value=begun.last.get(f"run {_PRIORITY}"), help="higher first"
        ),
    ]

    def filled(values: dict[str, Any] | None) -> None:
        if values is not None:
            _bind(view, begun, values)

    title = f"Run {cell(pipeline.id).text}: {begun.note}"
    view.app.push_screen(TriggerForm(view.looks, title, fields, refusal), filled)


class TriggerForm(Form):
    """The parameters of a run; one that was refused says why."""

    def __init__(self, look: Look, title: str, fields: Sequence[Field], refusal: str) -> None:
        super().__init__(look, title, fields, confirm="Run it")
        self._refusal = refusal

    def on_mount(self) -> None:
        """The refusal is in view; the rest is the form's, whose own handler runs as well."""
        if self._refusal:
            self.call_after_refresh(self._say, "#wrong", self._refusal)


def _bind(view: View, begun: Begun, values: Mapping[str, Any]) -> None:
    """Checked as the command line checks it; what is refused is asked for again."""
    pipeline = begun.pipeline
    defaults = {each.name: each.default for each in pipeline.parameters}
    given = {name: values[name] for name in defaults if name in values and values[name] != defaults[name]}

    def bound(_: Mapping[str, Any]) -> None:
        _send(view, pipeline.id, given, values.get(_LOGICAL), values.get(f"run {_PRIORITY}"))

    def refused(sentence: str) -> None:
        _form(view, begun._replace(last=values), sentence)

    view.ask("bind", lambda client: client.parameters(pipeline.id, given), bound, fail=refused)


def _send(view: View, pipeline_id: str, given: Mapping[str, Any], date: str | None, priority: int | None) -> None:
    made: list[str] = []
    at = datetime.fromisoformat(date) if date else None
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)

    def begun(answer: Answer) -> None:
        made.extend(answer.run_ids)
        if made and view.shown and len(view.app.screen_stack) == 1:
            view.go("run", made[0])

    def undo() -> None:
        for run_id in made:
            view.send("run.cancel", {"run_id": run_id})

    arguments: dict[str, Any] = {
        "pipeline_id": pipeline_id, "parameters": dict(given), "logical_date": at.isoformat() if at else None,
        "only": [], "from": [], "until": [], "profile": view.session.profile, "priority": priority, "run_id": None,
        "scope": None,
    }  # fmt: skip
    view.send("run.trigger", arguments, then=begun, undo=(f"the run of {pipeline_id}", undo))


# ---- pause and resume


def pause(view: View, chosen: Sequence[PipelineRow]) -> None:
    """Pause what fires, or resume what is paused, after showing what that does."""
    rows = [row for row in chosen if row.cron]
    if not rows:
        view.console.say(
            "Nothing to pause: what is selected has no schedule." if chosen else "Nothing is selected."
        )
        return
    resume = all(row.paused for row in rows)
    fitting = [row for row in rows if bool(row.paused) == resume]
    names = [row.id for row in fitting]

    def consequences(client: Client) -> list[tuple[str, str]]:
        return [(name, _resumed(client, name) if resume else _missed(client, name)) for name in names[:_MOST]]

    def known(found: list[tuple[str, str]]) -> None:
        _preview_pause(view, names, found, resume=resume)

    view.ask("consequence", consequences, known, about=tuple(names))


def _resumed(client: Client, pipeline_id: str) -> str:
    return str(client.resume_consequence(pipeline_id)["sentence"])


def _missed(client: Client, pipeline_id: str) -> str:
    fires = [each["at"].replace("T", " ")[:16] for each in client.next_fires(pipeline_id, _FIRES)["fires"]]
    active = len(client.queries.runs(pipeline_id=pipeline_id, active=True, limit=100)[0])
    going = f" {counted(active, 'active run')} goes on to its end." if active == 1 else ""
    going = f" {counted(active, 'active run')} go on to their end." if active > 1 else going
    what = f"It will not fire at {', '.join(fires)} UTC and so on." if fires else "It would not fire anyway."
    return what + going


def _preview_pause(view: View, names: Sequence[str], found: Sequence[tuple[str, str]], *, resume: bool) -> None:
    command = "schedule.resume" if resume else "schedule.pause"

    def confirmed(answer: Confirmed) -> None:
        for name in names:
            arguments = {"pipeline_id": name} if resume else {"pipeline_id": name, "reason": answer.reason}
            view.send(command, arguments, undo=(f"{verb.lower()} of {name}", partial(undo, name)))

    def undo(name: str) -> None:
        if resume:
            view.send("schedule.pause", {"pipeline_id": name, "reason": "the resume was taken back"})
        else:
            view.send("schedule.resume", {"pipeline_id": name})

    verb = "Resume" if resume else "Pause"
    lines: list[Line] = [[cell(name, "strong"), Cell("  "), cell(sentence)] for name, sentence in found]
    if len(names) > len(found):
        lines.append([Cell(f"and {len(names) - len(found):,} more", "dim")])
    what = names[0] if len(names) == 1 else counted(len(names), "pipeline")
    view.preview(
        Preview(
            title=f"{verb} {cell(what).text}",
            touched=lines,
            confirm=verb,
            reason="" if resume else "Why (is shown to whoever finds it paused):",
            undo="pause it again" if resume else "resume it",
        ),
        confirmed,
    )


# ---- definitions


def validate(view: View, chosen: Sequence[PipelineRow]) -> None:
    """Check the files, and say every problem at once."""
    files = list(dict.fromkeys(row.file for row in chosen if row.file))
    if not files:
        return
    paths = [view.session.root / file for file in files]

    def told(reports: Sequence[PipelineReport]) -> None:
        view.look()
        if view.shown and len(view.app.screen_stack) == 1:
            view.app.push_screen(Findings(view.looks, reports))

    view.ask("validate", lambda client: client.validate(paths)[1], told, about=tuple(files))


def edit(view: View, row: PipelineRow) -> None:
    """In the user's editor, with the terminal handed over; then checked."""
    root = view.session.root.resolve()
    path = (root / row.file).resolve()
    if view.session.read_only:
        view.complain("This console is read-only; it opens no editor.")
        return
    if not row.file or root not in path.parents or not path.is_file():
        view.complain(f"{row.id} has no file in this workspace that could be edited.")
        return
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    trouble = _edited(view, command, path)
    if trouble:
        view.complain(trouble)
    else:
        validate(view, [row])


def _edited(view: View, command: str, path: Path) -> str:
    try:
        words = [*shlex.split(command), str(path)]
        with view.app.suspend():
            subprocess.run(words, check=False)  # the user's own editor, by their own environment
    except SuspendNotSupported:
        return f"This terminal cannot be handed to an editor. Edit {path.name} elsewhere, then press V."
    except (OSError, ValueError) as error:
        return f"The editor '{command}' could not be started: {error}. Set EDITOR to the one you use."
    return ""


class Findings(Dialog[None]):
    """What validation says."""

    def __init__(self, look: Look, reports: Sequence[PipelineReport]) -> None:
        bad = sum(bool(each.errors) for each in reports)
        super().__init__(look, f"{counted(bad, 'definition')} with problems" if bad else "Valid")
        self._lines = [line for each in reports for line in found(each, look)] or [[Cell("No such file any more.")]]

    def content(self) -> ComposeResult:
        yield Card(self.look, id="found")
        yield Buttons([("close", "Close")])

    def on_mount(self) -> None:
        """Enter closes it."""
        super().on_mount()
        card = self.query_one(Card)
        card.styles.height = min(2 * len(self._lines) + 1, self.app.size.height - 6)
        card.show(self._lines)
        self.query_one(Buttons).focus()

    def on_buttons_taken(self, event: Buttons.Taken) -> None:
        """Closed."""
        event.stop()
        if not self.guarded:
            self.answer(None)


def found(report: PipelineReport, look: Look) -> list[Line]:
    """One file's problems, or that it has none."""
    state = look.chars.state("FAILED" if report.errors else "SUCCESS")
    lines: list[Line] = [
        [Cell(f"{state} ", "bad" if report.errors else "ok"), cell(report.id or report.file, "strong")],
        labelled("file", report.file),
    ]
    if report.pipeline is not None:
        lines.append(labelled("tasks", len(report.pipeline.tasks)))
    for tone, problems in (("bad", report.errors), ("warn", report.warnings), ("dim", report.suggestions)):
        for each in problems:
            lines.append(problem(each, tone))
            if each.suggestion:
                lines.append([Cell("  perhaps: ", "dim"), cell(each.suggestion)])
    return [*lines, []]
