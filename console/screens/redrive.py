"""Run dead letters again, changed or not, discard them, export them: what each would touch, then the command.

Law: what a preview names was read just before and is exactly what is sent; letters that were closed meanwhile are
left out and counted. A form is opened only on letters that the engine gave to whoever opens it (DLQ-04).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.present import redrive as say
from console.present.cells import Cell, Line
from console.present.letters import exported, file_name, is_open
from console.present.redrive import Gathered
from console.present.times import counted
from console.screens.editing import Changes, EditForm, letter_fields, policy_fields
from console.widgets.preview import Confirmed, Preview
from engine.client import letters as letter_edits
from engine.client import views
from engine.client.names import label
from engine.model.errors import NotFound, PenstockError
from engine.model.pipeline import Pipeline
from engine.model.run import DeadLetter, PipelineRun, Reason, TaskExecution, TaskState

if TYPE_CHECKING:
    from console.screens.view import View
    from engine.client import Client

MOST = 500  # letters in one go
_MOST_RUNS = 50  # runs whose tasks below are looked at


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody works on: letters by id, whole groups by fingerprint."""

    ids: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command: letters whose edits come to the same travel together."""

    letter_ids: list[str]
    edits: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: Mapping[str, Any] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """As the engine takes them."""
        policy = dict(self.retry_policy) if self.retry_policy is not None else None
        return {"letter_ids": self.letter_ids, "set": dict(self.edits), "retry_policy": policy}


# ---- reading, in a thread


def gather(client: Client, chosen: Chosen) -> Gathered:
    """The letters as they are now, and what their failure had skipped."""
    found, left = _letters(client, chosen)
    letters = [each for each in found if is_open(each)]
    below: dict[str, Sequence[str]] = {}
    runs: dict[str, PipelineRun] = {}
    for run_id in list(dict.fromkeys(each.run_id for each in letters))[:_MOST_RUNS]:
        runs[run_id] = client.run(run_id)
        tasks = {each.task_id for each in letters if each.run_id == run_id}
        below[run_id] = skipped_below(client.pinned(runs[run_id]), client.queries.executions(run_id), tasks)
    return Gathered(
        letters=letters,
        closed=len(found) - len(letters),
        left=left,
        below=below,
        unread=len({each.run_id for each in letters}) - len(below),
        declared=client.pinned(runs[letters[0].run_id]) if letters else None,
        seconds=_seconds(client, letters),
    )


def skipped_below(pipeline: Pipeline | None, executions: Sequence[TaskExecution], tasks: set[str]) -> Sequence[str]:
    """Tasks below these that were skipped because of what happened above: they are decided again."""
    reach = set(tasks)
    order = list(pipeline.tasks) if pipeline is not None else []
    grown = True
    while grown:
        more = {each.id for each in order if reach & set(each.dependencies)} - reach
        reach |= more
        grown = bool(more)
    return [
        label(each.task_id, each.map_index)
        for each in executions
        if each.task_id in reach - tasks
        and each.state is TaskState.SKIPPED
        and each.reason is Reason.UPSTREAM_FAILED
    ]


def _letters(client: Client, chosen: Chosen) -> tuple[list[DeadLetter], int]:
    found: dict[str, DeadLetter] = {}
    left = max(0, len(chosen.ids) - MOST)
    for letter_id in chosen.ids[:MOST]:
        found[letter_id] = client.queries.letter(letter_id)
    for fingerprint in chosen.fingerprints:
        page, more = client.queries.letters(fingerprint=fingerprint, limit=max(1, MOST - len(found)))
        if len(found) < MOST:
            found.update((each.id, each) for each in page)
        left += int(more is not None)
    return list(found.values()), left


def _seconds(client: Client, letters: Sequence[DeadLetter]) -> float | None:
    known: dict[str, Mapping[str, float]] = {}
    total, any_known = 0.0, False
    for each in letters:
        if each.pipeline_id not in known:
            known[each.pipeline_id] = client.queries.task_seconds(each.pipeline_id)
        seconds = known[each.pipeline_id].get(each.task_id)
        total, any_known = total + (seconds or 0.0), any_known or seconds is not None
    return total if any_known else None


def _edit_orders(client: Client, letters: Sequence[DeadLetter], changed: Changes) -> list[Order]:
    """Checked as `dlq requeue --set` checks. RequestError says what does not fit."""
    pairs = tuple(f"{path}={json.dumps(new)}" for path, new in changed.items())
    orders: list[Order] = []
    for each in letters:
        edits = client.letter_edits(each.id, pairs)
        _into(orders, each.id, Order(letter_ids=[], edits=edits))
    return orders


def _policy_orders(letters: Sequence[DeadLetter], changed: Changes) -> list[Order]:
    """A policy travels whole: what is not named would fall back to the defaults, not to the letter's own."""
    checked = letter_edits.retry_policy(json.dumps(changed))
    orders: list[Order] = []
    for each in letters:
        _into(orders, each.id, Order(letter_ids=[], retry_policy={**each.retry_policy, **checked}))
    return orders


def _into(orders: list[Order], letter_id: str, order: Order) -> None:
    same = [each for each in orders if (each.edits, each.retry_policy) == (order.edits, order.retry_policy)]
    if not same:
        orders.append(order)
    (same[0] if same else order).letter_ids.append(letter_id)


# ---- acting


def requeue(view: View, chosen: Chosen, done: Callable[[], None]) -> None:
    """As they are."""

    def gathered(found: Gathered) -> None:
        _confirm(view, found, [Order(letter_ids=[each.id for each in found.letters])], [], done)

    _gathered(view, "requeue", chosen, gathered)


def edit(view: View, chosen: Chosen, done: Callable[[], None]) -> None:
    """Other parameters or config."""

    def gathered(found: Gathered) -> None:
        declared = found.declared.parameters if found.declared is not None else ()
        fields = letter_fields(found.letters, declared)
        if not fields:
            view.console.say("These letters have no parameter and no config in common; edit fewer of them.")
            return

        def check(changed: Changes, fits: Callable[[Any], None], wrong: Callable[[str], None]) -> None:
            view.ask("edits", lambda client: _edit_orders(client, found.letters, changed), fits, fail=wrong)

        _claimed(view, found, lambda: _form(view, found, f"Edit {say.named(found)}", fields, check, done))

    _gathered(view, "edit", chosen, gathered)


def policy(view: View, chosen: Chosen, done: Callable[[], None]) -> None:
    """Another retry policy."""

    def gathered(found: Gathered) -> None:
        def check(changed: Changes, fits: Callable[[Any], None], wrong: Callable[[str], None]) -> None:
            try:
                orders = _policy_orders(found.letters, changed)
            except PenstockError as error:
                wrong(str(error))
            else:
                fits(orders)

        fields = policy_fields(found.letters)
        _claimed(
            view, found, lambda: _form(view, found, f"Retry policy of {say.named(found)}", fields, check, done)
        )

    _gathered(view, "policy", chosen, gathered)


def discard(view: View, chosen: Chosen, done: Callable[[], None]) -> None:
    """Closed, with a reason."""

    def gathered(found: Gathered) -> None:
        def confirmed(answer: Confirmed) -> None:
            ids = [each.id for each in found.letters]

            def restore() -> None:
                view.send("letter.restore", {"letter_ids": ids}, then=lambda _: done())

            view.send(
                "letter.discard",
                {"letter_ids": ids, "reason": answer.reason},
                then=lambda _: done(),
                undo=(f"the discard of {counted(len(ids), 'letter')}", restore),
            )

        view.preview(
            Preview(
                title=f"Discard {say.named(found)}",
                touched=say.touched(found),
                effects=[
                    [Cell("Nothing is run. What lies below stays skipped.")],
                    *say.warnings(found, view.session.actor.name, MOST),
                ],
                confirm=f"Discard {counted(len(found.letters), 'letter')}",
                reason="Why (goes into the letter's history and the audit trail):",
                undo="u opens them again",
            ),
            confirmed,
        )

    _gathered(view, "discard", chosen, gathered)


def export(view: View, chosen: Chosen) -> None:
    """Into a JSON file of the current folder; closed letters too."""
    now = view.now()

    def write(client: Client) -> tuple[int, Path]:
        letters, _ = _letters(client, chosen)
        path = Path.cwd() / file_name([each.id for each in letters], now)
        path.write_text(exported([views.letter(each)["letter"] for each in letters]), encoding="ascii")
        return len(letters), path

    def written(told: tuple[int, Path]) -> None:
        view.console.say(f"Wrote {counted(told[0], 'letter')} to {told[1]}", "ok")

    view.ask("export", write, written, about=chosen)


def _gathered(view: View, what: str, chosen: Chosen, then: Callable[[Gathered], None]) -> None:
    """Read anew, and told when there is nothing left to do it to."""

    def found(gathered: Gathered) -> None:
        if not view.shown or len(view.app.screen_stack) != 1:
            return  # somebody went on meanwhile
        if gathered.letters:
            then(gathered)
        else:
            view.console.say(f"Nothing to {what}: what was chosen is closed.")

    if chosen.ids or chosen.fingerprints:
        view.ask("gather", lambda client: _told(client, chosen), found, about=(what, chosen))
    else:
        view.console.say("No letter is selected.")


def _told(client: Client, chosen: Chosen) -> Gathered:
    try:
        return gather(client, chosen)
    except NotFound as error:
        raise NotFound(f"{error} It may have been pruned; Ctrl+R reads the list anew.") from error


def _claimed(view: View, found: Gathered, then: Callable[[], None]) -> None:
    """Nobody else works on them while the form is open."""

    def answered(_: object) -> None:
        if view.shown and len(view.app.screen_stack) == 1:
            then()

    view.send("letter.claim", {"letter_ids": [each.id for each in found.letters]}, then=answered)


def _form(
    view: View,
    found: Gathered,
    title: str,
    fields: Sequence[Any],
    check: Callable[[Changes, Callable[[Any], None], Callable[[str], None]], None],
    done: Callable[[], None],
) -> None:
    def filled(answer: dict[str, Any] | None) -> None:
        if answer is not None:
            before = {each.name: each.value for each in fields}
            _confirm(view, found, answer["checked"], say.changes(answer["changed"], before), done)

    view.app.push_screen(EditForm(view.looks, title, fields, check), filled)


def _confirm(
    view: View, found: Gathered, orders: Sequence[Order], changes: Sequence[Line], done: Callable[[], None]
) -> None:
    def confirmed(answer: Confirmed) -> None:
        for order in orders:
            view.send("letter.requeue", order.arguments, then=lambda _: done())

    view.preview(
        Preview(
            title=f"Requeue {say.named(found)}",
            touched=[*say.touched(found), *([[], *changes] if changes else [])],
            effects=[*say.below(found), *say.cost(found), *say.warnings(found, view.session.actor.name, MOST)],
            confirm=f"Requeue {counted(len(found.letters), 'letter')}",
            undo="cancel the run; a failure makes a new letter",
        ),
        confirmed,
    )
