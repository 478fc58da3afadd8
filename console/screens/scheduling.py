"""Pause, resume and run now, each shown before it is sent; and what another expression would fire.

Law: a resume shows its consequence before it is asked for; what-if saves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.present.cells import Cell, Line, cell, labelled
from console.present.schedules import ScheduleRow, fire_lines, state_of
from console.present.times import ago, counted, span, stamp
from console.theme import Look
from console.widgets.card import Card
from console.widgets.dialog import Dialog
from console.widgets.preview import Confirmed, Preview
from console.widgets.strips import Strips
from console.widgets.typed import TypedLine

if TYPE_CHECKING:
    from console.screens.schedules import SchedulesView
    from engine.client import Client
    from engine.client.values import PipelineStatistics
    from engine.model.pipeline import Pipeline

_TRIED = 10
_MOST_SENTENCES = 50


def pause(view: SchedulesView, chosen: Sequence[ScheduleRow]) -> None:
    """Those that are not paused yet, with a reason."""
    fitting = [row for row in chosen if row.state != "paused"]
    if not fitting:
        view.console.say(
            "Nothing to pause: what is selected is paused already." if chosen else "Nothing is selected."
        )
        return

    def confirmed(answer: Confirmed) -> None:
        for row in fitting:
            given = {"pipeline_id": row.pipeline_id, "reason": answer.reason}
            view.send("schedule.pause", given, undo=_undo_pause(view, row.pipeline_id))
        view.table.clear_marks()

    now = view.now()
    effects: list[Line] = [[Cell("No slot fires until it is resumed; runs that go on now are left alone.")]]
    view.preview(
        Preview(
            title=f"Pause {counted(len(fitting), 'schedule')}",
            touched=[
                [*_line(row, view.looks), Cell(f"  next {stamp(row.next_fire)} {ago(row.next_fire, now)}", "dim")]
                for row in fitting
            ],
            effects=[*effects, *_left_out(len(chosen) - len(fitting), "paused already")],
            confirm="Pause",
            reason="Why (is shown, and goes into the audit trail):",
            undo="resume",
        ),
        confirmed,
    )


def resume(view: SchedulesView, chosen: Sequence[ScheduleRow]) -> None:
    """Those that are paused, once it is known what that fires."""
    fitting = [row for row in chosen if row.state == "paused"]
    if not fitting:
        view.console.say("Nothing to resume: what is selected is not paused." if chosen else "Nothing is selected.")
        return
    names = [row.pipeline_id for row in fitting]

    def consequences(client: Client) -> list[Mapping[str, Any]]:
        return [client.resume_consequence(name) for name in names]

    def told(found: list[Mapping[str, Any]]) -> None:
        _preview_resume(view, fitting, found, len(chosen) - len(fitting))

    view.ask("consequence", consequences, told, about=tuple(names))


def _preview_resume(
    view: SchedulesView, fitting: Sequence[ScheduleRow], found: Sequence[Mapping[str, Any]], left_out: int
) -> None:
    def confirmed(_: Confirmed) -> None:
        for row in fitting:
            undo = _undo_resume(view, row)
            view.send("schedule.resume", {"pipeline_id": row.pipeline_id}, undo=undo)
        view.table.clear_marks()

    fired = sum(len(each["fires"]) for each in found)
    touched: list[Line] = []
    for row, each in list(zip(fitting, found, strict=True))[:_MOST_SENTENCES]:
        touched.append([*_line(row, view.looks), Cell("  paused: ", "dim"), cell(row.reason)])
        touched.append([Cell("  "), cell(each["sentence"], "warn" if each["fires"] else "")])
    at_once = f" and fire {counted(fired, 'slot')} at once" if fired else ""
    view.preview(
        Preview(
            title=f"Resume {counted(len(fitting), 'schedule')}",
            touched=touched,
            effects=_left_out(left_out, "not paused"),
            confirm=f"Resume{at_once}",
            undo="pause again; runs that were made go on",
        ),
        confirmed,
    )


def _undo_pause(view: SchedulesView, pipeline_id: str) -> tuple[str, Callable[[], None]]:
    return f"pause of {pipeline_id}", lambda: view.send("schedule.resume", {"pipeline_id": pipeline_id})


def _undo_resume(view: SchedulesView, row: ScheduleRow) -> tuple[str, Callable[[], None]]:
    given = {"pipeline_id": row.pipeline_id, "reason": str(row.known["pause_reason"] or "paused again")}
    return f"resume of {row.pipeline_id}", lambda: view.send("schedule.pause", given)


def run_now(view: SchedulesView, row: ScheduleRow) -> None:
    """A run beside the schedule; what its parameters are is asked first."""

    def read(client: Client) -> tuple[Pipeline, PipelineStatistics, int]:
        active, _ = client.queries.runs(pipeline_id=row.pipeline_id, active=True, limit=100)
        return client.pipeline(row.pipeline_id), client.queries.statistics(row.pipeline_id), len(active)

    def found(answer: tuple[Pipeline, PipelineStatistics, int]) -> None:
        pipeline, statistics, active = answer
        if not pipeline.parameters:
            _preview_run(view, row, {}, pipeline, statistics, active)
            return
        from console.widgets.form import Form, fields_of

        def given(values: dict[str, Any] | None) -> None:
            if values is not None:
                _preview_run(view, row, values, pipeline, statistics, active)

        fields = fields_of(pipeline.parameters, pipeline.schedule_parameters)
        title = f"Run {row.pipeline_id} now"
        view.console.push_screen(Form(view.looks, title, fields, confirm="Go on"), given)

    view.ask("run", read, found, about=row.pipeline_id)


def _preview_run(
    view: SchedulesView,
    row: ScheduleRow,
    values: Mapping[str, Any],
    pipeline: Pipeline,
    statistics: PipelineStatistics,
    active: int,
) -> None:
    def confirmed(_: Confirmed) -> None:
        given: dict[str, Any] = {
            "pipeline_id": row.pipeline_id,
            "parameters": dict(values),
            "logical_date": None,
            "only": [],
            "from": [],
            "until": [],
            "profile": view.session.profile,
            "priority": None,
            "run_id": None,
            "scope": None,
        }
        view.send("run.trigger", given)

    effects: list[Line] = [
        labelled("tasks", len(pipeline.tasks)),
        labelled("next slot", stamp(row.next_fire) or "none"),
    ]
    if statistics.median_seconds is not None:
        effects.append(labelled("takes", f"{span(statistics.median_seconds)} by the median"))
    most = pipeline.execution.max_active_runs
    if active >= most:
        text = f"{counted(active, 'run')} active of at most {most}: it waits until one ends"
        effects.append(labelled("waits", text, "warn"))
    view.preview(
        Preview(
            title="Run now",
            touched=[_line(row, view.looks), *(labelled(name, value) for name, value in values.items())],
            effects=effects,
            confirm="Run now",
            undo="cancel the run",
        ),
        confirmed,
    )


def _line(row: ScheduleRow, look: Look) -> list[Cell]:
    return [state_of(row.state, look), Cell("  "), cell(row.pipeline_id, "strong")]


def _left_out(count: int, why: str) -> list[Line]:
    return [[Cell(f"{counted(count, 'schedule')} left out: {why}.", "warn")]] if count else []


def what_if(view: SchedulesView, row: ScheduleRow) -> None:
    """Type an expression, see what it would fire."""
    view.console.push_screen(WhatIf(view, row))


class WhatIf(Dialog[None]):
    """A cron expression and a time zone, and what they would fire."""

    DEFAULT_CSS = """
    WhatIf Input { border: none; height: 1; padding: 0 0 0 2; }
    WhatIf Input:focus { text-style: underline; }
    WhatIf Card { height: 13; }
    """

    def __init__(self, view: SchedulesView, row: ScheduleRow) -> None:
        super().__init__(view.looks, f"What if: {row.pipeline_id}")
        self._view = view
        self._row = row

    def content(self) -> ComposeResult:
        yield Strips(self.look, id="cron-label")
        yield TypedLine(self._row.cron, id="cron", compact=True, select_on_focus=False)
        yield Strips(self.look, id="zone-label")
        yield TypedLine(self._row.timezone, id="zone", compact=True, select_on_focus=False)
        yield Strips(self.look, id="said")
        yield Card(self.look)
        yield Strips(self.look, id="foot")

    def on_mount(self) -> None:
        """The expression has the focus."""
        super().on_mount()
        hint = "minute hour day-of-month month day-of-week, or @daily"
        self.query_one("#cron-label", Strips).show([[Cell("cron  ", "strong"), Cell(hint, "dim")]])
        self.query_one("#zone-label", Strips).show([[Cell("time zone  ", "strong"), Cell("an IANA name", "dim")]])
        self.query_one("#foot", Strips).show([[Cell("Nothing is saved. Esc leaves.", "dim")]])
        self.query_one("#cron", Input).focus()
        self._try()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tried as it is typed."""
        event.stop()
        if self.is_mounted:
            self._try()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """On to the other field."""
        event.stop()
        self.focus_next()

    def on_key(self, event: events.Key) -> None:
        """Up and down walk through it."""
        if event.key in ("down", "up"):
            event.stop()
            (self.focus_next if event.key == "down" else self.focus_previous)()
        else:
            super().on_key(event)

    def _try(self) -> None:
        cron, zone = self.query_one("#cron", Input).value, self.query_one("#zone", Input).value
        pipeline_id = self._row.pipeline_id
        self._view.ask(
            "what-if",
            lambda client: client.try_schedule(pipeline_id, cron, zone, _TRIED),
            self._fires,
            about=(pipeline_id, cron, zone),
            fail=self._refused,
        )

    def _fires(self, found: Mapping[str, Any]) -> None:
        if self.is_mounted:
            count = len(found["fires"])
            text = f"The next {counted(count, 'fire')} would be:" if count else "It would never fire."
            self.query_one("#said", Strips).show([[Cell(text, "ok" if count else "warn")]])
            self.query_one(Card).show(fire_lines(found["fires"], self._view.now()))

    def _refused(self, sentence: str) -> None:
        if self.is_mounted:
            self.query_one("#said", Strips).show([[cell(sentence, "bad")]])
            self.query_one(Card).show([])
