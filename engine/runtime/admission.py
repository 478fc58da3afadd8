"""Admission: from the waiting room to an attempt.

Law: EXECUTION_STARTED and the attempt's row are committed before the executor hears of it. What is free is worked
out from live attempts in each pass. Whoever is refused has a verdict that says by what and by whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from engine.model.dataset import Watermark
from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Task
from engine.model.run import Attempt, TaskExecution, TaskState
from engine.ports import failpoint
from engine.ports.executor import AttemptSpec
from engine.rules import context as contexts
from engine.rules.admission import Group, Held, Holder, Refusal, admit, impossible
from engine.rules.advance import fail_without_process, out_of_budget, started
from engine.rules.endings import retry_policy
from engine.rules.gates import has_markup
from engine.rules.rates import Bucket
from engine.rules.reopen import name
from engine.rules.retry import over_budget
from engine.rules.snapshot import Key, RunSnapshot
from engine.runtime.circuits import Circuits
from engine.runtime.desk import Desk, Live
from engine.runtime.provenance import standing
from engine.runtime.runs import Runs
from engine.runtime.sensing import Sensing

TELL_AGAIN = timedelta(seconds=1)  # a group whose reason changed is told anew at most so often


class Admission:
    """One pass a turn."""

    def __init__(
        self,
        desk: Desk,
        runs: Runs,
        sensing: Sensing,
        circuits: Circuits,
        submit: Callable[[AttemptSpec], None],
    ) -> None:
        self.desk = desk
        self.circuits = circuits
        self.runs = runs
        self.sensing = sensing
        self.submit = submit
        for pool in desk.tools.capacity.pools.values():
            if pool.per_second:
                # Empty at first: an engine that was killed and started again must not burst twice.
                now = desk.tools.clock.monotonic()
                desk.buckets[pool.name] = Bucket(
                    per_second=pool.per_second, burst=pool.burst, tokens=float(desk.tools.scope != "engine"), at=now
                )

    def run(self) -> None:
        """Let start what may, and tell the others why not; again while something admitted did not start."""
        while len(self.desk.waiting):
            if not self._pass():
                return

    def _pass(self) -> bool:
        desk = self.desk
        result = admit(
            desk.waiting,
            self.held(),
            desk.tools.capacity,
            desk.buckets,
            desk.now,
            desk.tools.clock.monotonic(),
            breakers=self.circuits.known,
        )
        for group, refusal in result.refused:
            self._refuse(group, refusal)
        for execution_id in result.admitted:
            self._admit(execution_id)
        # Who holds what it was given leaves free what the pass counted; who ended instead may have let others in.
        return not all(one in desk.token_of or one in desk.waiting_parents for one in result.admitted)

    def held(self) -> Held:
        """What live attempts and waiting `pipeline` tasks hold."""
        live = (Holder(each.name, each.needs) for each in self.desk.live.values())
        return Held.of([*live, *self.desk.waiting_parents.values()])

    def _refuse(self, group: Group, refusal: Refusal) -> None:
        desk = self.desk
        if refusal.ask_again is not None:
            desk.timers.set(f"ask:{group.needs}", refusal.ask_again, lambda: None)
        if group.told is None or (group.told.code, group.told.about) != (refusal.code, refusal.about):
            told_at = group.told_at
            if told_at is not None and desk.now - told_at < TELL_AGAIN:
                desk.timers.set(f"tell:{group.needs}", told_at + TELL_AGAIN, lambda: None)
            else:
                group.untold = [member for member in desk.waiting.members if self._in(member, group)]
                group.told, group.told_at = refusal, desk.now
        for execution_id in group.untold:
            if execution_id in desk.waiting.members:
                told = group.told or refusal
                desk.tell(execution_id, told.code, told.sentence, refusal.holders, about=told.about)
        group.untold = []

    def _in(self, execution_id: str, group: Group) -> bool:
        return self.desk.waiting.members[execution_id].needs == group.needs

    def _admit(self, execution_id: str) -> None:
        desk = self.desk
        run_id, key = desk.place.pop(execution_id)
        snapshot = desk.runs.get(run_id)
        execution = snapshot.executions.get(key) if snapshot else None
        if snapshot is None or execution is None or execution.execution_id != execution_id:
            return
        task = snapshot.tasks[key[0]]
        if execution.state is TaskState.RETRYING and self._budget_gone(task, execution):
            draft = desk.draft(snapshot)
            out_of_budget(draft, key, desk.tools.rules)
            desk.absorb(draft)
            return
        problem = impossible(desk.needs(snapshot, key[0]), desk.tools.capacity)
        if problem is not None:
            self._fail(snapshot, key, problem)
            return
        mode = desk.tools.task_types[task.type].mode(task.config)
        if mode == "engine":
            self._start_in_engine(snapshot, key, task)
        elif mode == "poke":
            self._start_poke(snapshot, key, execution)
        else:
            self._start_attempt(snapshot, key)

    def _budget_gone(self, task: Task, execution: TaskExecution) -> bool:
        return over_budget(retry_policy(task, execution), execution.first_started_at, self.desk.now)

    def _fail(self, snapshot: RunSnapshot, key: Key, message: str) -> None:
        draft = self.desk.draft(snapshot)
        error = TaskError(type="ConfigurationError", kind=ErrorKind.CONFIGURATION, message=message)
        fail_without_process(draft, key, error, self.desk.tools.rules)
        self.desk.absorb(draft)

    def _start_attempt(self, snapshot: RunSnapshot, key: Key) -> None:
        draft = self.desk.draft(snapshot)
        execution = started(draft, key)
        if execution is None:
            return
        self.desk.absorb(draft)
        self._hand_over(snapshot, key, snapshot.executions[key], execution.attempt_count, poke=False)

    def _start_poke(self, snapshot: RunSnapshot, key: Key, execution: TaskExecution) -> None:
        self.sensing.begin(snapshot, key)
        if snapshot.executions[key].state is execution.state:
            execution = snapshot.executions[key]
            self._hand_over(snapshot, key, execution, execution.attempt_count + 1, poke=True)

    def _start_in_engine(self, snapshot: RunSnapshot, key: Key, task: Task) -> None:
        if has_markup(task.config) and "config" not in self.sensing.rendered.get(
            snapshot.executions[key].execution_id, {}
        ):
            self.sensing.ask_config(snapshot, key)
            return
        config = self.sensing.take_config(snapshot, key, task.config)
        draft = self.desk.draft(snapshot)
        if started(draft, key) is None:
            return
        self.desk.absorb(draft)
        self.desk.parent_waits(snapshot, key)
        self.runs.start_child(snapshot, key, config)

    def _hand_over(
        self, snapshot: RunSnapshot, key: Key, execution: TaskExecution, number: int, *, poke: bool
    ) -> None:
        desk = self.desk
        attempt = Attempt(
            token=desk.tools.new_id(),
            execution_id=execution.execution_id,
            run_id=execution.run_id,
            task_id=key[0],
            map_index=key[1],
            number=number,
            epoch=desk.tools.epoch,
            submitted_at=desk.now,
            log=log_path(execution, number),
            poke=poke,
        )
        live = Live(attempt, key, desk.needs(snapshot, key[0]), f"{execution.run_id}/{name(key)}")
        desk.live[attempt.token] = live
        self.circuits.probing(live.needs.circuits)
        desk.token_of[execution.execution_id] = attempt.token
        desk.leave(execution.execution_id)  # a poke's first look has put its execution back among those who wait
        desk.batch.changes.new_attempts.append(attempt)
        failpoint.hit("admission.admitted")
        if not poke:
            desk.event("task.scheduled", snapshot, key[0], map_index=key[1], attempt=number)
        desk.batch.after.append(partial(self.submit, self.spec(snapshot, key, execution, attempt)))

    def _watermarks(self, snapshot: RunSnapshot, task: Task) -> tuple[Watermark, ...]:
        """Where the consumers of what `task` reads stand; one that is no task any more holds nobody back."""
        run = snapshot.run
        return tuple(
            each
            for each in standing(self.desk, run.pipeline_id, run.profile)
            if each.producer == task.id and each.consumer in snapshot.tasks
        )

    def spec(self, snapshot: RunSnapshot, key: Key, execution: TaskExecution, attempt: Attempt) -> AttemptSpec:
        """Everything the attempt's process needs to know."""
        desk, task = self.desk, snapshot.tasks[key[0]]
        kind = desk.tools.task_types[task.type]
        saved = (
            desk.tools.store.checkpoint(attempt.run_id, key[0], key[1]) if _may_have_checkpoint(execution) else None
        )
        return AttemptSpec(
            token=attempt.token,
            epoch=attempt.epoch,
            run_id=attempt.run_id,
            pipeline_id=execution.pipeline_id,
            task_id=key[0],
            map_index=key[1],
            execution_id=execution.execution_id,
            attempt=attempt.number,
            type=task.type,
            config=overridden(task.config, execution.config_overrides),
            context=contexts.attempt_context(snapshot, key, execution, attempt.number),
            checkpoint=saved.value if saved else None,
            timeout_seconds=task.timeout_seconds,
            grace_seconds=desk.tools.settings.limits.grace_seconds,
            memory_mb=task.resources.memory_mb or None,
            log=attempt.log or "",
            profile=snapshot.run.profile,
            poke=attempt.poke,
            heavy=kind.heavy(task.config),
            generation=execution.generation,
            watermarks=self._watermarks(snapshot, task) if reads_by_watermark(task) else (),
        )


def reads_by_watermark(task: Task) -> bool:
    """Whether the task reads only what is new: in its own config, or in the source of a load."""
    source = task.config.get("source")
    return bool(task.config.get("incremental") or (isinstance(source, Mapping) and source.get("incremental")))


def _may_have_checkpoint(execution: TaskExecution) -> bool:
    """A first attempt of a first execution has saved nothing yet: no need to ask the store."""
    return execution.attempt_count > 1 or execution.retry_of is not None or execution.pokes > 0


def log_path(execution: TaskExecution, number: int) -> str:
    """One file per attempt; the pokes of one sensor share theirs."""
    index = "" if execution.map_index is None else f"[{execution.map_index}]"
    return f"{execution.run_id}/{execution.task_id}{index}.{execution.sequence}.{number}.jsonl"


def overridden(config: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """The config with a requeue's edits (dotted paths) laid over it."""
    result = dict(config)
    for path, value in edits.items():
        *parents, last = path.split(".")
        place = result
        for parent in parents:
            inner = place.get(parent)
            place[parent] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[parent]
        place[last] = value
    return result
