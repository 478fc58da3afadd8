"""A run as the rules see it: latest executions, counted upstream ends, open count.

Law: rules only read a snapshot; what they decide is a Draft laid over it. The dispatcher folds a draft in with
`accept` right after deciding, and throws the whole snapshot away when the commit fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine.model.errors import TaskError
from engine.model.pipeline import Pipeline, Task
from engine.model.replacing import replaced
from engine.model.run import PipelineRun, Reason, TaskEvent, TaskExecution, TaskState, Transition
from engine.rules.graph import Graph
from engine.rules.lifecycle import transition
from engine.rules.readiness import Tally

Key = tuple[str, int | None]  # task id, map index


@dataclass(frozen=True, slots=True)
class Evaluate:
    """A template of `when`, `foreach` or `choose` must be rendered before the task can go on."""

    key: Key
    field: str


@dataclass(frozen=True, slots=True)
class Kill:
    """The live attempt of this execution must end."""

    key: Key
    why: str  # cancel | timeout


@dataclass(frozen=True, slots=True)
class WithoutProcess:
    """An attempt that never had a process; it gets its row all the same."""

    key: Key
    number: int
    error: TaskError | None


Action = Evaluate | Kill | WithoutProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What deciding needs beside the run itself."""

    max_losses: int
    max_items: int
    runs_in_engine: Callable[[Task], bool]  # carried by the dispatcher: no process (branch template, pipeline)


class RunSnapshot:
    """One active run in memory. Owned by the dispatcher's thread."""

    def __init__(
        self, run: PipelineRun, pipeline: Pipeline, graph: Graph, executions: Iterable[TaskExecution]
    ) -> None:
        self.run = run
        self.pipeline = pipeline
        self.graph = graph
        self.tasks: Mapping[str, Task] = {task.id: task for task in pipeline.tasks}
        self.executions: dict[Key, TaskExecution] = {}
        self.by_task: dict[str, list[int | None]] = {}
        self.states: dict[TaskState, int] = {}
        for execution in executions:
            self._add(execution)
        self.selected = frozenset(self.by_task)
        self.tallies = {task_id: self.tally_from_scratch(task_id) for task_id in self.by_task}

    @property
    def open(self) -> int:
        """Executions not yet in a terminal state."""
        return sum(count for state, count in self.states.items() if not state.terminal)

    def key_of(self, execution_id: str) -> Key | None:
        """Where an execution stands, if it is still a latest one."""
        for key, execution in self.executions.items():
            if execution.execution_id == execution_id:
                return key
        return None

    def of_task(self, task_id: str) -> list[TaskExecution]:
        """The latest executions of one task in map order."""
        indexes = sorted(self.by_task.get(task_id, ()), key=lambda index: -1 if index is None else index)
        return [self.executions[(task_id, index)] for index in indexes]

    def tally_from_scratch(self, task_id: str) -> Tally:
        """Count the upstream ends of one task anew."""
        tally = Tally()
        for upstream in self.graph.upstream[task_id]:
            for execution in self.of_task(upstream):
                tally.total += 1
                tally.count(execution)
        return tally

    def accept(self, draft: Draft) -> None:
        """Fold a decision in."""
        self.run = draft.run
        for retired in draft.retired.values():
            key = (retired.task_id, retired.map_index)
            old = self.executions.get(key)
            if old is not None and old.execution_id == retired.execution_id:
                self._remove(key)
        for key, execution in draft.executions.items():
            if key in self.executions:
                self.states[self.executions[key].state] -= 1
                self.states[execution.state] = self.states.get(execution.state, 0) + 1
                self.executions[key] = execution
            else:
                self._add(execution)
        self.tallies.update(draft.tallies)

    def _add(self, execution: TaskExecution) -> None:
        key = (execution.task_id, execution.map_index)
        self.executions[key] = execution
        self.by_task.setdefault(execution.task_id, []).append(execution.map_index)
        self.states[execution.state] = self.states.get(execution.state, 0) + 1

    def _remove(self, key: Key) -> None:
        execution = self.executions.pop(key)
        self.by_task[key[0]].remove(key[1])
        self.states[execution.state] -= 1


@dataclass(slots=True)
class Draft:
    """A decision in the making, laid over a snapshot that stays as it is."""

    base: RunSnapshot
    now: datetime
    new_id: Callable[[], str]
    time_scale: float = 1.0  # samples shorten waits; 1 everywhere else
    run: PipelineRun = field(init=False)
    executions: dict[Key, TaskExecution] = field(default_factory=dict)
    created: dict[str, TaskExecution] = field(default_factory=dict)  # by execution id, as first inserted
    retired: dict[str, TaskExecution] = field(default_factory=dict)  # by execution id, as they were left
    transitions: list[Transition] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    failed: list[Key] = field(default_factory=list)  # ended FAILED: a dead letter each
    retrying: list[Key] = field(default_factory=list)
    added: dict[str, list[Key]] = field(default_factory=dict)  # keys the snapshot does not know, by task
    opened: int = 0  # change of the open count
    ended: bool = False  # the run reached a terminal state

    def __post_init__(self) -> None:
        self.run = self.base.run

    def get(self, key: Key) -> TaskExecution:
        """The execution as it stands in this draft."""
        found = self.executions.get(key)
        return found if found is not None else self.base.executions[key]

    def has(self, key: Key) -> bool:
        """Whether there is a latest execution under this key (a mapped task's placeholder goes, items come)."""
        return key in self.executions or (key in self.base.executions and not self._is_retired(key))

    def keys(self, task_id: str) -> Sequence[Key]:
        """Keys of a task's latest executions, this draft included."""
        known: list[Key] = [(task_id, index) for index in self.base.by_task.get(task_id, ())]
        if self.retired:
            known = [key for key in known if key in self.executions or not self._is_retired(key)]
        return known + self.added.get(task_id, [])

    def _is_retired(self, key: Key) -> bool:
        execution = self.base.executions.get(key)
        return execution is not None and execution.execution_id in self.retired

    def tally(self, task_id: str) -> Tally:
        """A copy to write to."""
        if task_id not in self.tallies:
            self.tallies[task_id] = self.base.tallies[task_id].copy()
        return self.tallies[task_id]

    def put(self, execution: TaskExecution) -> None:
        """Note an execution's newest value."""
        self.executions[(execution.task_id, execution.map_index)] = execution

    def touch(self, key: Key, **changes: object) -> TaskExecution:
        """Change fields that are not the state (progress, cancelling, next poke)."""
        execution = self.get(key)
        changed = replaced(execution, row_version=execution.row_version + 1, **changes)
        self.put(changed)
        return changed

    def move(
        self,
        key: Key,
        event: TaskEvent,
        *,
        to: TaskState | None = None,
        error: TaskError | None = None,
        reason: Reason | None = None,
        message: str | None = None,
    ) -> TaskExecution | None:
        """Apply one event of the state table; None (and nothing changed) when it is refused."""
        before = self.get(key)
        applied = transition(before, event, self.now, to=to, error=error, reason=reason, message=message)
        if applied is None:
            return None
        self.put(applied.execution)
        self.transitions.append(applied.transition)
        self.opened -= int(applied.execution.state.terminal)
        return applied.execution

    def create(self, execution: TaskExecution) -> None:
        """A new row; it becomes the latest of its key."""
        self.created[execution.execution_id] = execution
        key = (execution.task_id, execution.map_index)
        if key not in self.base.executions:
            self.added.setdefault(execution.task_id, []).append(key)
        self.put(execution)
        self.opened += 1

    def retire(self, key: Key) -> None:
        """The execution of this key is replaced; an open one no longer counts as open."""
        execution = self.get(key)
        self.retired[execution.execution_id] = execution
        self.executions.pop(key, None)
        if key in self.added.get(key[0], ()):
            self.added[key[0]].remove(key)
        self.opened -= int(not execution.state.terminal)

    @property
    def open(self) -> int:
        """Executions not yet terminal, this draft included."""
        return self.base.open + self.opened
