"""Runs: made, admitted, timed out, and started by other runs.

Law: a run's id is known before it exists, and its row, its executions and whatever caused it are one commit. A run
waits in PENDING, with a sentence, while its pipeline has as many active runs as it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.model.errors import ErrorKind, PenstockError, Refused, TaskError
from engine.model.pipeline import Pipeline
from engine.model.run import Outcome, PipelineRun, Reason, RunState, TaskExecution
from engine.model.schedule import OverlapPolicy
from engine.ports import failpoint
from engine.rules.advance import begin, cancel_run, finished
from engine.rules.graph_plan import select_tasks
from engine.rules.schedule import data_interval
from engine.rules.schedule_overlap import past_check
from engine.rules.snapshot import Key, RunSnapshot
from engine.runtime.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a new run is to be."""

    pipeline: Pipeline
    run_id: str
    triggered_by: str
    logical_date: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    priority: int | None = None
    only: Sequence[str] = ()
    from_: Sequence[str] = ()
    until: Sequence[str] = ()
    parent_execution: str | None = None
    slot: datetime | None = None
    scope: str | None = None
    event: Mapping[str, Any] = field(default_factory=dict)


class Runs:
    """Makes and admits runs on the desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._to_admit: set[str] = set()  # pipelines one of whose runs has ended
        desk.followers.run_ended.append(self._ended)

    def make(self, order: Order) -> RunSnapshot:
        """A new run, PENDING, in the open batch; it starts in the same turn if it may."""
        desk, pipeline = self.desk, order.pipeline
        definition = desk.pin(pipeline)
        chosen = select_tasks(definition.graph, only=order.only, from_=order.from_, until=order.until)
        interval = data_interval(pipeline.schedule, order.logical_date) if pipeline.schedule else None
        start, end = interval or (order.logical_date, order.logical_date)
        run = PipelineRun(
            run_id=order.run_id,
            pipeline_id=pipeline.id,
            version=definition.version.version,
            triggered_by=order.triggered_by,
            triggered_at=desk.now,
            logical_date=order.logical_date,
            data_interval_start=start,
            data_interval_end=end,
            profile=order.profile,
            parameters=dict(order.parameters),
            event=dict(order.event),
            priority=pipeline.execution.priority if order.priority is None else order.priority,
            selection=chosen if order.only or order.from_ or order.until else None,
            parent_execution=order.parent_execution,
            slot=order.slot,
            scope=order.scope,
        )
        executions = [
            TaskExecution(
                execution_id=desk.tools.new_id(),
                run_id=run.run_id,
                pipeline_id=pipeline.id,
                task_id=task_id,
                created_at=desk.now,
            )
            for task_id in chosen
        ]
        snapshot = RunSnapshot(run, pipeline, definition.graph, executions)
        desk.runs[run.run_id] = snapshot
        desk.batch.new_run(snapshot)
        desk.event("run.created", snapshot, triggered_by=run.triggered_by, version=run.version)
        self.admit(pipeline.id)
        return snapshot

    def settle(self) -> None:
        """Admit what waited for runs that have ended. Not done right at the end of a run: runs that end as soon as
        they start would nest without bound."""
        while self._to_admit:
            self.admit(self._to_admit.pop())

    def admit(self, pipeline_id: str) -> None:
        """Start PENDING runs of one pipeline while it has room for them, the most urgent first."""
        runs = [run for run in self.desk.runs.values() if run.run.pipeline_id == pipeline_id]
        waiting = [run for run in runs if run.run.state is RunState.PENDING]
        if not waiting:
            return
        active = dict.fromkeys({run.run.profile for run in runs}, 0)
        for run in runs:
            active[run.run.profile] += int(run.run.state is RunState.RUNNING)
        for snapshot in sorted(waiting, key=lambda run: (-run.run.priority, run.run.logical_date)):
            why = self._why_not(snapshot, active[snapshot.run.profile])
            if why is not None:
                self._wait(snapshot, why)
                continue
            self._start(snapshot)
            active[snapshot.run.profile] += 1

    def _why_not(self, snapshot: RunSnapshot, active: int) -> str | None:
        most, schedule = snapshot.pipeline.execution.max_active_runs, snapshot.pipeline.schedule
        free = snapshot.run.slot is not None and schedule and schedule.policy is OverlapPolicy.ALLOW_CONCURRENT
        if not free and active >= most:
            return f"{active} of {most} runs of '{snapshot.run.pipeline_id}' are active (max_active_runs)"
        if snapshot.pipeline.execution.depends_on_past and snapshot.run.slot is not None:
            past = past_check(True, self._previous_state(snapshot.run))
            return None if past.met else past.reason
        return None

    def _previous_state(self, run: PipelineRun) -> str | None:
        before = self.desk.tools.store.previous_run(run.pipeline_id, run.profile, run.logical_date)
        loaded = [
            other.run
            for other in self.desk.runs.values()
            if (other.run.pipeline_id, other.run.profile) == (run.pipeline_id, run.profile)
            and other.run.logical_date < run.logical_date
        ]
        latest = max([*loaded, *([before] if before else [])], key=lambda other: other.logical_date, default=None)
        if latest is None:
            return None
        in_memory = self.desk.runs.get(latest.run_id)
        return (in_memory.run if in_memory else latest).state.value

    def _wait(self, snapshot: RunSnapshot, why: str) -> None:
        if snapshot.run.reason != why:
            draft = self.desk.draft(snapshot)
            draft.run = replace(draft.run, reason=why, row_version=draft.run.row_version + 1)
            self.desk.absorb(draft)

    def _start(self, snapshot: RunSnapshot) -> None:
        draft = self.desk.draft(snapshot)
        begin(draft, self.desk.tools.rules)
        self.desk.absorb(draft)
        self.desk.event("run.started", snapshot, version=snapshot.run.version)
        self.watch_deadline(snapshot)

    def watch_deadline(self, snapshot: RunSnapshot) -> None:
        """Ring when a RUNNING run has used up its time."""
        seconds, run = snapshot.pipeline.execution.timeout_seconds, snapshot.run
        if seconds is not None and run.started_at is not None and run.state is RunState.RUNNING:
            at = run.started_at + timedelta(seconds=seconds)
            self.desk.timers.set(f"run:{run.run_id}", at, lambda: self._timed_out(run.run_id, seconds))

    def _timed_out(self, run_id: str, seconds: float) -> None:
        snapshot = self.desk.runs.get(run_id)
        if snapshot is None or snapshot.run.state is not RunState.RUNNING:
            return
        draft = self.desk.draft(snapshot)
        sentence = f"The run took longer than {seconds:g} s (execution.timeout_seconds)"
        cancel_run(draft, None, Reason.RUN_TIMEOUT, sentence, self.desk.tools.rules)
        self.desk.absorb(draft)

    # -- runs started by a `pipeline` task ---------------------------------------------------------------------

    def start_child(self, snapshot: RunSnapshot, key: Key, config: Mapping[str, Any]) -> None:
        """A RUNNING `pipeline` task makes its run; without `wait` the task succeeds at once."""
        try:
            child = self._child(snapshot, key, config)
        except PenstockError as error:
            self._finish_parent(snapshot, key, Outcome(result="failed", error=_configuration(str(error))))
            return
        failpoint.hit("runs.child_made")
        draft = self.desk.draft(snapshot)
        draft.touch(key, child_run_id=child.run.run_id)
        self.desk.absorb(draft)
        if not config.get("wait", True):
            outputs = {"run_id": child.run.run_id}
            self._finish_parent(snapshot, key, Outcome(result="success", outputs=outputs))
        elif child.run.state.terminal:
            self._ended(child)

    def _child(self, snapshot: RunSnapshot, key: Key, config: Mapping[str, Any]) -> RunSnapshot:
        tools, run = self.desk.tools, snapshot.run
        pipeline = tools.catalog.get(str(config.get("pipeline")))
        if pipeline.id in self._lineage(snapshot):
            raise Refused(
                f"Pipeline '{pipeline.id}' is already running above this task; it would call itself for ever"
            )
        execution = snapshot.executions[key]
        return self.make(
            Order(
                pipeline=pipeline,
                run_id=f"{pipeline.id}__{execution.execution_id}",
                triggered_by=f"run:{run.run_id}",
                logical_date=run.logical_date,
                parameters=tools.catalog.bind_parameters(pipeline, config.get("parameters") or {}),
                profile=run.profile,
                priority=run.priority,
                parent_execution=execution.execution_id if config.get("wait", True) else None,
                scope=run.scope,
            )
        )

    def _lineage(self, snapshot: RunSnapshot) -> set[str]:
        above = {snapshot.run.pipeline_id}
        parent = self.parent_of(snapshot.run)
        while parent is not None:
            above.add(parent[0].run.pipeline_id)
            parent = self.parent_of(parent[0].run)
        return above

    def parent_of(self, run: PipelineRun) -> tuple[RunSnapshot, Key] | None:
        """The run and task that wait for this run."""
        if run.parent_execution is None or not run.triggered_by.startswith("run:"):
            return None
        snapshot = self.desk.runs.get(run.triggered_by.removeprefix("run:"))
        key = snapshot.key_of(run.parent_execution) if snapshot else None
        return (snapshot, key) if snapshot is not None and key is not None else None

    def _ended(self, snapshot: RunSnapshot) -> None:
        self.desk.timers.drop(f"run:{snapshot.run.run_id}")
        parent = self.parent_of(snapshot.run)
        if parent is not None:
            self.child_ended(*parent, snapshot.run)
        self.desk.runs.pop(snapshot.run.run_id, None)
        self._to_admit.add(snapshot.run.pipeline_id)

    def child_ended(self, snapshot: RunSnapshot, key: Key, child: PipelineRun) -> None:
        """The run that a `pipeline` task waits for is over."""
        self._finish_parent(snapshot, key, child_outcome(child))

    def _finish_parent(self, snapshot: RunSnapshot, key: Key, outcome: Outcome) -> None:
        draft = self.desk.draft(snapshot)
        execution = draft.get(key)
        killed = "cancel" if execution.cancelling is not None and outcome.result != "success" else None
        dice = self.desk.tools.clock.random()
        finished(draft, key, outcome, killed_for=killed, dice=dice, rules=self.desk.tools.rules)
        self.desk.absorb(draft)


def child_outcome(run: PipelineRun) -> Outcome:
    """How a waiting `pipeline` task ends when its run has."""
    outputs = {"run_id": run.run_id, "state": run.state.value}
    if run.state is RunState.SUCCESS:
        return Outcome(result="success", outputs=outputs)
    message = f"The run {run.run_id} of '{run.pipeline_id}' ended {run.state}; `penstock why {run.run_id}` says why"
    error = TaskError(type="SubPipelineFailed", kind=ErrorKind.LOGIC, message=message, final=True)
    return Outcome(result="failed", error=error, outputs=outputs)


def _configuration(message: str) -> TaskError:
    return TaskError(type="ConfigurationError", kind=ErrorKind.CONFIGURATION, message=message, final=True)
