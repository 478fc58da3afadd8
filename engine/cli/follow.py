"""Carries runs to their end: on the engine that leads, else on one hosted here.

Law: whoever leads may die and whoever hosts may find another leading; following goes on either way, and this
process hosts whenever nobody leads. An interrupt cancels what was started here and waits for that to be done; a
second one leaves at once. A signal to end gives the lease back and cancels nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from engine.cli.progress import Progress, progress_for
from engine.cli.session import Session
from engine.client.commands import Answer, Ticket, accepted
from engine.client.feed import Feed
from engine.model.errors import StoreUnusable
from engine.model.run import PipelineRun

if TYPE_CHECKING:
    from engine.bootstrap.host import Host

_LOOK_SECONDS = 1.0  # between two looks whether somebody still leads
_MOST_HOSTS = 5


class Ended(Exception):
    """This process was asked to end (SIGTERM, or the line was hung up)."""


def carry(session: Session, ticket: Ticket) -> Answer:
    """Have a command answered and see the runs it started or reopened to their end."""
    with _ending_signals(), _Carrier(session, ticket.after) as carrier:
        answer = accepted(carrier.answer(ticket))
        carrier.see_through(answer.run_ids)
        return answer


class _Carrier:
    """Hosts an engine of scope `run` whenever nobody leads."""

    def __init__(self, session: Session, after: int) -> None:
        self._session = session
        self._client = session.client
        self._feed = Feed(session.client.queries, after=after)
        self._host: Host | None = None
        self._hosted = 0
        self._interrupted = False
        self._cancelling = False

    def __enter__(self) -> _Carrier:
        self._host_if_nobody_leads()
        return self

    def __exit__(self, *_: object) -> None:
        if self._host is not None:
            self._host.stop()

    def answer(self, ticket: Ticket) -> Answer:
        """The engine's answer, whoever gives it."""
        try:
            while True:
                try:
                    found = self._client.commands.wait(ticket, timeout=_LOOK_SECONDS)
                    if found is not None:
                        return found
                    self._host_if_nobody_leads()
                except KeyboardInterrupt:
                    self._interrupt()  # the engine may have it already: it is cancelled when it has been made
        except BaseException:
            # Whatever ends this process before the answer: nobody waits for the command any more.
            self._client.commands.withdraw(ticket)
            raise

    def see_through(self, run_ids: Sequence[str]) -> None:
        """Until all of them have ended and, hosted here, everything they started too."""
        with progress_for(self._session, run_ids) as progress:
            while True:
                try:
                    pending = self._pending(run_ids)
                    if not pending:
                        break
                    if self._interrupted and not self._cancelling:
                        self._cancel(pending, progress)
                    self._watch(progress)
                except KeyboardInterrupt:
                    self._interrupt()
        if self._host is not None:
            self._host.finish(list(run_ids))

    def _watch(self, progress: Progress) -> None:
        events = self._feed.next(_LOOK_SECONDS)
        progress.take(events)
        if not events:
            self._host_if_nobody_leads()

    def _pending(self, run_ids: Sequence[str]) -> list[PipelineRun]:
        runs = [self._client.queries.resolve_run(run_id) for run_id in run_ids]
        return [run for run in runs if not run.state.terminal]

    def _interrupt(self) -> None:
        """Once: what was started is cancelled. Again: leave at once."""
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _cancel(self, runs: Sequence[PipelineRun], progress: Progress) -> None:
        self._cancelling = True
        progress.say("Cancelling; once more to leave at once.")
        for run in runs:
            self._client.commands.send("run.cancel", {"run_id": run.run_id})

    def _host_if_nobody_leads(self) -> None:
        from engine.bootstrap import engine_leads

        if engine_leads(self._session.workspace) is not None:
            return
        from engine.bootstrap.host import host  # all of the runtime: only where it is needed

        if self._host is not None:
            self._host.stop()
            self._host = None
        if self._hosted >= _MOST_HOSTS:
            raise StoreUnusable(
                "The engine hosted here ended again and again; `penstock health` says what is wrong."
            )
        mine = host(self._session.workspace, "run")
        if mine.acquire():
            mine.start()
            self._host = mine
            self._hosted += 1


@contextmanager
def _ending_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP as an exception, so that hosting ends in order."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended

    names = (signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
