"""One turn's worth of decisions, gathered into one transaction.

Law: rows are noted in the order of deciding; row versions are renumbered at the end so that each row is one
compare-and-set against what the store holds, however often it changed within the turn. What is to be done is kept
beside the rows and done only after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.model.event import Event
from engine.model.replacing import replaced
from engine.model.run import TaskExecution
from engine.ports.store import Changes
from engine.rules.snapshot import Draft, Key, RunSnapshot


@dataclass(slots=True)
class Batch:
    """An open transaction."""

    changes: Changes = field(default_factory=Changes)
    after: list[Callable[[], None]] = field(default_factory=list)  # only once it is committed
    answered: list[str] = field(default_factory=list)  # request ids whose answers are in here
    _stored: dict[str, int] = field(default_factory=dict)  # execution id -> row version in the store
    _fresh: dict[str, TaskExecution] = field(default_factory=dict)  # not in the store yet
    _rows: dict[str, tuple[RunSnapshot, Key]] = field(default_factory=dict)
    _runs: dict[str, tuple[RunSnapshot, int]] = field(default_factory=dict)  # run id -> snapshot, stored version
    _new_runs: dict[str, RunSnapshot] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._rows or self._runs or self._new_runs or self.after or self.changes)

    def new_run(self, snapshot: RunSnapshot) -> None:
        """A run and its executions that the store does not have yet."""
        self._new_runs[snapshot.run.run_id] = snapshot
        for key, execution in snapshot.executions.items():
            self._fresh[execution.execution_id] = execution
            self._rows[execution.execution_id] = (snapshot, key)

    def take(self, draft: Draft) -> None:
        """Note a decision's rows; call before the snapshot accepts it."""
        snapshot = draft.base
        for execution_id in draft.created:
            self._fresh[execution_id] = draft.created[execution_id]
        for key, execution in draft.executions.items():
            if execution.execution_id not in self._fresh and execution.execution_id not in self._stored:
                self._stored[execution.execution_id] = snapshot.executions[key].row_version
            self._rows[execution.execution_id] = (snapshot, key)
        for execution in draft.retired.values():
            self._retire(snapshot, execution)
        self.changes.transitions += draft.transitions
        if draft.run is not snapshot.run:
            run_id = snapshot.run.run_id
            if run_id not in self._new_runs and run_id not in self._runs:
                self._runs[run_id] = (snapshot, snapshot.run.row_version)

    def _retire(self, snapshot: RunSnapshot, execution: TaskExecution) -> None:
        """Replaced by another row. What it came to in this turn (a mark cancels what it replaces) is kept."""
        execution_id = execution.execution_id
        self._rows.pop(execution_id, None)
        if self._fresh.pop(execution_id, None) is not None:
            return  # made and replaced within one turn: nobody ever saw it
        key = (execution.task_id, execution.map_index)
        stored = self._stored.pop(execution_id, None)
        if stored is None:
            stored = snapshot.executions[key].row_version
        if execution.row_version != stored:
            self.changes.executions[execution_id] = replaced(execution, row_version=stored + 1)
        self.changes.retired_executions.append(execution_id)

    def event(self, event: Event) -> None:
        """One more row of the outbox."""
        self.changes.events.append(event)

    def seal(self) -> Changes:
        """Renumber rows and hand the transaction over. Snapshots get the same numbers."""
        changes = self.changes
        for run_id, snapshot in self._new_runs.items():
            snapshot.run = replaced(snapshot.run, row_version=0)
            changes.new_runs.append(snapshot.run)
            self._runs.pop(run_id, None)
        for run_id, (snapshot, stored) in self._runs.items():
            snapshot.run = replaced(snapshot.run, row_version=stored + 1)
            changes.runs[run_id] = snapshot.run
        for execution_id, (snapshot, key) in self._rows.items():
            execution = snapshot.executions.get(key)
            if execution is None or execution.execution_id != execution_id:
                continue
            stored_version = self._stored.get(execution_id)
            version = 0 if stored_version is None else stored_version + 1
            if execution.row_version != version:
                execution = replaced(execution, row_version=version)
                snapshot.executions[key] = execution
            if stored_version is None:
                changes.new_executions.append(execution)
            else:
                changes.executions[execution_id] = execution
        return changes
