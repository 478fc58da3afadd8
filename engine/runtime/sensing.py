"""What runs differently: sensors' pokes, and configs that the engine itself must have rendered.

Law: a poke holds a slot only while it looks. Between pokes the execution stays where it is (QUEUED or RETRYING)
with the verdict SENSING; nothing but the poke that decides something is an attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from engine.model.errors import TaskError
from engine.model.pipeline import Task
from engine.model.run import Attempt, Outcome, TaskState
from engine.rules import context as contexts
from engine.rules.advance import fail_without_process, poked, sensor_timed_out
from engine.rules.snapshot import Evaluate, Key, RunSnapshot
from engine.runtime.desk import Desk
from engine.runtime.evaluator import Answer, Question

DEFAULT_INTERVAL = 60.0


class Sensing:
    """Pokes and questions to the evaluator."""

    def __init__(self, desk: Desk, ask: Callable[[Question], None]) -> None:
        self.desk = desk
        self.ask = ask
        self.rendered: dict[str, dict[str, Any]] = {}  # execution id -> {"config": ...}
        self._asked: dict[tuple[str, str], int] = {}  # execution id and field -> number of the newest question
        self._numbers = count(1)
        desk.followers.evaluate = self._evaluate

    # -- pokes -------------------------------------------------------------------------------------------------

    def begin(self, snapshot: RunSnapshot, key: Key) -> None:
        """Before a poke: note the first one's time; end a sensor whose time is up."""
        execution, task = snapshot.executions[key], snapshot.tasks[key[0]]
        draft = self.desk.draft(snapshot)
        if execution.first_poke_at is None:
            draft.touch(key, first_poke_at=self.desk.now)
        elif (end := self.deadline(task, execution.first_poke_at)) is not None and end <= self.desk.now:
            seconds, soft = float(task.config["timeout_seconds"]), bool(task.config.get("soft_fail"))
            sensor_timed_out(draft, key, seconds, soft, self.desk.tools.rules)
        else:
            return
        self.desk.absorb(draft)

    def ended(self, snapshot: RunSnapshot, key: Key, outcome: Outcome) -> None:
        """A poke came back."""
        task, execution = snapshot.tasks[key[0]], snapshot.executions[key]
        draft = self.desk.draft(snapshot)
        poked(
            draft,
            key,
            outcome,
            interval=float(task.config.get("interval_seconds", DEFAULT_INTERVAL)) * self.desk.tools.time_scale,
            deadline=self.deadline(task, execution.first_poke_at or self.desk.now),
            dice=self.desk.tools.clock.random(),
            rules=self.desk.tools.rules,
        )
        self.desk.absorb(draft)

    def deadline(self, task: Task, first: datetime) -> datetime | None:
        """When a sensor gives up."""
        seconds = task.config.get("timeout_seconds")
        return None if seconds is None else first + timedelta(seconds=float(seconds))

    # -- templates ---------------------------------------------------------------------------------------------

    def _evaluate(self, snapshot: RunSnapshot, action: Evaluate) -> None:
        task = snapshot.tasks[action.key[0]]
        template = {"when": task.when, "foreach": task.foreach}.get(action.field, task.config.get("choose"))
        self._put(snapshot, action.key, action.field, template)

    def ask_config(self, snapshot: RunSnapshot, key: Key) -> None:
        """Have the config of a task rendered that runs in the engine."""
        execution = snapshot.executions[key]
        self._put(snapshot, key, "config", {**snapshot.tasks[key[0]].config, **execution.config_overrides})

    def take_config(self, snapshot: RunSnapshot, key: Key, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        """The rendered config, or the plain one where nothing was to be rendered."""
        execution = snapshot.executions[key]
        rendered = self.rendered.pop(execution.execution_id, {}).get("config")
        return rendered if isinstance(rendered, dict) else {**plain, **execution.config_overrides}

    def _put(self, snapshot: RunSnapshot, key: Key, field: str, template: Any) -> None:
        execution = snapshot.executions[key]
        # Asked again, the newest question counts: an older one may have been put with outputs since done anew.
        number = self._asked[(execution.execution_id, field)] = next(self._numbers)
        context = contexts.attempt_context(snapshot, key, execution, execution.attempt_count + 1)
        if "env." in repr(template) or "env[" in repr(template):
            context["env"] = dict(self.desk.tools.environment())
        question = Question(execution.run_id, key, execution.execution_id, field, template, context, number)
        self.desk.batch.after.append(lambda: self.ask(question))

    def answered(self, answer: Answer) -> tuple[RunSnapshot, Key] | None:
        """An answer came back; None when nobody waits for it any more."""
        question = answer.question
        asked = (question.execution_id, question.field)
        if self._asked.get(asked) != question.number:
            return None
        del self._asked[asked]
        snapshot = self.desk.runs.get(question.run_id)
        execution = snapshot.executions.get(question.key) if snapshot else None
        if snapshot is None or execution is None or execution.execution_id != question.execution_id:
            return None
        if question.field != "config":
            return snapshot, question.key
        if execution.state not in (TaskState.QUEUED, TaskState.RETRYING):
            return None
        if answer.error is not None:
            self._fail(snapshot, question.key, answer.error)
        else:
            self.rendered[question.execution_id] = {"config": answer.value}
            self.desk.follow(snapshot, question.key)
        return None

    def _fail(self, snapshot: RunSnapshot, key: Key, error: TaskError) -> None:
        draft = self.desk.draft(snapshot)
        fail_without_process(draft, key, error, self.desk.tools.rules)
        self.desk.absorb(draft)


def decided(attempt: Attempt, outcome: Outcome) -> bool:
    """Whether a poke became an attempt."""
    return not attempt.poke or outcome.result != "not_yet"
