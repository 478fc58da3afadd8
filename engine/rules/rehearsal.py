"""One run lived through by the rules alone: no process, no clock, no store.

Law: a rehearsal decides nothing about states itself. It asks a cast what becomes of each attempt, enters that into
`engine.rules.advance` like the engine does, at the times the cast gives, and keeps every row that comes of it. So
what it tells is a history that could have happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from engine.model.event import Event
from engine.model.pipeline import Task
from engine.model.run import (
    Attempt,
    AttemptState,
    DeadLetter,
    Outcome,
    TaskExecution,
    TaskState,
    Transition,
)
from engine.rules.advance import begin, evaluated, finished, poked, sensor_timed_out, started, vanished
from engine.rules.endings import retry_policy
from engine.rules.fingerprint import fingerprint
from engine.rules.snapshot import Draft, Evaluate, Key, Kill, Rules, RunSnapshot, WithoutProcess
from engine.rules.story import Cast, Fate, Story, child_outcome, error_row, with_usage

KILLED_AFTER = timedelta(milliseconds=400)  # between asking a process to end and its end

Happening = Callable[[datetime], None]


class Rehearsal:
    """Plays one run. Used once."""

    def __init__(
        self,
        snapshot: RunSnapshot,
        cast: Cast,
        *,
        rules: Rules,
        new_id: Callable[[datetime], str],
        dice: Callable[[], float],
        epoch: int,
    ) -> None:
        self.snapshot = snapshot
        self.story = Story(run=snapshot.run, end=snapshot.run.triggered_at)
        self.story.executions = {each.execution_id: each for each in snapshot.executions.values()}
        self._cast, self._rules, self._new_id, self._dice, self._epoch = cast, rules, new_id, dice, epoch
        self._ahead: list[tuple[datetime, int, Happening]] = []
        self._order = 0
        self._live: dict[str, tuple[Attempt, Fate]] = {}  # by execution id
        self.event(snapshot.run.triggered_at, "run.created", triggered_by=snapshot.run.triggered_by)

    # -- telling the time --------------------------------------------------------------------------------------

    def at(self, when: datetime, happening: Happening) -> None:
        """Something will happen then."""
        self._order += 1
        heapq.heappush(self._ahead, (when, self._order, happening))

    def play(self) -> None:
        """Until nothing is left to happen."""
        while self._ahead:
            when, _, happening = heapq.heappop(self._ahead)
            self.story.end = max(self.story.end, when)
            happening(when)

    def begin(self, now: datetime) -> None:
        """The run is admitted."""
        draft = self.draft(now)
        begin(draft, self._rules)
        self.event(now, "run.started", version=self.snapshot.run.version)
        self.absorb(draft)

    # -- deciding ----------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """What deciding needs beside the run."""
        return self._rules

    def draft(self, now: datetime) -> Draft:
        """Start deciding."""
        return Draft(self.snapshot, now, lambda: self._new_id(now))

    def absorb(self, draft: Draft) -> None:
        """Make a decision part of the story and let it have its consequences."""
        snapshot, story, now = self.snapshot, self.story, draft.now
        snapshot.accept(draft)
        story.run = snapshot.run
        for execution_id, execution in draft.retired.items():
            story.executions[execution_id] = execution
            story.retired.append(execution_id)
        for execution in draft.executions.values():
            story.executions[execution.execution_id] = execution
        story.transitions += draft.transitions
        for row in draft.transitions:
            self._tell(row)
        for key in draft.failed:
            self._write_letter(key, now)
        for action in draft.actions:
            self._act(action, now)
        for key, execution in draft.executions.items():
            self._follow(key, execution, now)
        if draft.ended:
            self.event(now, "run.completed", state=story.run.state.value, reason=story.run.reason)

    def _act(self, action: Evaluate | Kill | WithoutProcess, now: datetime) -> None:
        if isinstance(action, Evaluate):
            self.at(now, lambda then: self._answer(action, then))
        elif isinstance(action, Kill):
            self._kill(action.key, now)
        else:
            self._without_process(action, now)

    def _answer(self, action: Evaluate, now: datetime) -> None:
        draft = self.draft(now)
        value = self._cast.answer(self.snapshot.tasks[action.key[0]], action.field)
        evaluated(draft, action.key, action.field, value, None, self._rules)
        self.absorb(draft)

    def _follow(self, key: Key, execution: TaskExecution, now: datetime) -> None:
        if execution.state is TaskState.RETRYING:
            start = max(execution.next_retry_at or now, now)
        elif execution.state is TaskState.QUEUED:
            start = now
        else:
            return
        task = self.snapshot.tasks[key[0]]
        start += timedelta(seconds=self._cast.wait(task, execution))
        self.at(start, lambda then: self._start(key, execution, then))

    def _stands(self, key: Key, execution: TaskExecution) -> bool:
        """Whether nothing happened to it since this was planned."""
        found = self.snapshot.executions.get(key)
        return found is not None and (found.execution_id, found.state, found.attempt_count) == (
            execution.execution_id,
            execution.state,
            execution.attempt_count,
        )

    # -- attempts ----------------------------------------------------------------------------------------------

    def _start(self, key: Key, execution: TaskExecution, now: datetime) -> None:
        if not self._stands(key, execution):
            return
        task = self.snapshot.tasks[key[0]]
        if task.type == "sensor":
            self._sense(key, execution, task, now)
            return
        draft = self.draft(now)
        fresh = started(draft, key)
        if fresh is None:
            return
        self.absorb(draft)
        if task.type == "pipeline":
            self._start_child(key, task, fresh, now)
            return
        fate = self._cast.fate(task, fresh, now)
        attempt = self._attempt(fresh, fresh.attempt_count, now)
        self._live[fresh.execution_id] = (attempt, fate)
        self.event(now, "task.scheduled", key[0], map_index=key[1], attempt=fresh.attempt_count)
        ends = now + timedelta(seconds=fate.seconds)
        self.at(ends, lambda then: self._end(key, fresh.execution_id, attempt.token, None, then))

    def _attempt(self, execution: TaskExecution, number: int, now: datetime) -> Attempt:
        index = "" if execution.map_index is None else f"[{execution.map_index}]"
        attempt = Attempt(
            token=self._new_id(now),
            execution_id=execution.execution_id,
            run_id=execution.run_id,
            task_id=execution.task_id,
            map_index=execution.map_index,
            number=number,
            epoch=self._epoch,
            submitted_at=now,
            started_at=now + timedelta(milliseconds=18),
            pid=1200 + int(self._dice() * 30_000),
            log=f"{execution.run_id}/{execution.task_id}{index}.{execution.sequence}.{number}.jsonl",
        )
        self.story.attempts[attempt.token] = attempt
        return attempt

    def _kill(self, key: Key, now: datetime) -> None:
        execution = self.snapshot.executions[key]
        live = self._live.get(execution.execution_id)
        if live is not None:
            token = live[0].token
            ends = now + KILLED_AFTER
            self.at(ends, lambda then: self._end(key, execution.execution_id, token, "cancel", then))

    def _end(self, key: Key, execution_id: str, token: str, killed: str | None, now: datetime) -> None:
        live = self._live.get(execution_id)
        if live is None or live[0].token != token:
            return  # it was ended earlier
        del self._live[execution_id]
        attempt, fate = live
        self._close(attempt, fate, killed, now)
        draft = self.draft(now)
        if fate.lost is not None and killed is None:
            vanished(draft, key, fate.lost, self._rules)
        else:
            outcome = with_usage(fate, (now - attempt.submitted_at).total_seconds()) if killed is None else KILLED
            finished(draft, key, outcome, killed_for=killed, dice=self._dice(), rules=self._rules)
        for metric, value in fate.outcome.metrics.items():
            self.story.metrics.append((attempt.run_id, key[0], key[1], metric, value, now))
        self.absorb(draft)

    def _close(self, attempt: Attempt, fate: Fate, killed: str | None, now: datetime) -> None:
        state, error = _END[fate.outcome.result], fate.outcome.error
        exit_code, signal = fate.exit_code, fate.signal
        if killed is not None:
            state, error, exit_code, signal = AttemptState.CANCELLED, None, None, 15
        elif fate.lost is not None:
            state, error, exit_code, signal = AttemptState.LOST, None, None, None
        self.story.attempts[attempt.token] = replace(
            attempt,
            state=state,
            completed_at=now,
            exit_code=exit_code,
            signal=signal,
            error=error,
            cpu_seconds=fate.cpu_seconds,
            peak_mb=fate.peak_mb,
            heartbeat_at=now,
        )

    def _sense(self, key: Key, execution: TaskExecution, task: Task, now: datetime) -> None:
        fate = self._cast.fate(task, execution, now)
        draft = self.draft(now)
        waiting = draft.touch(key, first_poke_at=now, pokes=max(0, fate.pokes - 1))
        self.snapshot.accept(draft)
        self.at(now + timedelta(seconds=fate.seconds), lambda then: self._sensed(key, waiting, fate, then))

    def _sensed(self, key: Key, execution: TaskExecution, fate: Fate, now: datetime) -> None:
        if not self._stands(key, execution):
            return
        draft = self.draft(now)
        if fate.out_of_time is not None:
            soft = bool(self.snapshot.tasks[key[0]].config.get("soft_fail"))
            sensor_timed_out(draft, key, fate.out_of_time, soft, self._rules)
        else:
            dice = self._dice()
            poked(draft, key, fate.outcome, interval=60, deadline=None, dice=dice, rules=self._rules)
            attempt = self._attempt(draft.get(key), draft.get(key).attempt_count, now)
            self._close(attempt, fate, None, now)
        self.absorb(draft)

    def _start_child(self, key: Key, task: Task, execution: TaskExecution, now: datetime) -> None:
        child = self._cast.child(task, execution, now)
        draft = self.draft(now)
        if child is None:
            outcome, ends = Outcome(result="success"), now
        else:
            self.story.children.append(child)
            draft.touch(key, child_run_id=child.run.run_id)
            outcome, ends = child_outcome(child.run), child.run.completed_at or child.end
        self.absorb(draft)

        def end(then: datetime) -> None:
            closing = self.draft(then)
            finished(closing, key, outcome, killed_for=None, dice=0.0, rules=self._rules)
            self.absorb(closing)

        self.at(ends, end)

    def _without_process(self, action: WithoutProcess, now: datetime) -> None:
        attempt = self._attempt(self.snapshot.executions[action.key], action.number, now)
        state = AttemptState.FAILED if action.error else AttemptState.SUCCESS
        self.story.attempts[attempt.token] = replace(
            attempt, state=state, started_at=now, completed_at=now, pid=None, log=None, error=action.error
        )

    # -- what is told ------------------------------------------------------------------------------------------

    def event(self, at: datetime, kind: str, task: str | None = None, **payload: Any) -> None:
        """One row of the outbox."""
        run = self.snapshot.run
        self.story.events.append(
            Event(type=kind, at=at, pipeline_id=run.pipeline_id, run_id=run.run_id, task_id=task, payload=payload)
        )

    def _tell(self, row: Transition) -> None:
        self.event(
            row.at,
            "task.state",
            row.task_id,
            execution_id=row.execution_id,
            map_index=row.map_index,
            to=row.to_state.value,
            attempt=row.attempt,
            **{"from": row.from_state.value},
        )

    def _write_letter(self, key: Key, now: datetime) -> None:
        execution, task = self.snapshot.executions[key], self.snapshot.tasks[key[0]]
        error = execution.error
        if error is None:
            return
        policy = asdict(retry_policy(task, execution))
        own = [each for each in self.story.attempts.values() if each.execution_id == execution.execution_id]
        letter = DeadLetter(
            id=self._new_id(now),
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
            failed_at=now,
            attempts=execution.attempt_count,
            parameters={**self.snapshot.run.parameters, **execution.parameter_overrides},
            config=dict(task.config),
            retry_policy=policy | {"retry_on_error_types": list(policy["retry_on_error_types"])},
            errors=tuple(error_row(each) for each in own if each.error is not None),
        )
        self.story.letters[letter.id] = letter
        self.event(now, "letter.created", key[0], letter_id=letter.id, queue=letter.queue.value)


KILLED = Outcome(result="failed")
_END = {
    "success": AttemptState.SUCCESS,
    "failed": AttemptState.FAILED,
    "skipped": AttemptState.SKIPPED,
    "not_yet": AttemptState.FAILED,
}
