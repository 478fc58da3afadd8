"""What people do to a rehearsed run: cancel, retry, mark, requeue, discard.

Law: each hand is a command as the engine answers it: the decision of `engine.rules.reopen` or `advance`, its answer
among the events, and an entry of the audit trail, all at one instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine.model.event import Actor, AuditEntry, Event
from engine.model.run import DeadLetter, LetterStatus, Reason, TaskExecution, TaskState
from engine.rules.advance import cancel_run
from engine.rules.context import iso
from engine.rules.rehearsal import Rehearsal
from engine.rules.reopen import Edits, failed_keys, mark, name, redo
from engine.rules.snapshot import Draft, Key

OPEN = (LetterStatus.NEW, LetterStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One command and what the engine said to it."""

    name: str
    by: Actor
    at: datetime
    request_id: str
    resource: tuple[str, str]  # type and id
    arguments: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    touched: Sequence[str] = ()
    refused: bool = False

    def entry(self) -> AuditEntry:
        """Its line of the trail."""
        return AuditEntry(
            at=self.at,
            actor=self.by,
            event_type="USER_ACTION",
            action=self.name,
            resource_type=self.resource[0],
            resource_id=self.resource[1],
            result="FAILURE" if self.refused else "SUCCESS",
            details={
                "request_id": self.request_id,
                "arguments": dict(self.arguments),
                "message": self.message,
                "touched": list(self.touched),
            },
        )

    def event(self) -> Event:
        """Its row of the outbox."""
        return Event(
            type="command.refused" if self.refused else "command.accepted",
            at=self.at,
            pipeline_id=self.arguments.get("pipeline_id"),
            run_id=self.arguments.get("run_id"),
            correlation_id=self.request_id,
            payload={
                "command": self.name,
                "actor": self.by.name,
                "message": self.message,
                "touched": list(self.touched),
            },
        )


def answered(rehearsal: Rehearsal, command: Answered) -> None:
    """Note a command with the run it was about."""
    rehearsal.story.events.append(command.event())
    rehearsal.story.audit.append(command.entry())


def cancel(rehearsal: Rehearsal, by: Actor, request_id: str, now: datetime) -> None:
    """End the whole run, if it has not ended by itself."""
    run = rehearsal.snapshot.run
    if run.state.terminal:
        return
    draft = rehearsal.draft(now)
    cancel_run(draft, by.name, Reason.RUN_CANCELLED, f"cancelled by {by.name}", rehearsal.rules)
    rehearsal.absorb(draft)
    rehearsal.event(now, "run.cancelled", by=by.name)
    message = f"Run {run.run_id} is being cancelled"
    _note(rehearsal, "run.cancel", by, request_id, now, {"run_id": run.run_id}, message, [run.run_id])


def retry(rehearsal: Rehearsal, by: Actor, request_id: str, now: datetime) -> None:
    """All FAILED and CANCELLED tasks once more."""
    draft = rehearsal.draft(now)
    keys = failed_keys(draft)
    if not keys or not rehearsal.snapshot.run.state.terminal:
        return
    made = redo(draft, keys, rehearsal.rules, downstream=False)
    touched = _reopened(rehearsal, draft, made, by, "run.retry")
    arguments = {"run_id": rehearsal.snapshot.run.run_id, "tasks": []}
    _note(rehearsal, "run.retry", by, request_id, now, arguments, f"{len(made)} task(s) will run again", touched)


def mark_success(rehearsal: Rehearsal, key: Key, by: Actor, why: str, request_id: str, now: datetime) -> None:
    """Somebody did it by hand elsewhere and says so."""
    execution = rehearsal.snapshot.executions.get(key)
    if execution is None or execution.state is not TaskState.FAILED:
        return
    draft = rehearsal.draft(now)
    made = mark(draft, key, True, by.name, why, rehearsal.rules)
    touched = _reopened(rehearsal, draft, made, by, "task.mark")
    arguments = {
        "run_id": rehearsal.snapshot.run.run_id,
        "task": name(key),
        "state": "success",
        "reason": why,
    }
    _note(rehearsal, "task.mark", by, request_id, now, arguments, f"Task {name(key)} is marked success", touched)


def requeue(
    rehearsal: Rehearsal, letter: DeadLetter, edits: Mapping[str, Any], by: Actor, request_id: str, now: datetime
) -> None:
    """One letter once more, with something changed."""
    key = (letter.task_id, letter.map_index)
    execution = rehearsal.snapshot.executions.get(key)
    if execution is None or execution.execution_id != letter.execution_id or letter.status not in OPEN:
        return
    draft = rehearsal.draft(now)
    made = redo(draft, [key], rehearsal.rules, downstream=False, edits=Edits(config=edits))
    touched = _reopened(rehearsal, draft, made, by, "letter.requeue")
    arguments = {"letter_ids": [letter.id], "set": {f"config.{path}": value for path, value in edits.items()}}
    _note(rehearsal, "letter.requeue", by, request_id, now, arguments, "1 letter(s) are requeued", touched)


def discard(rehearsal: Rehearsal, letter: DeadLetter, why: str, by: Actor, request_id: str, now: datetime) -> None:
    """Nothing will be done about it."""
    if letter.status not in OPEN:
        return
    _close(rehearsal, letter, LetterStatus.DISCARDED, by, "letter.discard", now, reason=why)
    arguments = {"letter_ids": [letter.id], "reason": why}
    touched = [f"{letter.run_id}/{letter.task_id}"]
    _note(rehearsal, "letter.discard", by, request_id, now, arguments, "1 letter(s) are discarded", touched)


def _reopened(rehearsal: Rehearsal, draft: Draft, made: Sequence[Key], by: Actor, action: str) -> list[str]:
    for fresh in draft.created.values():
        _close_replaced(rehearsal, fresh, by, action, draft.now)
    rehearsal.event(draft.now, "run.reopened", by=by.name)
    rehearsal.absorb(draft)
    return [f"{rehearsal.snapshot.run.run_id}/{name(key)}" for key in made]


def _close_replaced(rehearsal: Rehearsal, fresh: TaskExecution, by: Actor, action: str, now: datetime) -> None:
    for letter in list(rehearsal.story.letters.values()):
        if letter.execution_id == fresh.retry_of and letter.status in OPEN:
            _close(rehearsal, letter, LetterStatus.REQUEUED, by, action, now, requeued_as=fresh.execution_id)


def _close(
    rehearsal: Rehearsal,
    letter: DeadLetter,
    status: LetterStatus,
    by: Actor,
    action: str,
    now: datetime,
    *,
    requeued_as: str | None = None,
    reason: str | None = None,
) -> None:
    line = {"at": iso(now), "actor": by.name, "action": action, "reason": reason}
    rehearsal.story.letters[letter.id] = replace(
        letter, status=status, requeued_as=requeued_as, history=(*letter.history, line)
    )


def _note(
    rehearsal: Rehearsal,
    command: str,
    by: Actor,
    request_id: str,
    now: datetime,
    arguments: Mapping[str, Any],
    message: str,
    touched: Sequence[str],
) -> None:
    run_id = rehearsal.snapshot.run.run_id
    kinds = {"run": "RUN", "task": "TASK", "letter": "LETTER"}
    about = str(arguments["letter_ids"][0]) if "letter_ids" in arguments else run_id
    answered(
        rehearsal,
        Answered(
            name=command,
            by=by,
            at=now,
            request_id=request_id,
            resource=(kinds[command.partition(".")[0]], about),
            arguments=arguments,
            message=message,
            touched=touched,
        ),
    )
