"""A small deterministic engine around the run rules: a store of rows, fake processes, a fake clock, an operator.

Law: one seed is one history. The store keeps only what was committed; memory is thrown away at a crash and built
anew from the rows, as a real take-over does. Processes outlive the engine that started them often enough, so that
their reports come late. After every commit everything is checked that must hold after every commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from engine.model.errors import Deposed, ErrorKind, Refused, TaskError
from engine.model.pipeline import Pipeline, RetryPolicy
from engine.model.run import Outcome, PipelineRun, Reason, RunState, TaskEvent, TaskExecution, TaskState
from engine.rules import advance, reopen
from engine.rules.endings import retry_policy
from engine.rules.graph import build_graph
from engine.rules.retry import over_budget
from engine.rules.snapshot import Draft, Evaluate, Key, Kill, Rules, RunSnapshot, WithoutProcess
from tests.rules.simulation_checks import Process, Watched
from tests.rules.simulation_pipelines import random_pipeline, random_selection
from tests.rules.simulation_store import Store, Tracked, Try
from tests.rules.stage import EPOCH

S, E = TaskState, TaskEvent
SENSOR_SECONDS = 100.0
KINDS = (ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.RATE_LIMITED, ErrorKind.LOGIC, ErrorKind.LOST)


class Crash(Exception):
    """kill -9."""


class World(Watched):
    """The engine, its surroundings and its operator."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now = EPOCH
        self.serial = 0
        self.pipeline: Pipeline = random_pipeline(self.dice)
        self.graph = build_graph(self.pipeline.dependencies())
        self.rules = Rules(
            max_losses=3, max_items=4, runs_in_engine=lambda task: task.type in ("branch", "pipeline")
        )
        self.crashes = self.dice.choice((0, 0, 1, 3, 6))
        self.orders = self.dice.choice((0, 0, 1, 2, 4, 8))
        self.processes: dict[str, Process] = {}
        self.strays: list[Process] = []  # of earlier engines, or reported already
        self.questions: list[tuple[str, Key, str]] = []
        self.timed_out: datetime | None = None
        self.store = self._first_rows()
        self.epoch = 1
        self.snapshot = self._load()
        self.commits = 0
        self.touched = 0

    def new_id(self) -> str:
        self.serial += 1
        return f"x{self.serial}"

    def _first_rows(self) -> Store:
        run = PipelineRun(
            run_id="r",
            pipeline_id="p",
            version=1,
            triggered_by="schedule:p",
            triggered_at=EPOCH,
            logical_date=EPOCH,
            data_interval_start=EPOCH,
            data_interval_end=EPOCH,
        )
        store = Store(run, {}, {})
        for task_id in random_selection(self.dice, self.graph):
            row = TaskExecution(
                execution_id=self.new_id(), run_id="r", pipeline_id="p", task_id=task_id, created_at=EPOCH
            )
            store.rows[row.execution_id] = row
            store.latest[(task_id, None)] = row.execution_id
            store.tracked[row.execution_id] = Tracked()
            store.sequences.add(((task_id, None), 0))
        return store

    def _load(self) -> RunSnapshot:
        rows = [self.store.rows[execution_id] for execution_id in self.store.latest.values()]
        return RunSnapshot(self.store.run, self.pipeline, self.graph, rows)

    # -- decide, commit, act -----------------------------------------------------------------------------------

    def decide(
        self,
        decision: Callable[[Draft], Any],
        *,
        tries: Callable[[Draft], list[Try]] = lambda _draft: [],
        ended: tuple[str, ...] = (),
        lost: str | None = None,
    ) -> Draft:
        """One turn. A crash may come before the commit (it never happened) or after (nothing was acted on)."""
        draft = Draft(self.snapshot, self.now, self.new_id)
        decision(draft)
        self._die_perhaps(0.3)
        new = tries(draft) + [
            Try(self.new_id(), draft.get(action.key).execution_id, action.number, live=False)
            for action in draft.actions
            if isinstance(action, WithoutProcess)
        ]
        self.store.commit(draft, self.epoch, new, list(ended))
        self.count_failures(draft, lost)
        self.snapshot.accept(draft)
        self.commits += 1
        self.touched += len(draft.executions)
        self.check_decision(draft)
        self._die_perhaps(0.7)
        for attempt in new:
            if attempt.live:
                key = self.key_of(attempt.execution_id)
                self.processes[attempt.token] = Process(attempt.token, key, attempt.execution_id, attempt.poke)
        for action in draft.actions:
            self._act(action)
        return draft

    def _act(self, action: Evaluate | Kill | WithoutProcess) -> None:
        if isinstance(action, Evaluate):
            execution = self.snapshot.executions.get(action.key)
            if execution is not None:
                self.questions.append((execution.execution_id, action.key, action.field))
        elif isinstance(action, Kill):
            execution_id = self.snapshot.executions[action.key].execution_id
            for process in self.processes.values():
                process.killed = process.killed or process.execution_id == execution_id

    def _die_perhaps(self, chance: float) -> None:
        if self.crashes and self.dice.random() < chance * 0.06:
            self.crashes -= 1
            raise Crash

    def rise_again(self) -> None:
        """The next engine: memory is gone, rows are there, what ran is lost or reports to nobody."""
        while True:
            try:
                self.store.epoch += 1
                self._write_as_the_deposed()
                self.epoch = self.store.epoch
                self.strays += self.processes.values()
                self.processes, self.questions = {}, []
                self.snapshot = self._load()
                for attempt in [attempt for attempt in self.store.tries.values() if attempt.live]:
                    self._lose(attempt.token, attempt.execution_id, attempt.poke)
                if self.snapshot.run.state is RunState.RUNNING:
                    self.decide(lambda draft: advance.reconsider(draft, self.rules))
                self.check_nobody_is_forgotten()
                return
            except Crash:
                continue

    def _write_as_the_deposed(self) -> None:
        """The engine before wakes up and decides once more: its epoch stands no longer."""
        draft = Draft(self.snapshot, self.now, self.new_id)
        advance.cancel_run(draft, "nobody", Reason.RUN_CANCELLED, "too late", self.rules)
        before = self.store.run, dict(self.store.rows)
        try:
            self.store.commit(draft, self.epoch, [], [])
        except Deposed:
            assert before == (self.store.run, self.store.rows)
        else:
            raise AssertionError("a deposed engine has written")

    def _lose(self, token: str, execution_id: str, poke: bool) -> None:
        key = self.key_of(execution_id)
        if poke:
            self.store.tries[token].live = False  # a look that nobody saw
            return
        self.decide(
            lambda draft: advance.vanished(draft, key, "the engine went away", self.rules),
            ended=(token,),
            lost=execution_id,
        )

    # -- what can happen next --------------------------------------------------------------------------------

    def step(self) -> bool:
        """One event of those possible now; False when the history is over."""
        try:
            if self.orders and self.dice.random() < 0.12:
                self._operate()
            elif self.strays and self.dice.random() < 0.2:
                self._late_report(self.strays[self.dice.randrange(len(self.strays))])
            else:
                choices = self._possible()
                if choices:
                    self.dice.choice(choices)()
                elif not self._next_moment():
                    if not self.orders:
                        return False
                    self._operate()
            self.check_nobody_is_forgotten()
        except Crash:
            self.rise_again()
        return True

    def _possible(self) -> list[Callable[[], None]]:
        run = self.snapshot.run
        if run.state is RunState.PENDING:
            return [lambda: void(self.decide(lambda draft: advance.begin(draft, self.rules)))]
        if run.state.terminal:
            return []
        timeout = self.pipeline.execution.timeout_seconds
        if (
            timeout is not None
            and run.started_at is not None
            and self.now >= run.started_at + timedelta(seconds=timeout)
            and self.timed_out != run.started_at
        ):
            return [self._time_out]
        found: list[Callable[[], None]] = [
            lambda question=question: self._answer(question)  # type: ignore[misc]  # bound at once
            for question in self.questions
        ]
        found += [lambda p=process: self._report(p) for process in self.processes.values()]  # type: ignore[misc]  # as above
        busy = {process.execution_id for process in self.processes.values()}
        for key, row in self.snapshot.executions.items():
            due = row.next_retry_at is None or row.next_retry_at <= self.now
            if row.state in (S.QUEUED, S.RETRYING) and row.execution_id not in busy and due:
                found.append(lambda key=key: self._admit(key))  # type: ignore[misc]  # as above
        return found

    def _next_moment(self) -> bool:
        """Nothing is due: the clock goes on to when something will be."""
        moments = [
            row.next_retry_at
            for row in self.snapshot.executions.values()
            if row.state in (S.QUEUED, S.RETRYING) and row.next_retry_at is not None
        ]
        later = [moment for moment in moments if moment > self.now]
        if not later or self.snapshot.run.state.terminal:
            return False
        self.now = min(later)
        return True

    def _time_out(self) -> None:
        self.timed_out = self.snapshot.run.started_at
        self.decide(lambda draft: advance.cancel_run(draft, None, Reason.RUN_TIMEOUT, "took too long", self.rules))

    def _answer(self, question: tuple[str, Key, str]) -> None:
        execution_id, key, asked = question
        self.questions.remove(question)
        known = self.snapshot.executions.get(key)
        if known is None or known.execution_id != execution_id:
            return
        problem, value = None, self._rendered(key, asked)
        if self.dice.random() < 0.05:
            problem = TaskError(type="UndefinedError", kind=ErrorKind.CONFIGURATION, message="no such name")
        self.decide(lambda draft: advance.evaluated(draft, key, asked, value, problem, self.rules))

    def _rendered(self, key: Key, asked: str) -> Any:
        dice = self.dice
        if asked == "when":
            return dice.choice((True, True, True, "yes", "False", False, None))
        if asked == "foreach":
            return dice.choice(([], ["a"], ["a", "b"], ["a", "b", "c"], (1, 2), "abc", {"a": 1}, list(range(9))))
        below = self.graph.downstream[key[0]]
        return dice.choice((list(below), list(below[:1]), below[-1] if below else "", None, "stranger", 7))

    def _admit(self, key: Key) -> None:
        task, row = self.snapshot.tasks[key[0]], self.snapshot.executions[key]
        if row.state is S.RETRYING and over_budget(retry_policy(task, row), row.first_started_at, self.now):
            self.decide(lambda draft: advance.out_of_budget(draft, key, self.rules))
        elif self.dice.random() < 0.02:
            problem = TaskError(type="Impossible", kind=ErrorKind.CONFIGURATION, message="asks for too much")
            self.decide(lambda draft: advance.fail_without_process(draft, key, problem, self.rules))
        elif task.type == "sensor":
            self._poke(key, row)
        else:
            self.decide(
                lambda draft: advance.started(draft, key),
                tries=lambda draft: [Try(self.new_id(), row.execution_id, draft.get(key).attempt_count)],
            )

    def _poke(self, key: Key, row: TaskExecution) -> None:
        seconds = timedelta(seconds=SENSOR_SECONDS)
        if row.first_poke_at is not None and self.now >= row.first_poke_at + seconds:
            soft = self.dice.random() < 0.5
            self.decide(lambda draft: advance.sensor_timed_out(draft, key, SENSOR_SECONDS, soft, self.rules))
            return
        first = row.first_poke_at or self.now
        self.decide(
            lambda draft: draft.touch(key, first_poke_at=first, next_retry_at=None),
            tries=lambda _draft: [Try(self.new_id(), row.execution_id, row.attempt_count + 1, poke=True)],
        )

    def _report(self, process: Process) -> None:
        """A process ends, or is simply gone; its report may be delivered twice."""
        key, row = process.key, self.store.rows[process.execution_id]
        if process.poke:
            self._end_poke(process, row)
        elif self.dice.random() < 0.1:
            self.decide(
                lambda draft: advance.vanished(draft, key, "the worker went away", self.rules),
                ended=(process.token,),
                lost=process.execution_id,
            )
        else:
            outcome = self._outcome(key)
            killed = self.dice.choice(("cancel", None)) if process.killed else None
            if not process.killed and self.dice.random() < 0.03:
                killed = "shutdown"
            self.decide(
                lambda draft: advance.finished(
                    draft, key, outcome, killed_for=killed, dice=self.dice.random(), rules=self.rules
                ),
                ended=(process.token,),
                lost=process.execution_id if killed == "shutdown" else None,
            )
        self.processes.pop(process.token, None)
        if self.dice.random() < 0.3:
            self.strays.append(process)

    def _end_poke(self, process: Process, row: TaskExecution) -> None:
        key = process.key
        known = self.snapshot.executions.get(key)
        self.processes.pop(process.token)
        self.store.tries[process.token].live = False
        if process.killed or known is None or known.execution_id != row.execution_id or known.state.terminal:
            return
        chance = self.dice.random()
        outcome = Outcome(result="not_yet") if chance < 0.5 else self._outcome(key)
        deadline = (row.first_poke_at or self.now) + timedelta(seconds=SENSOR_SECONDS)
        decided = [Try(self.new_id(), row.execution_id, 0, live=False)] if outcome.result != "not_yet" else []
        self.decide(
            lambda draft: advance.poked(
                draft, key, outcome, interval=20.0, deadline=deadline, dice=self.dice.random(), rules=self.rules
            ),
            tries=lambda _draft: decided,
        )

    def _outcome(self, key: Key) -> Outcome:
        chance = self.dice.random()
        if chance < 0.6:
            choose = self.snapshot.tasks[key[0]].type == "branch"
            return Outcome(result="success", outputs={"follow": self._rendered(key, "choose")} if choose else {})
        if chance < 0.68:
            return Outcome(result="skipped", reason=Reason.EXIT_CODE)
        if chance < 0.7:
            return Outcome(result="failed")
        kind = self.dice.choice(KINDS)
        after = self.dice.choice((None, None, 5.0, -3.0, 1e9))
        final = self.dice.random() < 0.1
        error = TaskError(type="Oops", kind=kind, message="boom", retry_after=after, final=final)
        return Outcome(result="failed", error=error)

    def _late_report(self, process: Process) -> None:
        """Of an attempt that is over: nobody waits for it, and let in by mistake it changes nothing."""
        attempt = self.store.tries[process.token]
        assert not attempt.live
        execution = self.snapshot.executions.get(process.key)
        if execution is None or execution.state in (S.RUNNING, S.QUEUED, S.RETRYING):
            return  # the token says whose report it is; no rule has to guess
        before = (self.store.run, dict(self.store.rows))
        outcome = self._outcome(process.key)
        for decision in (
            lambda draft: advance.finished(
                draft, process.key, outcome, killed_for=None, dice=0.5, rules=self.rules
            ),
            lambda draft: advance.vanished(draft, process.key, "late", self.rules),
            lambda draft: advance.poked(
                draft, process.key, outcome, interval=1, deadline=None, dice=0.5, rules=self.rules
            ),
            lambda draft: advance.sensor_timed_out(draft, process.key, 1.0, False, self.rules),
            lambda draft: advance.out_of_budget(draft, process.key, self.rules),
        ):
            draft = self.decide(decision)
            assert not draft.transitions
            assert not draft.executions
        assert before == (self.store.run, self.store.rows)

    # -- the operator ------------------------------------------------------------------------------------------

    def _operate(self) -> None:
        self.orders -= 1
        keys = list(self.snapshot.executions)
        some = self.dice.sample(keys, self.dice.randint(1, min(3, len(keys))))
        order = self.dice.choice(
            (self._cancel, self._cancel, self._cancel_run, self._retry, self._retry, self._mark)
        )
        before = self.store.run, dict(self.store.rows)
        try:
            order(some)
        except Refused:
            assert before == (self.store.run, self.store.rows), "a refusal changes nothing"

    def _cancel(self, keys: list[Key]) -> None:
        live = [key for key in keys if not self.snapshot.executions[key].state.terminal]
        if live:
            self.decide(lambda draft: advance.cancel(draft, live, Reason.CANCELLED, self.rules))

    def _cancel_run(self, _keys: list[Key]) -> None:
        if not self.snapshot.run.state.terminal:
            self.decide(
                lambda draft: advance.cancel_run(draft, "alice", Reason.RUN_CANCELLED, "no more", self.rules)
            )
            assert self.snapshot.run.cancelled_by == "alice"

    def _retry(self, keys: list[Key]) -> None:
        everything, downstream = self.dice.random() < 0.4, self.dice.random() < 0.4
        edits = self.dice.choice((None, reopen.Edits(config={"x": 1}, retry_policy=RetryPolicy(max_attempts=2))))

        def decision(draft: Draft) -> None:
            chosen = reopen.failed_keys(draft) if everything else keys
            if chosen:
                made = reopen.redo(draft, chosen, self.rules, downstream=downstream, edits=edits)
                assert len(made) == len(set(made)) > 0

        self.decide(decision)

    def _mark(self, keys: list[Key]) -> None:
        success = self.dice.random() < 0.6
        self.decide(
            lambda draft: reopen.mark(draft, keys[0], success, "bob", "because", self.rules),
            tries=lambda draft: [Try(self.new_id(), draft.get(keys[0]).execution_id, 1, live=False)],
        )


def void(_value: object) -> None:
    """A decision is taken for its effect."""


@dataclass(frozen=True, slots=True)
class History:
    """What came of one seed."""

    commits: int
    ended: RunState
    crashed: int
    strays: int


def live_through(seed: int, most: int = 4_000) -> History:
    """One history from its first row to the end of the run."""
    world = World(seed)
    crashes = world.crashes
    for _ in range(most):
        if not world.step():
            break
    else:
        raise AssertionError("the run does not end")
    run = world.snapshot.run
    assert run.state.terminal, f"nothing more can happen and the run is {run.state}"
    again = world._load()  # what the next engine would see
    assert {key: row.state for key, row in again.executions.items()} == {
        key: row.state for key, row in world.snapshot.executions.items()
    }
    assert again.tallies == world.snapshot.tallies
    return History(world.commits, run.state, crashes - world.crashes, len(world.strays))
