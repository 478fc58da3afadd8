"""What must hold after every commit of a simulated history."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.run import Reason, RunState, TaskEvent, TaskExecution, TaskState
from engine.rules.endings import retry_policy
from engine.rules.graph import Graph
from engine.rules.readiness import Readiness, readiness
from engine.rules.snapshot import Draft, Key, Rules, RunSnapshot
from tests.rules.simulation_store import Store
from tests.rules.stage import check_counts

S, E = TaskState, TaskEvent


@dataclass(slots=True)
class Process:
    """What runs outside; the engine knows it by its token."""

    token: str
    key: Key
    execution_id: str
    poke: bool = False
    killed: bool = False


class Watched:
    """A world that can be looked at: what is stored, what is in memory, what runs outside."""

    store: Store
    snapshot: RunSnapshot
    rules: Rules
    graph: Graph
    processes: dict[str, Process]
    questions: list[tuple[str, Key, str]]  # execution, key, field: asked and not answered

    def count_failures(self, draft: Draft, lost: str | None) -> None:
        """Beside the rules: failures are the task's, losses the machine's, and a finished attempt ends a series."""
        for row in draft.transitions:
            if row.from_state is not S.RUNNING or row.event is E.CANCELLED_BY_USER:
                continue
            tracked = self.store.tracked[row.execution_id]
            if row.execution_id == lost:
                tracked.losses += 1
            elif row.to_state in (S.RETRYING, S.FAILED) and self.store.rows[row.execution_id].marked_by is None:
                tracked.failures += 1
                tracked.losses = 0
            elif row.to_state is S.SUCCESS:
                tracked.losses = 0

    def check_decision(self, draft: Draft) -> None:
        check_counts(self.snapshot)
        marked = {e.execution_id for e in draft.executions.values() if e.marked_by is not None}
        rows = [row for row in draft.transitions if row.execution_id not in marked]
        failed = sorted(row.execution_id for row in rows if row.to_state is S.FAILED)
        assert sorted(draft.get(key).execution_id for key in draft.failed) == failed, "a letter for each FAILED"
        assert self.store.letters.isdisjoint(failed)
        self.store.letters.update(failed)
        retrying = [row.execution_id for row in rows if row.to_state is S.RETRYING]
        assert [draft.get(key).execution_id for key in draft.retrying] == retrying
        for row in rows:
            if row.event is E.DEPENDENCIES_MET:
                rule = self.snapshot.tasks[row.task_id].trigger_rule
                tally = self.snapshot.tally_from_scratch(row.task_id)
                assert readiness(rule, tally) is Readiness.READY, "started before its rule was met"
            elif row.event is E.UPSTREAM_FAILED:
                self._check_skip(self.store.rows[row.execution_id])
        for execution in draft.executions.values():
            self._check_counters(execution)
        self._check_run()

    def _check_skip(self, execution: TaskExecution) -> None:
        """A skip names its reason, and the reason is true."""
        task_id, reason = execution.task_id, execution.reason
        above = [row for up in self.graph.upstream[task_id] for row in self.snapshot.of_task(up)]
        tally = self.snapshot.tally_from_scratch(task_id)
        if reason in (Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.RULE_NOT_MET):
            assert readiness(self.snapshot.tasks[task_id].trigger_rule, tally) is Readiness.NEVER
            assert tally.failed or reason is not Reason.UPSTREAM_FAILED
        elif reason is Reason.BRANCH:
            assert any(
                row.state is S.SUCCESS and row.marked_by is None and task_id not in row.outputs["follow"]
                for row in above
                if self.snapshot.tasks[row.task_id].type == "branch"
            )
        else:
            assert reason in (Reason.WHEN, Reason.EMPTY)

    def _check_counters(self, execution: TaskExecution) -> None:
        tracked = self.store.tracked[execution.execution_id]
        assert execution.state is tracked.state
        assert execution.attempt_count == tracked.started
        if execution.marked_by is None:
            assert execution.failures == tracked.failures
            assert execution.losses == tracked.losses
        policy = retry_policy(self.snapshot.tasks[execution.task_id], execution)
        assert execution.failures <= policy.max_attempts
        assert execution.losses <= self.rules.max_losses
        assert (execution.completed_at is not None) == execution.state.terminal
        if execution.state is S.RETRYING:
            assert execution.next_retry_at is not None or execution.pokes or execution.first_poke_at

    def _check_run(self) -> None:
        run = self.snapshot.run
        if not run.state.terminal:
            assert run.completed_at is None
            return
        assert run.completed_at is not None
        ends = {execution.state for execution in self.snapshot.executions.values()}
        if run.cancelled_by is not None:
            assert run.state is RunState.CANCELLED
        else:
            assert run.state is (RunState.FAILED if ends & {S.FAILED, S.CANCELLED} else RunState.SUCCESS)

    def check_nobody_is_forgotten(self) -> None:
        """Whoever has not ended waits for something that exists; and nothing runs twice at once."""
        asked = {execution_id for execution_id, _, _ in self.questions}
        live: dict[str, int] = {}
        for attempt in self.store.tries.values():
            if attempt.live:
                live[attempt.execution_id] = live.get(attempt.execution_id, 0) + 1
                assert attempt.token in self.processes
        assert all(count == 1 for count in live.values()), "two live attempts of one execution"
        if self.snapshot.run.state is not RunState.RUNNING:
            return
        keys = [self.key_of(execution_id) for execution_id in live if not self._is_poke(execution_id)]
        assert len(keys) == len(set(keys)), "two live attempts of one task"
        for key, execution in self.snapshot.executions.items():
            self._check_waits(key, execution, asked, live)

    def _is_poke(self, execution_id: str) -> bool:
        return self.snapshot.tasks[self.key_of(execution_id)[0]].type == "sensor"

    def _check_waits(self, key: Key, execution: TaskExecution, asked: set[str], live: dict[str, int]) -> None:
        if execution.state in (S.PENDING, S.WAITING):
            answer = readiness(self.snapshot.tasks[key[0]].trigger_rule, self.snapshot.tallies[key[0]])
            if answer is Readiness.READY:
                assert execution.execution_id in asked, f"{key} is ready and nobody cares"
            else:
                assert answer is Readiness.WAIT, f"{key} can never start and nobody told it"
                assert execution.state is S.WAITING
                assert any(
                    not other.state.terminal
                    for above in self.graph.upstream[key[0]]
                    for other in self.snapshot.of_task(above)
                )
        elif execution.state is S.RUNNING:
            assert live.get(execution.execution_id) == 1, f"{key} is RUNNING without an attempt"
            if execution.cancelling is not None:
                assert any(p.killed for p in self.processes.values() if p.execution_id == execution.execution_id)
        elif not execution.state.terminal:
            assert execution.cancelling is None

    def key_of(self, execution_id: str) -> Key:
        """Where an execution stands, or stood."""
        row = self.store.rows[execution_id]
        return (row.task_id, row.map_index)
