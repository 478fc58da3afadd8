"""What the dispatcher works on: active runs, live attempts, who waits, the open batch.

Law: used by the dispatcher's thread alone. `absorb` is the only way a decision becomes part of the state: it notes
the rows, folds the draft into its snapshot and follows up on everything that the change means for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.model.event import Event
from engine.model.pipeline import Pipeline, Task
from engine.model.run import Attempt, PipelineRun, TaskExecution, TaskState, Verdict
from engine.model.workspace import Connection, Settings
from engine.ports import failpoint
from engine.ports.catalog import Catalog
from engine.ports.clock import Clock
from engine.ports.executor import Sampled
from engine.ports.store import PipelineVersion, StateStore
from engine.ports.tasktype import TaskType
from engine.rules.admission import Candidate, Capacity, Holder, Needs, WaitingRoom
from engine.rules.graph import Graph, build_graph
from engine.rules.graph_paths import analyse_paths
from engine.rules.rates import Bucket
from engine.rules.snapshot import Draft, Evaluate, Key, Kill, Rules, RunSnapshot, WithoutProcess
from engine.runtime.batch import Batch
from engine.runtime.timers import Timers

Told = tuple[str, datetime | None, str | None]  # code, time and subject of a verdict: more is no news


@dataclass(frozen=True, slots=True)
class Definition:
    """A pinned version, ready to be run."""

    pipeline: Pipeline
    graph: Graph
    version: PipelineVersion
    urgency: Mapping[str, float]  # longest way from the task to the end: more is more urgent


@dataclass(slots=True)
class Live:
    """An attempt that has, or is about to have, a process."""

    attempt: Attempt
    key: Key
    needs: Needs
    name: str
    sample: Sampled | None = None
    saved_at: datetime | None = None  # when a sample was last written to the store
    foreign: bool = False  # a process of an earlier engine that we may not kill


@dataclass(slots=True, kw_only=True)
class Tools:
    """What bootstrap hands to the runtime."""

    store: StateStore
    catalog: Catalog
    clock: Clock
    new_id: Callable[[], str]
    settings: Settings
    task_types: Mapping[str, TaskType]
    capacity: Capacity
    rules: Rules
    epoch: int
    scope: str  # engine | run | command
    time_scale: float = 1.0
    environment: Callable[[], Mapping[str, str]] = dict  # what env.* shows


@dataclass(slots=True)
class Followers:
    """Who wants to hear of changes; set once by the dispatcher."""

    run_ended: list[Callable[[RunSnapshot], None]] = field(default_factory=list)
    decided: list[Callable[[RunSnapshot, Draft], None]] = field(default_factory=list)
    evaluate: Callable[[RunSnapshot, Evaluate], None] = lambda _snapshot, _action: None
    kill: Callable[[RunSnapshot, Kill], None] = lambda _snapshot, _action: None
    without_process: Callable[[RunSnapshot, WithoutProcess], None] = lambda _snapshot, _action: None


class Desk:
    """The state of one leading engine."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.now = tools.clock.now()
        self.runs: dict[str, RunSnapshot] = {}
        self.live: dict[str, Live] = {}  # by token
        self.token_of: dict[str, str] = {}  # execution id -> live token
        self.waiting_parents: dict[str, Holder] = {}  # RUNNING `pipeline` tasks, by execution id: they hold pools
        self.waiting = WaitingRoom()
        self.place: dict[str, tuple[str, Key]] = {}  # execution id in the waiting room -> where it stands
        self.buckets: dict[str, Bucket] = {}
        self.timers = Timers()
        self.batch = Batch()
        self.told: dict[str, Told] = {}  # execution id -> what its open verdict says
        self.followers = Followers()
        self._definitions: dict[tuple[str, int], Definition] = {}
        self._needs: dict[tuple[str, int, str, str | None], Needs] = {}
        self._order = 0

    # -- definitions -------------------------------------------------------------------------------------------

    def pin(self, pipeline: Pipeline) -> Definition:
        """The version a new run is pinned to; a new number only for a definition never pinned before."""
        store = self.tools.store
        for known in self._definitions.values():
            if known.pipeline.id == pipeline.id and known.version.hash == pipeline.hash:
                return known
        version = store.version_with_hash(pipeline.id, pipeline.hash)
        if version is None:
            latest = store.latest_version(pipeline.id)
            version = PipelineVersion(
                pipeline_id=pipeline.id,
                version=1 + max([latest.version if latest else 0, *self._pinned(pipeline.id)]),
                hash=pipeline.hash,
                document=pipeline.document,
                file=pipeline.file,
                created_at=self.now,
            )
            self.batch.changes.versions.append(version)
        return self._remember(version, pipeline)

    def definition(self, version: PipelineVersion) -> Definition:
        """A version pinned earlier, restored from its document."""
        known = self._definitions.get((version.pipeline_id, version.version))
        return known or self._remember(version, self.tools.catalog.build(version.document, version.file))

    def _pinned(self, pipeline_id: str) -> list[int]:
        return [number for known, number in self._definitions if known == pipeline_id]

    def _remember(self, version: PipelineVersion, pipeline: Pipeline) -> Definition:
        graph = build_graph(pipeline.dependencies())
        seconds = self.tools.store.median_seconds(pipeline.id)
        found = Definition(pipeline, graph, version, analyse_paths(graph, seconds).remaining)
        if len(self._definitions) > 200:  # bounded: the oldest not in use is forgotten
            used = {(run.run.pipeline_id, run.run.version) for run in self.runs.values()}
            for key in [key for key in self._definitions if key not in used][:100]:
                del self._definitions[key]
        self._definitions[(version.pipeline_id, version.version)] = found
        return found

    # -- runs --------------------------------------------------------------------------------------------------

    def draft(self, snapshot: RunSnapshot) -> Draft:
        """Start deciding about a run."""
        return Draft(snapshot, self.now, self.tools.new_id, time_scale=self.tools.time_scale)

    def absorb(self, draft: Draft) -> None:
        """Make a decision part of the state (and of the open batch)."""
        snapshot = draft.base
        self.batch.take(draft)
        snapshot.accept(draft)
        for retired in draft.retired.values():
            self.leave(retired.execution_id)
        for key in draft.executions:
            self.follow(snapshot, key)
        self._tell_the_world(snapshot, draft)
        for action in draft.actions:
            if isinstance(action, Evaluate):
                self.followers.evaluate(snapshot, action)
            elif isinstance(action, Kill):
                self.followers.kill(snapshot, action)
            else:
                self.followers.without_process(snapshot, action)
        for follower in self.followers.decided:
            follower(snapshot, draft)
        if draft.ended:
            for ended in self.followers.run_ended:
                ended(snapshot)
            self.runs.pop(snapshot.run.run_id, None)

    def follow(self, snapshot: RunSnapshot, key: Key) -> None:
        """Put an execution where its state belongs: waiting room, timer, or nowhere; and say why it waits."""
        execution = snapshot.executions.get(key)
        if execution is None:
            return
        if execution.state in (TaskState.QUEUED, TaskState.RETRYING):
            self._wait(snapshot, key, execution)
            return
        self.leave(execution.execution_id)
        if execution.state.terminal:
            self.waiting_parents.pop(execution.execution_id, None)
        if execution.state is TaskState.WAITING:
            self.tell(execution.execution_id, "UPSTREAM", _waits_for(snapshot, key))

    def _wait(self, snapshot: RunSnapshot, key: Key, execution: TaskExecution) -> None:
        execution_id, due = execution.execution_id, execution.next_retry_at
        if execution_id in self.token_of:  # a poke is alive
            return
        if due is not None and due > self.now:
            self.waiting.withdraw(execution_id)
            failpoint.hit("desk.backoff")
            self.timers.set(execution_id, due, lambda: self._due(snapshot.run.run_id, key, execution_id))
            self.tell(execution_id, *_backoff_verdict(execution), expected=due)
            return
        self.timers.drop(execution_id)
        self.place[execution_id] = (snapshot.run.run_id, key)
        needs = self.needs(snapshot, key[0])
        self.waiting.add(Candidate(execution_id, needs, self._rank(snapshot, key, execution)))

    def _due(self, run_id: str, key: Key, execution_id: str) -> None:
        snapshot = self.runs.get(run_id)
        execution = snapshot.executions.get(key) if snapshot else None
        if snapshot and execution and execution.execution_id == execution_id:
            self.follow(snapshot, key)

    def parent_waits(self, snapshot: RunSnapshot, key: Key) -> None:
        """A `pipeline` task is RUNNING without a process; it holds its pools all the same."""
        execution = snapshot.executions[key]
        holder = Holder(f"{execution.run_id}/{key[0]}", self.needs(snapshot, key[0]))
        self.waiting_parents[execution.execution_id] = holder

    def leave(self, execution_id: str) -> None:
        """It does not wait any more: no place in the waiting room, no alarm, no verdict."""
        self.waiting.withdraw(execution_id)
        self.place.pop(execution_id, None)
        self.timers.drop(execution_id)
        if self.told.pop(execution_id, None) is not None:
            self.batch.changes.verdicts[execution_id] = None

    def _rank(self, snapshot: RunSnapshot, key: Key, execution: TaskExecution) -> tuple[int, float, float, int]:
        self._order += 1
        definition = self._definitions.get((snapshot.run.pipeline_id, snapshot.run.version))
        urgency = definition.urgency.get(key[0], 0.0) if definition else 0.0
        since = (execution.queued_at or self.now).timestamp()
        return (-snapshot.run.priority, -urgency, since, self._order)

    def tell(
        self,
        execution_id: str,
        code: str,
        sentence: str,
        holders: Iterable[str] = (),
        expected: datetime | None = None,
        about: str | None = None,
    ) -> None:
        """Write down why an execution is not running, if that is news."""
        if self.told.get(execution_id) == (code, expected, about):
            return
        self.told[execution_id] = (code, expected, about)
        self.batch.changes.verdicts[execution_id] = Verdict(
            execution_id=execution_id,
            code=code,
            sentence=sentence,
            holders=tuple(holders),
            since=self.now,
            expected=expected,
            about=about,
        )

    # -- what a task needs -------------------------------------------------------------------------------------

    def needs(self, snapshot: RunSnapshot, task_id: str) -> Needs:
        """Worker, pools and resources one task holds while it runs."""
        run = snapshot.run
        key = (run.pipeline_id, run.version, task_id, run.profile)
        if key not in self._needs:
            if len(self._needs) > 100_000:
                self._needs.clear()
            self._needs[key] = self._work_out_needs(snapshot.tasks[task_id], run)
        return self._needs[key]

    def _work_out_needs(self, task: Task, run: PipelineRun) -> Needs:
        kind = self.tools.task_types[task.type]
        pools = [task.pool] if task.pool else []
        connections = self._connections(kind, task, run)
        for connection in connections:
            pools += [connection.pool] if connection.pool else []
            pools += [f"connection:{connection.id}"] if connection.per_second else []
        return Needs(
            pools=tuple(dict.fromkeys(pools)),
            cpu=task.resources.cpu,
            memory_mb=task.resources.memory_mb,
            worker=kind.mode(task.config) != "engine",
            circuits=tuple((each.id, run.profile) for each in connections if each.breaker is not None),
        )

    def _connections(self, kind: TaskType, task: Task, run: PipelineRun) -> list[Connection]:
        wanted = kind.connections(task.config)
        if not wanted:
            return []
        known = self.tools.catalog.connections(run.profile)
        return [known[name] for name in wanted if name in known]

    # -- events ------------------------------------------------------------------------------------------------

    def event(
        self, kind: str, snapshot: RunSnapshot | None = None, task: str | None = None, **payload: Any
    ) -> None:
        """One row of the outbox about this turn."""
        run = snapshot.run if snapshot else None
        self.batch.event(
            Event(
                type=kind,
                at=self.now,
                pipeline_id=run.pipeline_id if run else payload.pop("pipeline_id", None),
                run_id=run.run_id if run else None,
                task_id=task,
                payload=payload,
            )
        )

    def _tell_the_world(self, snapshot: RunSnapshot, draft: Draft) -> None:
        for row in draft.transitions:
            self.event(
                "task.state",
                snapshot,
                row.task_id,
                execution_id=row.execution_id,
                map_index=row.map_index,
                to=row.to_state.value,
                attempt=row.attempt,
                **{"from": row.from_state.value},
            )
        if draft.ended:
            self.event("run.completed", snapshot, state=draft.run.state.value, reason=draft.run.reason)


def _waits_for(snapshot: RunSnapshot, key: Key) -> str:
    open_ones = [
        upstream
        for upstream in snapshot.graph.upstream[key[0]]
        if any(not execution.state.terminal for execution in snapshot.of_task(upstream))
    ]
    if not open_ones:
        return "Its condition is being evaluated"
    named = ", ".join(open_ones[:5]) + (f" and {len(open_ones) - 5} more" if len(open_ones) > 5 else "")
    return f"It waits for {named}"


def _backoff_verdict(execution: TaskExecution) -> tuple[str, str]:
    if execution.pokes:
        return "SENSING", f"The condition was not true {execution.pokes} times; it looks again"
    why = execution.error.message[:300] if execution.error else ""
    return "BACKOFF", f"Attempt {execution.attempt_count} failed ({why}); it waits before the next"
