"""Commands that change state: to the engine that leads, or applied here when none does.

Law: a command is sent once. Who leads may change at any moment: while nobody does, this process takes the lease,
applies what the mailbox holds, gives the lease back and says what is left to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.cli.follow import carry
from engine.cli.session import Session
from engine.client.commands import Answer, Ticket, accepted
from engine.model.errors import RequestError
from engine.model.run import TaskState

ANSWER_SECONDS = 30.0
_TRIES = 3


def deliver(session: Session, name: str, arguments: Mapping[str, Any], *, wait: bool = False) -> Answer:
    """Send a command and have it answered; Refused with the reason. With `wait`, carry out what it starts."""
    ticket = session.client.commands.send(name, arguments)
    if wait:
        return carry(session, ticket)
    return accepted(answered(session, ticket))


def answered(session: Session, ticket: Ticket) -> Answer:
    """The answer of whoever leads, or of this process where nobody does."""
    from engine.bootstrap import engine_leads

    workspace, commands = session.workspace, session.client.commands
    for _ in range(_TRIES):
        if engine_leads(workspace) is None:
            from engine.bootstrap.host import host  # all of the runtime: only where nobody leads

            host(workspace, "command").apply(timeout=ANSWER_SECONDS)
        answer = commands.wait(ticket, timeout=ANSWER_SECONDS, still=lambda: engine_leads(workspace) is not None)
        if answer is not None:
            return answer
        if engine_leads(workspace) is not None:
            break
    raise RequestError(
        f"No engine answered within {ANSWER_SECONDS:g} s; the command stays in the mailbox (request "
        f"{ticket.request_id}) and is carried out by the next engine. `penstock engine status` says who leads."
    )


def report(session: Session, answer: Answer, *, waited: bool = False) -> None:
    """Print what was touched, and what is left to do where nobody does it."""
    left = None if waited else left_to_do(session, answer)
    document: dict[str, Any] = {
        "accepted": True,
        "message": answer.message,
        "touched": list(answer.touched),
        "run_ids": list(answer.run_ids),
        "left": left,
    }
    session.answer({**dict(answer.payload), **document}, lambda out: _told(out, answer))
    if left:
        session.out.remark(left)


def together(answers: Sequence[Answer]) -> Answer:
    """Several answers told as one."""
    if len(answers) == 1:
        return answers[0]
    return Answer(
        request_id=answers[0].request_id,
        accepted=True,
        message="; ".join(answer.message for answer in answers),
        touched=tuple(each for answer in answers for each in answer.touched),
        run_ids=tuple(dict.fromkeys(run_id for answer in answers for run_id in answer.run_ids)),
    )


def left_to_do(session: Session, answer: Answer) -> str | None:
    """What waits for an engine, when none leads."""
    from engine.bootstrap import engine_leads

    if engine_leads(session.workspace) is not None:
        return None
    queries = session.client.queries
    executions = [each for run_id in answer.run_ids for each in queries.executions(run_id)]
    waiting = [each for each in executions if not each.state.terminal]
    if not waiting:
        return None
    queued = sum(each.state is TaskState.QUEUED for each in waiting)
    more = len(waiting) - queued
    what = [f"{queued} task{'' if queued == 1 else 's'} queued"] if queued else []
    what += [f"{more} after {'them' if queued else 'what comes first'}"] if more else []
    return f"{', '.join(what)}; they start when an engine runs (`penstock engine`)."


def _told(out: Any, answer: Answer) -> None:
    out.line(answer.message or "Done.")
    for each in answer.touched:
        out.line(f"  {each}")
