"""Commands on their way to whoever leads, from a thread.

Law: a command is sent once. With nobody leading the keeper applies it and leads no further; what the engine
refuses comes back with its reason as Refused. A read-only console sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from console.session import Session
from engine.client.commands import Answer, accepted
from engine.model.errors import Refused, RequestError

if TYPE_CHECKING:
    from engine.client import Client

ANSWER_SECONDS = 30.0
_TRIES = 3


def send(session: Session, client: Client, name: str, arguments: Mapping[str, Any]) -> Answer:
    """The engine's answer. Refused with its reason; RequestError when nobody answered."""
    if session.read_only:
        raise Refused("This console is read-only; open one without --read-only to change things.")
    ticket = client.commands.send(name, arguments)
    for _ in range(_TRIES):
        if session.keeper.leader() is None:
            session.keeper.apply()
        answer = client.commands.wait(
            ticket,
            timeout=ANSWER_SECONDS,
            still=lambda: session.keeper.leader() is not None and not session.closing.is_set(),
        )
        if answer is not None:
            return accepted(answer)
        if session.closing.is_set() or session.keeper.leader() is not None:
            break
    raise RequestError(
        f"No engine answered within {ANSWER_SECONDS:g} s; the command stays in the mailbox and is carried out "
        "by the next engine."
    )
