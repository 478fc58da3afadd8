"""What executors report, entered as events of the state machine.

Law: a report is believed only for the live attempt it names. A late or unknown one is recorded and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from engine.model.replacing import replaced
from engine.model.run import Attempt, AttemptState, Outcome
from engine.ports import failpoint
from engine.ports.executor import (
    CheckpointOffered,
    Finished,
    Measured,
    Progressed,
    Report,
    Sampled,
    Started,
    Vanished,
)
from engine.ports.store import Checkpoint
from engine.rules.advance import finished, vanished
from engine.rules.snapshot import RunSnapshot, WithoutProcess
from engine.runtime import provenance
from engine.runtime.circuits import Circuits
from engine.runtime.desk import Desk, Live
from engine.runtime.sensing import Sensing

SAVE_SAMPLES = timedelta(seconds=30)


class Reports:
    """Takes one report at a time."""

    def __init__(
        self, desk: Desk, sensing: Sensing, circuits: Circuits, acknowledge: Callable[[str, int], None]
    ) -> None:
        self.desk = desk
        self.circuits = circuits
        self.sensing = sensing
        self.acknowledge = acknowledge
        desk.followers.without_process = self.without_process

    def take(self, report: Report) -> None:
        """Enter one report."""
        live = self.desk.live.get(report.token)
        snapshot = self.desk.runs.get(live.attempt.run_id) if live else None
        if live is None or snapshot is None:
            self._late(report)
            return
        if not _current(snapshot, live):
            self._outlived(live, report)
            return
        match report:
            case Started():
                self._started(live, report)
            case Progressed():
                self._progressed(live, snapshot, report)
            case Measured():
                self._measured(live, snapshot, report)
            case CheckpointOffered():
                self._checkpoint(live, report)
            case Sampled():
                self._sampled(live, report)
            case Finished():
                self._finished(live, snapshot, report)
            case Vanished():
                self.lost(live, snapshot, report.reason)

    def _late(self, report: Report) -> None:
        if isinstance(report, Finished | Vanished):
            self.desk.live.pop(report.token, None)
            self.desk.event("attempt.late", token=report.token)

    def _outlived(self, live: Live, report: Report) -> None:
        """Its execution has been replaced meanwhile (a sensor cancelled and retried while its poke was looking)."""
        if isinstance(report, Finished | Vanished):
            self._release(live)
            if live.attempt.poke:
                self.desk.batch.changes.removed_attempts.append(live.attempt.token)
            else:
                self._row(live, state=AttemptState.LOST, completed_at=report.at)

    def _started(self, live: Live, report: Started) -> None:
        failpoint.hit("reports.started")
        self._row(
            live,
            state=AttemptState.RUNNING,
            pid=report.pid,
            pid_started=report.pid_started,
            started_at=report.at,
            heartbeat_at=report.at,
        )

    def _progressed(self, live: Live, snapshot: RunSnapshot, report: Progressed) -> None:
        draft = self.desk.draft(snapshot)
        progress = {"done": report.done, "total": report.total, "unit": report.unit}
        draft.touch(live.key, progress=progress)
        self.desk.absorb(draft)
        self.desk.event("task.progress", snapshot, live.key[0], map_index=live.key[1], **progress)

    def _measured(self, live: Live, snapshot: RunSnapshot, report: Measured) -> None:
        draft = self.desk.draft(snapshot)
        execution = draft.get(live.key)
        draft.touch(live.key, metrics={**execution.metrics, report.name: report.value})
        self.desk.absorb(draft)
        row = (live.attempt.run_id, live.key[0], live.key[1], report.name, report.value, self.desk.now)
        self.desk.batch.changes.metrics.append(row)

    def _checkpoint(self, live: Live, report: CheckpointOffered) -> None:
        self.desk.batch.changes.checkpoints.append(
            Checkpoint(
                run_id=live.attempt.run_id,
                task_id=live.key[0],
                map_index=live.key[1],
                value=report.value,
                at=self.desk.now,
                attempt_token=live.attempt.token,
            )
        )
        self.desk.batch.after.append(partial(self.acknowledge, report.token, report.number))
        failpoint.hit("reports.checkpoint")

    def _sampled(self, live: Live, report: Sampled) -> None:
        live.sample = report
        failpoint.hit("reports.sampled")
        if live.saved_at is None or self.desk.now - live.saved_at >= SAVE_SAMPLES:
            live.saved_at = self.desk.now
            self._row(
                live,
                heartbeat_at=report.at,
                cpu_seconds=report.cpu_seconds,
                peak_mb=report.peak_mb,
                read_bytes=report.read_bytes,
                write_bytes=report.write_bytes,
            )

    def _finished(self, live: Live, snapshot: RunSnapshot, report: Finished) -> None:
        self._release(live)
        if report.killed_for is None:
            self.circuits.ended(live.needs.circuits, report.outcome)
        if live.attempt.poke and (
            report.outcome.result == "not_yet" or report.killed_for in ("cancel", "shutdown")
        ):
            self._poke_over(live, snapshot, report)
            return
        sample, poke = live.sample, live.attempt.poke
        self._row(
            live,
            state=_end_state(report),
            completed_at=report.at,
            exit_code=report.exit_code,
            signal=report.signal,
            error=report.outcome.error,
            cpu_seconds=report.cpu_seconds,
            peak_mb=report.peak_mb if report.peak_mb is not None else (sample.peak_mb if sample else None),
            read_bytes=report.read_bytes,
            write_bytes=report.write_bytes,
            poke=False,
        )
        outcome = _with_usage(report, live)
        if poke:
            self.sensing.ended(snapshot, live.key, outcome)
            return
        failpoint.hit("reports.finished")
        draft = self.desk.draft(snapshot)
        dice = self.desk.tools.clock.random()
        killed = report.killed_for if report.killed_for in ("cancel", "shutdown") else None
        finished(draft, live.key, outcome, killed_for=killed, dice=dice, rules=self.desk.tools.rules)
        provenance.note(self.desk, draft, live, outcome)
        self.desk.absorb(draft)

    def lost(self, live: Live, snapshot: RunSnapshot, why: str) -> None:
        """The process is gone and nobody knows how the task ended."""
        failpoint.hit("reports.lost")
        self._release(live)
        if not _current(snapshot, live):
            return
        if live.attempt.poke:
            # A lost poke waits out its interval like one that saw nothing: a broken machine is not poked in a loop.
            self.desk.batch.changes.removed_attempts.append(live.attempt.token)
            self.sensing.ended(snapshot, live.key, Outcome(result="not_yet"))
            return
        self._row(live, state=AttemptState.LOST, completed_at=self.desk.now)
        draft = self.desk.draft(snapshot)
        vanished(draft, live.key, why, self.desk.tools.rules)
        self.desk.absorb(draft)

    def without_process(self, snapshot: RunSnapshot, action: WithoutProcess) -> None:
        """An execution that ended before it had a process has its attempt's row all the same."""
        execution = snapshot.executions[action.key]
        self.desk.batch.changes.new_attempts.append(
            Attempt(
                token=self.desk.tools.new_id(),
                execution_id=execution.execution_id,
                run_id=execution.run_id,
                task_id=execution.task_id,
                map_index=execution.map_index,
                number=action.number,
                epoch=self.desk.tools.epoch,
                state=AttemptState.FAILED if action.error else AttemptState.SUCCESS,
                submitted_at=self.desk.now,
                started_at=self.desk.now,
                completed_at=self.desk.now,
                error=action.error,
            )
        )

    def _poke_over(self, live: Live, snapshot: RunSnapshot, report: Finished) -> None:
        self.desk.batch.changes.removed_attempts.append(live.attempt.token)
        if report.killed_for == "shutdown":
            self.desk.follow(snapshot, live.key)
        else:
            self.sensing.ended(snapshot, live.key, report.outcome)

    def _release(self, live: Live) -> None:
        self.desk.live.pop(live.attempt.token, None)
        if self.desk.token_of.get(live.attempt.execution_id) == live.attempt.token:
            del self.desk.token_of[live.attempt.execution_id]

    def _row(self, live: Live, **changes: object) -> None:
        live.attempt = replaced(live.attempt, **changes)
        self.desk.batch.changes.attempts[live.attempt.token] = live.attempt


def _current(snapshot: RunSnapshot, live: Live) -> bool:
    execution = snapshot.executions.get(live.key)
    return execution is not None and execution.execution_id == live.attempt.execution_id


def _end_state(report: Finished) -> AttemptState:
    if report.killed_for == "cancel":
        return AttemptState.CANCELLED
    if report.killed_for == "shutdown":
        return AttemptState.LOST
    results = {"success": AttemptState.SUCCESS, "skipped": AttemptState.SKIPPED}
    return results.get(report.outcome.result, AttemptState.FAILED)


def _with_usage(report: Finished, live: Live) -> Outcome:
    """The outcome with what the attempt cost among its metrics (MET-01)."""
    usage: dict[str, float] = {}
    began = live.attempt.started_at or live.attempt.submitted_at
    usage["execution_duration_seconds"] = round(max(0.0, (report.at - began).total_seconds()), 6)
    if report.cpu_seconds is not None:
        usage["cpu_seconds"] = round(report.cpu_seconds, 6)
    if live.attempt.peak_mb is not None:
        usage["memory_usage_mb"] = round(live.attempt.peak_mb, 3)
    return replaced(report.outcome, metrics={**usage, **report.outcome.metrics})
