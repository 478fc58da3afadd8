"""The dispatcher: DECIDE, COMMIT, ACT, turn after turn, on one thread. Sole writer of transitions.

Law: nothing happens before it is written. All messages that have arrived become one transaction (group commit:
many events, one fsync). What a turn decided is done only after its commit; a crash in between is repaired by the
rescuer.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from engine.model.errors import StoreBusy
from engine.model.event import Event
from engine.model.run import Attempt
from engine.ports.executor import Executor, Measured, Progressed, Report, Sampled, StaleProcess, Started
from engine.ports.failpoint import hit
from engine.ports.mailbox import Mailbox
from engine.ports.store import DefinitionStatus
from engine.rules.advance import evaluated
from engine.rules.snapshot import Kill, RunSnapshot
from engine.runtime.admission import Admission
from engine.runtime.batch import Batch
from engine.runtime.circuits import Circuits
from engine.runtime.commands import Commands
from engine.runtime.desk import Desk
from engine.runtime.evaluator import Answer, Question
from engine.runtime.hooks import Hooks, HookSent
from engine.runtime.letters import Letters
from engine.runtime.reports import Reports
from engine.runtime.rescuer import Rescuer
from engine.runtime.retention import Retention
from engine.runtime.runs import Runs
from engine.runtime.schedules import Schedules
from engine.runtime.sensing import Sensing

MOST_MESSAGES = 2_000  # a turn: one transaction stays small
LOOK_BUSY, LOOK_IDLE = 0.01, 0.04  # seconds between looks into the mailbox
LOOK_TOLD = 0.25  # the same where the mailbox rings when something is dropped in
LAZY_SECONDS = 0.1  # how long news that nobody acts on may wait for a commit
STOP_WAITS = 4.0  # how long an engine that is told to stop waits for a store that is away


@dataclass(frozen=True, slots=True)
class DefinitionsChanged:
    """The catalog has read files anew; `broken` is the state of each file looked at."""

    broken: dict[str, DefinitionStatus | None]


@dataclass(frozen=True, slots=True)
class Wake:
    """Nothing to tell; only look."""


_LAZY = (Started, Progressed, Sampled, Measured, Wake)
Message = Report | Answer | HookSent | DefinitionsChanged | Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the dispatcher acts through."""

    executor: Executor
    ask: Callable[[Question], None]
    send_hook: Callable[[Event], None]
    trusted: Callable[[], bool]
    # Runs that were pruned, and those still active: files of the former go, and logs stay under their cap.
    sweep: Callable[[Sequence[str], frozenset[str]], None] = lambda _gone, _active: None


class Dispatcher:
    """One engine's turns."""

    def __init__(self, desk: Desk, mailbox: Mailbox, hands: Hands) -> None:
        self.desk = desk
        self.mailbox = mailbox
        self.hands = hands
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = False
        self.busy_since: float | None = None  # the store could not be written since
        self.runs = Runs(desk)
        self.sensing = Sensing(desk, hands.ask)
        self.circuits = Circuits(desk)
        self.reports = Reports(desk, self.sensing, self.circuits, hands.executor.acknowledge)
        self.letters = Letters(desk)
        self.hooks = Hooks(desk, hands.send_hook)
        self.schedules = Schedules(desk, self.runs)
        self.commands = Commands(desk, self.runs, self.letters, self.schedules, self.circuits, self.stop)
        self.schedules.cancel = self.commands.cancel
        self.retention = Retention(desk, self.letters, hands.sweep)
        self.admission = Admission(desk, self.runs, self.sensing, self.circuits, hands.executor.submit)
        desk.followers.kill = self._kill
        self._unlisten: Callable[[], None] | None = None
        self._mail_seen: object = None
        self._mail_waits = False  # a command waits for something (a mark on a live attempt)
        self._looked = 0.0
        self._rung = True
        self._active_until = 0.0
        self._open_since: float | None = None  # the open batch holds news that can wait, since

    # -- life --------------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """Go on with what an earlier engine left; then the first commit."""
        tools = self.desk.tools
        self.desk.now = tools.clock.now()
        if tools.scope != "command":
            self._unlisten = self.mailbox.listen(lambda: self.inbox.put(Wake()))
        self.circuits.take_over()
        if tools.scope == "engine":
            rescuer = Rescuer(self.desk, self.runs, self.reports, self._reap)
            rescuer.take_over(tools.store.active_runs())
            for event in tools.store.unsent_hooks():
                self.desk.batch.after.append(partial(self.hands.send_hook, event))
            self.schedules.refresh()
            self.retention.start()
            self.admission.run()
        self.desk.event("engine.started", epoch=tools.epoch, scope=tools.scope)
        self.commit()

    def _reap(self, attempts: Sequence[Attempt]) -> Sequence[StaleProcess]:
        return self.hands.executor.reap_stale(attempts)

    def close(self) -> None:
        """Stop listening for commands."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    def stop(self) -> None:
        """Leave after this turn."""
        self.stopping = True
        self.inbox.put(Wake())

    def deliver(self, message: Message) -> None:
        """From any thread."""
        self.inbox.put(message)

    def turn(self, longest: float = 1.0) -> bool:
        """One round; whether anything was done."""
        messages = self._gather(longest)
        self.desk.now = self.desk.tools.clock.now()
        for message in messages:
            self._take(message)
        stirred = not messages or not all(isinstance(message, _LAZY) for message in messages)
        for ring in self.desk.timers.due(self.desk.now):
            stirred = True
            ring()
        stirred = self._mail() or stirred
        self.runs.settle()
        if stirred and self.desk.tools.scope != "command" and not self.stopping:
            self.admission.run()  # that an attempt has a pid, or how far it is, lets nobody start
        did = bool(self.desk.batch)
        if did and not self._can_wait(messages):
            self.commit()
        if did or messages:
            self._active_until = time.monotonic() + 2.0
        return did

    def _can_wait(self, messages: Sequence[Message]) -> bool:
        """News that nobody acts on (a pid, progress, a sample) rides along with the next commit, or has its own
        after a moment: an fsync for each would be half of all there are."""
        batch = self.desk.batch
        if self.stopping or batch.after or batch.answered or not all(isinstance(m, _LAZY) for m in messages):
            return False
        if self._open_since is None:
            self._open_since = time.monotonic()
        return time.monotonic() - self._open_since < LAZY_SECONDS

    def idle(self) -> bool:
        """Nothing to carry and nothing asked."""
        try:
            return not self.desk.runs and not self.desk.live and self.inbox.empty() and not self.mailbox.pending(1)
        except StoreBusy:
            return False

    def _gather(self, longest: float) -> list[Message]:
        messages: list[Message] = []
        try:
            messages.append(self.inbox.get(timeout=self._patience(longest)))
            while len(messages) < MOST_MESSAGES:
                messages.append(self.inbox.get_nowait())
        except queue.Empty:
            pass
        return messages

    def _patience(self, longest: float) -> float:
        busy = time.monotonic() < self._active_until
        look = LOOK_TOLD if self._unlisten is not None else (LOOK_BUSY if busy else LOOK_IDLE)
        wait = min(longest, look, LAZY_SECONDS if self._open_since is None else LAZY_SECONDS / 4)
        at = self.desk.timers.next()
        if at is not None:
            wait = min(wait, max(0.0, (at - self.desk.tools.clock.now()).total_seconds()))
        return wait

    # -- decide ------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        match message:
            case Answer():
                self._answered(message)
            case HookSent():
                self._hook_sent(message)
            case DefinitionsChanged():
                self._definitions_changed(message)
            case Wake():
                self._rung = True
            case _:
                self.reports.take(message)

    def _answered(self, answer: Answer) -> None:
        place = self.sensing.answered(answer)
        if place is None:
            return
        snapshot, key = place
        draft = self.desk.draft(snapshot)
        evaluated(draft, key, answer.question.field, answer.value, answer.error, self.desk.tools.rules)
        self.desk.absorb(draft)

    def _hook_sent(self, sent: HookSent) -> None:
        event = sent.event
        self.desk.batch.event(
            Event(
                type="hook.failed" if sent.problem else "hook.sent",
                at=self.desk.now,
                pipeline_id=event.pipeline_id,
                run_id=event.run_id,
                task_id=event.task_id,
                correlation_id=event.correlation_id,
                payload={"problem": sent.problem} if sent.problem else {},
            )
        )

    def _definitions_changed(self, changed: DefinitionsChanged) -> None:
        self.desk.batch.changes.broken.update(changed.broken)
        for file, status in changed.broken.items():
            self.desk.event("pipeline.broken" if status else "pipeline.updated", file=file)
        if self.desk.tools.scope == "engine":
            self.schedules.refresh()

    def _mail(self) -> bool:
        try:
            return self._read_mail()
        except StoreBusy:
            self._mail_waits = self._rung = True  # somebody writes into it just now: the next turn looks again
            return True

    def _read_mail(self) -> bool:
        """Whether there were commands."""
        if self._unlisten is not None and not self._rung and time.monotonic() - self._looked < LOOK_TOLD:
            return False  # nobody rang: the look now and then is for a bell that was not heard
        self._rung, self._looked = False, time.monotonic()
        if not self._mail_waits:
            fresh, self._mail_seen = self.mailbox.changed(self._mail_seen)
            if not fresh:
                return False
        self._mail_waits = False
        commands = self.mailbox.pending()
        answered = self.desk.tools.store.answered([command.request_id for command in commands])
        if answered:
            self.mailbox.remove(sorted(answered))
        if commands:
            # Commands read the store (a run that has ended, letters): what this turn decided must be in it.
            self.commit()
        for command in commands:
            if command.request_id in answered:
                continue
            # Each command is a commit of its own, so that the next one sees what it did.
            if self.commands.handle(command):
                self.commit()
            else:
                self._mail_waits = self._rung = True
                self.commit()  # what it waits for has been set going
        return bool(commands)

    def _kill(self, snapshot: RunSnapshot, action: Kill) -> None:
        execution = snapshot.executions.get(action.key)
        if execution is None:
            return
        token = self.desk.token_of.get(execution.execution_id)
        if token is not None and not self.desk.live[token].foreign:
            grace = self.desk.tools.settings.limits.grace_seconds
            self.desk.batch.after.append(partial(self.hands.executor.kill, token, action.why, grace))
        if execution.child_run_id is not None and execution.child_run_id in self.desk.runs:
            child = self.desk.runs[execution.child_run_id]
            self.commands.cancel(child, "system", f"the task that started it in {snapshot.run.run_id} is cancelled")

    # -- commit, then act --------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Write the open batch and do what it allows. A deposed engine never comes back from here."""
        self.runs.settle()
        batch = self.desk.batch
        if not batch:
            return
        self.desk.batch, self._open_since = Batch(), None
        changes = batch.seal()
        hit("dispatch.decided")
        if changes:
            self._write(batch)
        hit("dispatch.committed")
        if batch.answered:
            hit("dispatch.before_remove")
            self._forget(batch.answered)
            hit("dispatch.removed")
        while batch.after and not self.hands.trusted():
            time.sleep(0.02)  # we slept since the commit, past the lease: what we start another starts too
        for act in batch.after:
            act()
        hit("dispatch.acted")

    def _forget(self, answered: Sequence[str]) -> None:
        try:
            self.mailbox.remove(answered)
        except StoreBusy:
            self._mail_waits = self._rung = True  # the next look finds them answered, and removes them

    def _write(self, batch: Batch) -> None:
        commit_id, pause = self.desk.tools.new_id(), 0.02
        while True:
            if self.hands.trusted():
                try:
                    self.desk.tools.store.commit(batch.changes, commit_id)
                except StoreBusy:
                    self.busy_since = self.busy_since or time.monotonic()
                    if self.stopping and time.monotonic() - self.busy_since > STOP_WAITS:
                        raise  # the next engine finds what is in the store, and goes on from there
                else:
                    self.busy_since = None
                    return
            time.sleep(pause)  # somebody else holds the store, or the lease is in doubt: nothing may be done before
            pause = min(pause * 2, 1.0)
