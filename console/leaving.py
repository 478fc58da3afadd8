"""Closing the console: with runs active it asks whether to leave them running, to wait, or to stop.

Law: closing cancels nothing. Stopping ends attempts as losses, and the next engine goes on with them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from console.present.cells import Cell
from console.present.times import counted
from console.state import State
from console.unstarted import unstarted
from engine.model.errors import PenstockError

if TYPE_CHECKING:
    from console.app import Console
    from console.widgets.preview import Confirmed
    from engine.client import Client
    from engine.client.values import Counts


class Leaver:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting = False

    def ask(self) -> None:
        """Leave, or ask what becomes of the runs first."""
        console = self._console
        state = console.state
        ours = console.session.keep_engine and state.leader is not None and state.leader.scope == "engine"
        if not ours or len(console.screen_stack) > 1 or not (state.active or state.live(console.now())):
            console.leave()
        elif state.active:
            self._offer(state)
        else:  # a run may have begun since the signs were read
            console.questions.ask("leaving", _counts, self._counted, fail=lambda _: console.leave())

    def _counted(self, counts: Counts) -> None:
        state = replace(self._console.state, runs=counts.runs)
        if state.active:
            self._offer(state)
        else:
            self._console.leave()

    def _offer(self, state: State) -> None:
        from console.widgets.preview import Preview

        self._console.preview(
            Preview(
                title="Close the console",
                touched=[
                    [Cell(f"{counted(state.active, 'run')} active; the engine is process {_pid(state)}.")],
                ],
                effects=[
                    [Cell("leave       ", "dim"), Cell("The engine goes on without the console until they end.")],
                    [Cell("wait        ", "dim"), Cell("The console closes when they have ended.")],
                    [Cell("stop        ", "dim"), Cell("The engine ends now; the next one goes on with them.")],
                ],
                choices=[("leave", "Leave running"), ("wait", "Wait"), ("stop", "Stop")],
            ),
            self._chosen,
        )

    def saw(self, state: State) -> None:
        """Whether there is nothing left to wait for."""
        if self._waiting and not state.active:
            self._console.leave()

    def _chosen(self, answer: Confirmed) -> None:
        if answer.choice == "leave":
            self._console.leave()
        elif answer.choice == "wait":
            self._waiting = True
            self._console.say("The console closes when the active runs have ended.")
            self.saw(self._console.state)
        else:
            self._console.say("Stopping the engine.")
            self._console.run_worker(unstarted(self._stop), exit_on_error=False, group="engine")

    async def _stop(self) -> None:
        try:
            await asyncio.to_thread(self._console.session.keeper.stop)
        except (PenstockError, OSError) as error:
            self._console.say(str(error), "bad")
            return
        self._console.leave()


def _counts(client: Client) -> Counts:
    return client.queries.counts()


def _pid(state: State) -> int | str:
    return state.leader.pid if state.leader is not None else "unknown"
