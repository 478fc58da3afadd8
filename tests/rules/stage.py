"""A run on a stage: the words in which tests of the run rules are written.

Everything is decided by the rules under test; the stage only keeps the snapshot, the clock and what was asked for,
and checks after every decision what must hold after every decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Execution, FailurePolicy, Pipeline, RetryPolicy, Task, TriggerRule
from engine.model.run import Outcome, PipelineRun, Reason, RunState, TaskExecution, TaskState, Transition
from engine.rules import advance, reopen
from engine.rules.graph import build_graph
from engine.rules.lifecycle import next_states
from engine.rules.snapshot import Action, Draft, Evaluate, Key, Rules, RunSnapshot

EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONCE = RetryPolicy(max_attempts=1)
RULES = Rules(max_losses=3, max_items=20, runs_in_engine=lambda task: task.type in ("branch", "pipeline"))


def task(id: str, *after: str, **fields: Any) -> Task:
    """A shell task that is not retried."""
    fields.setdefault("retry_policy", ONCE)
    if "rule" in fields:
        fields["trigger_rule"] = TriggerRule(fields.pop("rule"))
    fields.setdefault("type", "shell")
    fields.setdefault("config", {})
    return Task(id=id, name=id, dependencies=after, **fields)


def pipeline(*tasks: Task, fail_fast: bool = False, timeout: float | None = None) -> Pipeline:
    policy = FailurePolicy.FAIL_FAST if fail_fast else FailurePolicy.CONTINUE
    return Pipeline(
        id="p", name="p", tasks=tasks, execution=Execution(failure_policy=policy, timeout_seconds=timeout)
    )


def key_of(name: str) -> Key:
    """'load' or 'load[3]'."""
    task_id, _, index = name.partition("[")
    return (task_id, int(index[:-1]) if index else None)


def error(kind: ErrorKind = ErrorKind.LOGIC, **fields: Any) -> TaskError:
    return TaskError(type=kind.value, kind=kind, message="boom", **fields)


def failure(kind: ErrorKind = ErrorKind.LOGIC, **fields: Any) -> Outcome:
    return Outcome(result="failed", error=error(kind, **fields))


SUCCESS = Outcome(result="success")


class Stage:
    """One run of one pipeline."""

    def __init__(self, definition: Pipeline, only: tuple[str, ...] = (), rules: Rules = RULES) -> None:
        self.definition, self.rules, self.now = definition, rules, EPOCH
        self.ids: Iterator[int] = count(1)
        self.transitions: list[Transition] = []
        self.actions: list[Action] = []
        self.retired: list[TaskExecution] = []
        self.letters: list[Key] = []
        run = PipelineRun(
            run_id="r",
            pipeline_id="p",
            version=1,
            triggered_by="alice@here",
            triggered_at=EPOCH,
            logical_date=EPOCH,
            data_interval_start=EPOCH,
            data_interval_end=EPOCH,
        )
        executions = [
            TaskExecution(
                execution_id=self.new_id(), run_id="r", pipeline_id="p", task_id=item.id, created_at=EPOCH
            )
            for item in definition.tasks
            if not only or item.id in only
        ]
        self.graph = build_graph(definition.dependencies())
        self.snapshot = RunSnapshot(run, definition, self.graph, executions)

    def new_id(self) -> str:
        return f"e{next(self.ids)}"

    def decide(self, decision: Callable[[Draft], Any]) -> Draft:
        """Let the rules decide, and fold it in."""
        draft = Draft(self.snapshot, self.now, self.new_id)
        decision(draft)
        self.snapshot.accept(draft)
        self.transitions += draft.transitions
        self.actions = draft.actions
        self.retired += draft.retired.values()
        self.letters += draft.failed
        check_counts(self.snapshot)
        for row in draft.transitions:
            assert row.to_state in next_states(row.from_state, row.event)
        return draft

    # -- what happens ----------------------------------------------------------------------------------------

    def begin(self) -> Draft:
        return self.decide(lambda draft: advance.begin(draft, self.rules))

    def start(self, *names: str) -> None:
        for name in names:
            draft = self.decide(partial(advance.started, key=key_of(name)))
            assert draft.transitions, name

    def finish(
        self, name: str, outcome: Outcome = SUCCESS, killed_for: str | None = None, dice: float = 0.5
    ) -> Draft:
        key = key_of(name)
        return self.decide(
            lambda draft: advance.finished(draft, key, outcome, killed_for=killed_for, dice=dice, rules=self.rules)
        )

    def run(self, *names: str) -> None:
        """Start and succeed."""
        for name in names:
            self.start(name)
            self.finish(name)

    def fail(self, *names: str) -> None:
        for name in names:
            self.start(name)
            self.finish(name, failure())

    def skip(self, *names: str) -> None:
        for name in names:
            self.start(name)
            self.finish(name, Outcome(result="skipped", reason=Reason.EXIT_CODE))

    def vanish(self, name: str) -> Draft:
        return self.decide(lambda draft: advance.vanished(draft, key_of(name), "gone", self.rules))

    def evaluate(self, name: str, field: str, value: Any, problem: TaskError | None = None) -> Draft:
        key = key_of(name)
        return self.decide(lambda draft: advance.evaluated(draft, key, field, value, problem, self.rules))

    def cancel(self, *names: str) -> Draft:
        keys = [key_of(name) for name in names]
        return self.decide(lambda draft: advance.cancel(draft, keys, Reason.CANCELLED, self.rules))

    def cancel_run(self, by: str | None = "alice@here", sentence: str = "cancelled") -> Draft:
        reason = Reason.RUN_CANCELLED if by else Reason.RUN_TIMEOUT
        return self.decide(lambda draft: advance.cancel_run(draft, by, reason, sentence, self.rules))

    def poke(self, name: str, outcome: Outcome, interval: float = 10, deadline: datetime | None = None) -> Draft:
        key = key_of(name)
        return self.decide(
            lambda draft: advance.poked(
                draft, key, outcome, interval=interval, deadline=deadline, dice=0.5, rules=self.rules
            )
        )

    def retry(self, *names: str, downstream: bool = False, edits: reopen.Edits | None = None) -> set[str]:
        made: list[Key] = []
        self.decide(
            lambda draft: made.extend(
                reopen.redo(
                    draft,
                    [key_of(name) for name in names] or reopen.failed_keys(draft),
                    self.rules,
                    downstream=downstream,
                    edits=edits,
                )
            )
        )
        return {reopen.name(key) for key in made}

    def mark(self, name: str, success: bool) -> set[str]:
        made: list[Key] = []
        self.decide(
            lambda draft: made.extend(
                reopen.mark(draft, key_of(name), success, "bob@there", "known good", self.rules)
            )
        )
        return {reopen.name(key) for key in made}

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- what is -----------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> TaskExecution:
        return self.snapshot.executions[key_of(name)]

    @property
    def states(self) -> dict[str, str]:
        """Name -> state, with the reason behind a slash."""
        return {
            reopen.name(key): execution.state.value + (f"/{execution.reason.value}" if execution.reason else "")
            for key, execution in self.snapshot.executions.items()
        }

    def state(self, name: str) -> str:
        return self.states[name]

    @property
    def run_state(self) -> str:
        return self.snapshot.run.state.value

    def in_state(self, state: TaskState) -> set[str]:
        return {reopen.name(key) for key, item in self.snapshot.executions.items() if item.state is state}

    @property
    def queued(self) -> set[str]:
        return self.in_state(TaskState.QUEUED)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What the last decision wants evaluated."""
        return [(reopen.name(action.key), action.field) for action in self.actions if isinstance(action, Evaluate)]


def check_counts(snapshot: RunSnapshot) -> None:
    """Counters kept along the way equal what counting anew gives."""
    for task_id in snapshot.by_task:
        assert snapshot.tallies[task_id] == snapshot.tally_from_scratch(task_id), task_id
        indexes = snapshot.by_task[task_id]
        assert len(indexes) == len(set(indexes)) > 0
        assert None not in indexes or len(indexes) == 1
    live = [item for item in snapshot.executions.values() if not item.state.terminal]
    assert snapshot.open == len(live)
    assert len(snapshot.executions) == sum(map(len, snapshot.by_task.values()))
    if snapshot.run.state.terminal:
        assert not live
    elif snapshot.run.state is RunState.RUNNING:
        assert live
