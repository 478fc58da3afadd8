"""Dead letters: written with the failure they stand for, closed with what an operator did about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from engine.model.event import Actor
from engine.model.run import Attempt, DeadLetter, LetterStatus, TaskExecution
from engine.ports import failpoint
from engine.rules.context import iso
from engine.rules.endings import retry_policy
from engine.rules.fingerprint import fingerprint
from engine.rules.snapshot import Draft, Key, RunSnapshot
from engine.runtime.admission import overridden
from engine.runtime.arguments import instant
from engine.runtime.desk import Desk

CLAIM_LASTS = timedelta(minutes=15)


class Letters:
    """Follows decisions and writes a letter for every task that ended FAILED by itself."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.followers.decided.append(self._decided)

    def _decided(self, snapshot: RunSnapshot, draft: Draft) -> None:
        for key in draft.failed:
            self._write(snapshot, key)

    def _write(self, snapshot: RunSnapshot, key: Key) -> None:
        execution, task = snapshot.executions[key], snapshot.tasks[key[0]]
        error = execution.error
        if error is None:
            return
        policy = asdict(retry_policy(task, execution))
        letter = DeadLetter(
            id=self.desk.tools.new_id(),
            queue=error.kind.queue,
            pipeline_id=execution.pipeline_id,
            run_id=execution.run_id,
            task_id=execution.task_id,
            map_index=execution.map_index,
            execution_id=execution.execution_id,
            kind=error.kind,
            error_type=error.type,
            message=error.message,
            fingerprint=fingerprint(error),
            failed_at=self.desk.now,
            attempts=execution.attempt_count,
            parameters={**snapshot.run.parameters, **execution.parameter_overrides},
            config=overridden(task.config, execution.config_overrides),
            retry_policy=policy | {"retry_on_error_types": list(policy["retry_on_error_types"])},
            errors=tuple(self._errors(execution)),
        )
        self.desk.batch.changes.new_letters.append(letter)
        failpoint.hit("letters.written")
        self.desk.event("letter.created", snapshot, key[0], letter_id=letter.id, queue=letter.queue.value)

    def _errors(self, execution: TaskExecution) -> list[Mapping[str, Any]]:
        rows: dict[str, Attempt] = {
            attempt.token: attempt for attempt in self.desk.tools.store.attempts_of(execution.execution_id)
        }
        changes = self.desk.batch.changes
        for attempt in [*changes.new_attempts, *changes.attempts.values()]:
            if attempt.execution_id == execution.execution_id:
                rows[attempt.token] = attempt
        return [_error_row(attempt) for attempt in rows.values() if attempt.error is not None]

    def close(self, replaced: Mapping[str, str], actor: Actor, action: str) -> list[DeadLetter]:
        """The letters of executions that were done again (old id -> new id) are closed in the same commit."""
        return [
            self.update(letter, LetterStatus.REQUEUED, actor, action, replaced[letter.execution_id])
            for letter in self.desk.tools.store.letters_of(list(replaced))
            if letter.status in (LetterStatus.NEW, LetterStatus.IN_PROGRESS)
        ]

    def claim(self, letter: DeadLetter) -> Mapping[str, Any] | None:
        """Who works on it and since when, while that lasts."""
        if letter.status is not LetterStatus.IN_PROGRESS or not letter.history:
            return None
        since = instant(str(letter.history[-1]["at"]))
        return letter.history[-1] if since is not None and self.desk.now - since < CLAIM_LASTS else None

    def update(
        self,
        letter: DeadLetter,
        status: LetterStatus,
        actor: Actor,
        action: str,
        requeued_as: str | None = None,
        reason: str | None = None,
    ) -> DeadLetter:
        """A new status, with who and why in its history."""
        entry = {"at": iso(self.desk.now), "actor": actor.name, "action": action, "reason": reason}
        changed = replace(letter, status=status, requeued_as=requeued_as, history=(*letter.history, entry))
        self.desk.batch.changes.letters[letter.id] = changed
        return changed


def _error_row(attempt: Attempt) -> Mapping[str, Any]:
    error = attempt.error
    assert error is not None  # the caller filtered
    return {
        "attempt": attempt.number,
        "type": error.type,
        "kind": error.kind.value,
        "message": error.message,
        "failed_at": iso(attempt.completed_at or attempt.submitted_at),
    }


def replaced_by(created: Sequence[TaskExecution]) -> dict[str, str]:
    """old execution id -> the new one that stands for it."""
    return {execution.retry_of: execution.execution_id for execution in created if execution.retry_of}
