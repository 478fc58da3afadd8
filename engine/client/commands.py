"""Wishes on their way to the engine, and its answers.

Law: a wish goes into the mailbox and nowhere else; whether it was accepted is what the outbox says under the
same request id. Sending never waits for an engine; waiting for an answer never sends again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.model.errors import NotFound, Refused
from engine.model.event import Actor, Command, Event

if TYPE_CHECKING:
    from engine.ports.clock import Clock, NewId
    from engine.ports.mailbox import Mailbox
    from engine.ports.queries import Queries

ACCEPTED = "command.accepted"
REFUSED = "command.refused"
_LONGEST_WAIT = 1.0  # between two looks whether it is still worth waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A command on its way: its request id and the outbox position before it was sent."""

    request_id: str
    name: str
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the engine said to a command."""

    request_id: str
    accepted: bool
    message: str
    touched: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)


class Commands:
    """Sends commands in one actor's name and finds their answers. Thread-safe where its ports are."""

    def __init__(self, *, mailbox: Mailbox, queries: Queries, clock: Clock, new_id: NewId, actor: Actor) -> None:
        self._mailbox = mailbox
        self._queries = queries
        self._clock = clock
        self._new_id = new_id
        self.actor = actor

    def send(self, name: str, arguments: Mapping[str, Any]) -> Ticket:
        """Drop a command into the mailbox; durable when this returns."""
        ticket = Ticket(request_id=self._new_id(), name=name, after=self._queries.last_seq())
        command = Command(
            request_id=ticket.request_id,
            name=name,
            arguments=dict(arguments),
            actor=self.actor,
            sent_at=self._clock.now(),
        )
        self._mailbox.send(command)
        return ticket

    def find(self, ticket: Ticket) -> Answer | None:
        """The answer, if it has been given."""
        after = ticket.after
        while events := self._queries.events(after):
            for event in events:
                if event.correlation_id == ticket.request_id and event.type in (ACCEPTED, REFUSED):
                    return _answer(event)
                after = max(after, event.seq or after)
        return None

    def wait(
        self,
        ticket: Ticket,
        *,
        timeout: float,
        still: Callable[[], bool] = lambda: True,
    ) -> Answer | None:
        """The answer, waiting for at most `timeout` seconds and as long as `still` says that it may come."""
        until = self._clock.monotonic() + timeout
        _, token = self._queries.changed(None)
        while (answer := self.find(ticket)) is None:
            left = until - self._clock.monotonic()
            if left <= 0 or not still():
                return self.find(ticket)
            _, token = self._queries.wait(token, min(left, _LONGEST_WAIT))
        return answer

    def withdraw(self, ticket: Ticket) -> None:
        """Take a command back that nobody has answered."""
        self._mailbox.remove([ticket.request_id])


def accepted(answer: Answer) -> Answer:
    """The answer, or Refused (NotFound where it names something that is not there) with the engine's reason."""
    if answer.accepted:
        return answer
    if answer.payload.get("not_found"):
        raise NotFound(answer.message)
    problems = "; ".join(str(each) for each in answer.payload.get("problems", ()))
    raise Refused(f"{answer.message} ({problems})" if problems else answer.message)


def _answer(event: Event) -> Answer:
    payload = event.payload
    touched = tuple(str(each) for each in payload.get("touched", ()))
    runs = payload.get("run_ids") or dict.fromkeys(each.partition("/")[0] for each in touched if "/" in each)
    return Answer(
        request_id=event.correlation_id or "",
        accepted=event.type == ACCEPTED,
        message=str(payload.get("message", "")),
        touched=touched,
        run_ids=tuple(str(each) for each in runs),
        payload=payload,
    )
