"""Closing the circuit of a connection by hand, shown before it is sent.

Law: what waits for the connection is read before it is asked whether to close it. It cannot be taken back: a
connection that still fails opens its circuit by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from console.present import circuits as present
from console.present.cells import Cell, Line, cell
from console.present.health import ConnectionRow
from console.present.times import counted
from console.widgets.preview import Confirmed, Preview
from engine.client.circuits import held_back
from engine.client.names import label

if TYPE_CHECKING:
    from console.screens.health import HealthView
    from engine.client import Client
    from engine.model.run import TaskExecution

_MOST_TASKS = 10
_Waiting = Mapping[str, Sequence["TaskExecution"]]


def close(view: HealthView, chosen: Sequence[ConnectionRow]) -> None:
    """Those that are open or half open, once it is known what waits for them."""
    now = view.now()
    fitting = [row for row in chosen if row.guarded and present.is_open(row.breaker, now)]
    if not fitting:
        closed = "Nothing to close: tasks use what is selected already."
        view.console.say(closed if chosen else "Nothing is selected.")
        return

    def question(client: Client) -> tuple[_Waiting, str | None]:
        return {row.id: held_back(client, row.id) for row in fitting}, client.profile

    def answered(found: tuple[_Waiting, str | None]) -> None:
        waiting, profile = found
        _preview(view, fitting, waiting, profile, len(chosen) - len(fitting))

    view.ask("waiting", question, answered, about=tuple(row.id for row in fitting))


def _preview(
    view: HealthView, fitting: Sequence[ConnectionRow], waiting: _Waiting, profile: str | None, left_out: int
) -> None:
    def confirmed(answer: Confirmed) -> None:
        for row in fitting:
            given = {"connection_id": row.id, "profile": profile}
            view.send("connection.close", given, then=lambda done: view.look())
        view.listing("connections").clear_marks()

    touched: list[Line] = []
    for row in fitting:
        touched += _touched(view, row, waiting[row.id])
    effects: list[Line] = [[Cell("All that waits uses it at once, without trying it with one task first.")]]
    effects.append([Cell("If calls to it go on failing, the circuit opens again.", "dim")])
    if left_out:
        effects.append([Cell(f"{left_out} left out: closed already, or without a circuit.", "dim")])
    what = "circuit" if len(fitting) == 1 else counted(len(fitting), "circuit")
    view.preview(
        Preview(title=f"Close {what}", touched=touched, effects=effects, confirm="Close"),
        confirmed,
    )


def _touched(view: HealthView, row: ConnectionRow, tasks: Sequence[TaskExecution]) -> list[Line]:
    now = view.now()
    line = [present.state(row.guarded, row.breaker, now, view.looks), Cell("  "), cell(row.id, "strong")]
    out: list[Line] = [line]
    if row.breaker is not None:
        *until, why = present.told(row.breaker, now)
        out += [[Cell("  "), *until], [Cell("  "), why]]
    out.append([Cell("  1 task waits for it" if len(tasks) == 1 else f"  {len(tasks):,} tasks wait for it")])
    out += (
        [Cell("    "), cell(f"{each.run_id} {label(each.task_id, each.map_index)}", "dim")]
        for each in tasks[:_MOST_TASKS]
    )
    if len(tasks) > _MOST_TASKS:
        out.append([Cell(f"    and {len(tasks) - _MOST_TASKS:,} more", "dim")])
    return out
