"""What the simulated engine has committed, and nothing else.

Law: a commit is all or nothing, under one epoch, and refuses what no store would take: a row decided on by an older
reading, a change of an ended row, a transition that does not follow the last one, a sequence given twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.model.errors import Deposed
from engine.model.run import PipelineRun, TaskEvent, TaskExecution, TaskState
from engine.rules.lifecycle import next_states
from engine.rules.snapshot import Draft, Key

S, E = TaskState, TaskEvent


@dataclass(slots=True)
class Try:
    """An attempt's row."""

    token: str
    execution_id: str
    number: int
    live: bool = True
    poke: bool = False


@dataclass(slots=True)
class Tracked:
    """What the history of one execution adds up to, counted beside the rules."""

    state: TaskState = S.PENDING
    started: int = 0
    failures: int = 0
    losses: int = 0


@dataclass
class Store:
    """Rows, written in one transaction under one epoch."""

    run: PipelineRun
    rows: dict[str, TaskExecution]
    latest: dict[Key, str]
    epoch: int = 1
    tries: dict[str, Try] = field(default_factory=dict)
    tracked: dict[str, Tracked] = field(default_factory=dict)
    letters: set[str] = field(default_factory=set)
    sequences: set[tuple[Key, int]] = field(default_factory=set)

    def commit(self, draft: Draft, epoch: int, tries: list[Try], ended: list[str]) -> None:
        if epoch != self.epoch:
            raise Deposed("another engine leads")
        for execution_id, row in draft.created.items():
            self._insert(execution_id, row)
        self._write_rows(draft)
        for execution in draft.retired.values():
            key = (execution.task_id, execution.map_index)
            if self.latest.get(key) == execution.execution_id:
                del self.latest[key]
        for key, execution in draft.executions.items():
            self.latest[key] = execution.execution_id
        self._follow(draft)
        for attempt in tries:
            assert attempt.token not in self.tries
            self.tries[attempt.token] = attempt
        for token in ended:
            self.tries[token].live = False
        self.run = draft.run

    def _insert(self, execution_id: str, row: TaskExecution) -> None:
        key = (row.task_id, row.map_index)
        assert execution_id not in self.rows
        assert (key, row.sequence) not in self.sequences, "the sequence names one execution"
        if row.retry_of is not None:
            assert row.retry_of in self.rows
            assert row.sequence > 0
        assert all(sequence < row.sequence for known, sequence in self.sequences if known == key)
        self.sequences.add((key, row.sequence))
        self.tracked[execution_id] = Tracked()
        self.rows[execution_id] = row

    def _write_rows(self, draft: Draft) -> None:
        for execution in [*draft.retired.values(), *draft.executions.values()]:
            stored = self.rows[execution.execution_id]
            if execution.execution_id not in draft.created:
                base = draft.base.executions[(execution.task_id, execution.map_index)]
                assert stored is base, "decided on a row that is not the stored one"
                assert execution is base or not stored.state.terminal, "a terminal row is never written again"
            self.rows[execution.execution_id] = execution

    def _follow(self, draft: Draft) -> None:
        for row in draft.transitions:
            tracked = self.tracked[row.execution_id]
            assert row.from_state is tracked.state, "transitions are chained"
            assert row.to_state in next_states(row.from_state, row.event)
            tracked.state = row.to_state
            tracked.started += int(row.event is E.EXECUTION_STARTED)
