"""Retry, cancel and mark tasks of a run: what each would touch, shown before it is sent.

Law: the preview names exactly the tasks that are sent; an action with nothing to do says so instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from console.present.cells import Cell, Line, cell
from console.present.rundetail import RunDetail
from console.present.states import state_cell
from console.present.times import counted, span
from console.theme import Look
from console.widgets.preview import Confirmed, Preview
from engine.client.names import label, split
from engine.model.run import TaskExecution, TaskState

_MOST_LINES = 100
_AGAIN = (TaskState.FAILED, TaskState.CANCELLED)


class Marks(Protocol):
    """Marks that go when what they stood for was sent."""

    def clear_marks(self) -> object: ...


class Voice(Protocol):
    """Where a sentence is said."""

    def say(self, text: str) -> None: ...


class Hands(Protocol):
    """Whoever changes something about a run's tasks: the view of the run, or a reason that names some of them."""

    @property
    def run_id(self) -> str: ...
    @property
    def detail(self) -> RunDetail | None: ...
    @property
    def looks(self) -> Look: ...
    @property
    def console(self) -> Voice: ...
    @property
    def listing(self) -> Marks: ...
    def chosen_tasks(self) -> list[str]: ...
    def send(self, command: str, arguments: Mapping[str, Any]) -> None: ...
    def preview(self, preview: Preview, then: Callable[[Confirmed], None]) -> None: ...


def retry(view: Hands, *, downstream: bool) -> None:
    """The chosen tasks, or everything that failed."""
    detail = view.detail
    if detail is None:
        return
    chosen = _executions(detail, view.chosen_tasks())
    failed = [each for each in detail.executions if each.state in _AGAIN]
    ended = [each for each in chosen if each.state.terminal]
    choices = []
    if ended:
        choices.append(("chosen", f"Retry {_named(ended)}"))
    if failed and _names(failed) != _names(ended):
        choices.append(("failed", f"Retry all failed ({len(failed)})"))
    if not choices:
        view.console.say("Nothing to retry: what is selected has not ended, and nothing failed.")
        return
    touched = ended or failed

    def confirmed(answer: Confirmed) -> None:
        names = _names(ended) if answer.choice == "chosen" else []
        view.send(
            "run.retry",
            {
                "run_id": view.run_id,
                "tasks": names,
                "downstream": "downstream" in answer.options or downstream,
                "fresh": "fresh" in answer.options,
            },
        )
        view.listing.clear_marks()

    options = [("fresh", "discard their checkpoints")]
    if not downstream:
        options.append(("downstream", "also what had succeeded below them"))
    view.preview(
        Preview(
            title="Retry with what is below" if downstream else "Retry",
            touched=_lines(touched, view),
            effects=[*_below(detail, touched, downstream=downstream), *_cost(detail, touched)],
            choices=choices,
            options=options,
        ),
        confirmed,
    )


def cancel(view: Hands) -> None:
    """The chosen tasks, or the run."""
    detail = view.detail
    if detail is None:
        return
    live = [each for each in _executions(detail, view.chosen_tasks()) if not each.state.terminal]
    if detail.run.state.terminal:
        view.console.say(f"Nothing to cancel: the run has ended {detail.run.state.value}.")
        return
    active = [each for each in detail.executions if not each.state.terminal]
    choices = [("tasks", f"Cancel {_named(live)}")] if live else []
    choices.append(("run", "Cancel the whole run"))

    def confirmed(answer: Confirmed) -> None:
        if answer.choice == "run":
            view.send("run.cancel", {"run_id": view.run_id})
        else:
            view.send("task.cancel", {"run_id": view.run_id, "tasks": _names(live)})
        view.listing.clear_marks()

    running = sum(each.state is TaskState.RUNNING for each in active)
    view.preview(
        Preview(
            title="Cancel",
            touched=_lines(live or active, view),
            effects=[
                [Cell(f"The whole run: {counted(len(active), 'task')}, {running} with a process that ends.", "dim")]
            ],
            choices=choices,
            undo="retry runs them again",
        ),
        confirmed,
    )


def mark(view: Hands) -> None:
    """One task, by hand."""
    detail = view.detail
    names = view.chosen_tasks()
    if detail is None or not names:
        return
    chosen = _executions(detail, names)

    def confirmed(answer: Confirmed) -> None:
        for each in chosen:
            view.send(
                "task.mark",
                {
                    "run_id": view.run_id,
                    "task": label(each.task_id, each.map_index),
                    "state": answer.choice,
                    "reason": answer.reason,
                },
            )
        view.listing.clear_marks()

    live = sum(each.state is TaskState.RUNNING for each in chosen)
    effects: list[Line] = [[Cell("Nothing is run. What a failure skipped below is decided anew.")]]
    if live:
        effects.append([Cell(f"{counted(live, 'live attempt')} cancelled first.", "warn")])
    view.preview(
        Preview(
            title=f"Mark {_named(chosen)}",
            touched=_lines(chosen, view),
            effects=effects,
            choices=[("success", "Mark success"), ("failed", "Mark failed")],
            reason="Why (goes into the audit trail):",
            undo="mark it again",
        ),
        confirmed,
    )


def _executions(detail: RunDetail, names: Sequence[str]) -> list[TaskExecution]:
    found = []
    for name in names:
        task_id, index = split(name)
        found += [each for each in detail.of(task_id) if index in (None, each.map_index)]
    return found


def _names(executions: Sequence[TaskExecution]) -> list[str]:
    return [label(each.task_id, each.map_index) for each in executions]


def _named(executions: Sequence[TaskExecution]) -> str:
    if len(executions) == 1:
        return cell(_names(executions)[0]).text[:30]
    return counted(len(executions), "task")


def _lines(executions: Sequence[TaskExecution], view: Hands) -> list[Line]:
    out: list[Line] = [
        [state_cell(each.state.value, view.looks), Cell("  "), cell(label(each.task_id, each.map_index), "strong")]
        for each in executions[:_MOST_LINES]
    ]
    if len(executions) > _MOST_LINES:
        out.append([Cell(f"and {len(executions) - _MOST_LINES:,} more", "dim")])
    return out


def _below(detail: RunDetail, touched: Sequence[TaskExecution], *, downstream: bool) -> list[Line]:
    """What follows by itself."""
    below = _descent(detail, {each.task_id for each in touched})
    again = [
        each
        for each in detail.executions
        if each.task_id in below and (each.state is TaskState.SKIPPED or (downstream and each.state.terminal))
    ]
    if not again:
        return []
    names = ", ".join(dict.fromkeys(cell(each.task_id).text for each in again))
    return [[Cell("decided again below: ", "dim"), Cell(names[:400])]]


def _descent(detail: RunDetail, tasks: set[str]) -> set[str]:
    found: set[str] = set()
    below = detail.shape.below if detail.shape is not None else {}
    stack = list(tasks)
    while stack:
        fresh = [each for each in below.get(stack.pop(), ()) if each not in found]
        found.update(fresh)
        stack += fresh
    return found - tasks


def _cost(detail: RunDetail, touched: Sequence[TaskExecution]) -> list[Line]:
    known = [detail.medians[each.task_id] for each in touched if each.task_id in detail.medians]
    slots = [[Cell("slots       ", "dim"), Cell(counted(len(touched), "worker") + " at most")]]
    if not known:
        return [*slots]
    more = f" for {len(known)} of {len(touched)}" if len(known) < len(touched) else ""
    return [*slots, [Cell("cost        ", "dim"), Cell(f"about {span(sum(known))} of work{more}, by the median")]]
