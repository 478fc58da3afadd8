"""Taking over: what an earlier engine left behind becomes ordinary events.

Law: an attempt without a process is a loss; a process that may not be killed keeps its task RUNNING until it is
gone; whatever was committed but not acted on is acted on now. Nothing is guessed and nothing runs twice at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from engine.model.run import Attempt, RunState, TaskState
from engine.ports import failpoint
from engine.ports.executor import StaleProcess
from engine.ports.store import RunRecord
from engine.rules.advance import reconsider, vanished
from engine.rules.reopen import name
from engine.rules.snapshot import Key, RunSnapshot
from engine.runtime.desk import Desk, Live
from engine.runtime.reports import Reports
from engine.runtime.runs import Runs

LOOK_AGAIN = timedelta(seconds=2)


class Rescuer:
    """Runs once, when the lease has been won."""

    def __init__(
        self, desk: Desk, runs: Runs, reports: Reports, reap: Callable[[Sequence[Attempt]], Sequence[StaleProcess]]
    ) -> None:
        self.desk = desk
        self.runs = runs
        self.reports = reports
        self.reap = reap

    def take_over(self, records: Sequence[RunRecord]) -> None:
        """Load every active run and go on with it."""
        for record in records:
            self._load(record)
        attempts = [live.attempt for live in self.desk.live.values()]
        foreign = {stale.token: stale for stale in (self.reap(attempts) if attempts else ()) if not stale.killed}
        failpoint.hit("rescuer.reaped")
        for live in list(self.desk.live.values()):
            stale = foreign.get(live.attempt.token)
            if stale is not None:
                self._wait_for(live, stale)
            else:
                self.reports.lost(live, self.desk.runs[live.attempt.run_id], "the engine that ran it went away")
        for snapshot in list(self.desk.runs.values()):
            self._go_on(snapshot)
        for pipeline_id in {snapshot.run.pipeline_id for snapshot in self.desk.runs.values()}:
            self.runs.admit(pipeline_id)

    def _load(self, record: RunRecord) -> None:
        definition = self.desk.definition(record.version)
        snapshot = RunSnapshot(record.run, definition.pipeline, definition.graph, record.executions)
        self.desk.runs[record.run.run_id] = snapshot
        for verdict in record.verdicts:  # or it would stand for ever: only what was told is taken back
            self.desk.told[verdict.execution_id] = (verdict.code, verdict.expected, verdict.about)
        for attempt in record.attempts:
            key = (attempt.task_id, attempt.map_index)
            execution = snapshot.executions.get(key)
            if execution is None or execution.execution_id != attempt.execution_id:
                continue
            live = Live(attempt, key, self.desk.needs(snapshot, key[0]), f"{attempt.run_id}/{name(key)}")
            self.desk.live[attempt.token] = live
            self.desk.token_of[attempt.execution_id] = attempt.token

    def _go_on(self, snapshot: RunSnapshot) -> None:
        if snapshot.run.run_id not in self.desk.runs or snapshot.run.state is not RunState.RUNNING:
            return
        self.runs.watch_deadline(snapshot)
        for key, execution in list(snapshot.executions.items()):
            if execution.state in (TaskState.QUEUED, TaskState.RETRYING):
                self.desk.follow(snapshot, key)
            elif execution.state is TaskState.RUNNING and execution.execution_id not in self.desk.token_of:
                self._without_attempt(snapshot, key, execution.execution_id)
        draft = self.desk.draft(snapshot)
        reconsider(draft, self.desk.tools.rules)
        self.desk.absorb(draft)

    def _without_attempt(self, snapshot: RunSnapshot, key: Key, execution_id: str) -> None:
        """RUNNING without a process of its own: a `pipeline` task whose run may have ended meanwhile."""
        children = self.desk.tools.store.child_runs([execution_id])
        child = children[-1] if children else None
        self.desk.parent_waits(snapshot, key)
        if child is None:
            draft = self.desk.draft(snapshot)
            vanished(draft, key, "the engine that ran it went away", self.desk.tools.rules)
            self.desk.absorb(draft)
        elif child.state.terminal:
            self.runs.child_ended(snapshot, key, child)

    def _wait_for(self, live: Live, stale: StaleProcess) -> None:
        live.foreign = True
        sentence = f"Process {stale.pid} of user {stale.user} still runs it and may not be ended by this engine"
        self.desk.tell(live.attempt.execution_id, "FOREIGN_PROCESS", sentence, (f"pid {stale.pid}",))
        self._look_again(live.attempt.token)

    def _look_again(self, token: str) -> None:
        def look() -> None:
            live = self.desk.live.get(token)
            snapshot = self.desk.runs.get(live.attempt.run_id) if live else None
            if live is None or snapshot is None:
                return
            if any(not stale.killed for stale in self.reap([live.attempt])):
                self._look_again(token)
            else:
                self.desk.tell(live.attempt.execution_id, "", "")
                self.reports.lost(live, snapshot, "the engine that ran it went away")

        self.desk.timers.set(f"foreign:{token}", self.desk.now + LOOK_AGAIN, look)
