"""A workspace that stands still: the real client over records of a fixed moment. For looks and for hostile text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.client import Client
from engine.model.errors import ErrorKind, NotFound, TaskError
from engine.model.event import Actor
from engine.model.pipeline import Pipeline, Task
from engine.model.run import (
    Attempt,
    AttemptState,
    PipelineRun,
    Reason,
    RunState,
    TaskEvent,
    TaskExecution,
    TaskState,
    Transition,
    Verdict,
)
from engine.ports.logs import LogLine
from engine.ports.mailbox import Lease
from engine.ports.queries import Counts, PipelineStatistics

NOW = datetime(2026, 11, 19, 14, 2, 30, tzinfo=UTC)
STATES = (
    RunState.RUNNING,
    RunState.SUCCESS,
    RunState.FAILED,
    RunState.SUCCESS,
    RunState.CANCELLED,
    RunState.PENDING,
)
EDGES = {
    "start": (),
    "extract_orders": ("start",),
    "extract_items": ("start",),
    "extract_users": ("start",),
    "extract_rates": ("start",),
    "validate_orders": ("extract_orders",),
    "validate_users": ("extract_users",),
    "join_sales": ("validate_orders", "extract_items"),
    "dim_users": ("validate_users",),
    "fact_sales": ("join_sales",),
    "publish_mart": ("fact_sales", "dim_users", "extract_rates"),
}
TASK_STATES = {
    "join_sales": TaskState.RUNNING,
    "validate_users": TaskState.FAILED,
    "dim_users": TaskState.SKIPPED,
    "extract_rates": TaskState.RETRYING,
    "fact_sales": TaskState.WAITING,
    "publish_mart": TaskState.WAITING,
}
LEASE = Lease(
    holder="h", host="vm", pid=4711, pid_started=1.0, boot_id="b", user="ops", started_by="alice@10.2.3.4",
    scope="engine", epoch=3, acquired_at=NOW, expires_at=NOW + timedelta(seconds=10),
)  # fmt: skip


def run(number: int, **more: Any) -> PipelineRun:
    at = NOW - timedelta(minutes=7 * number)
    state = STATES[number % len(STATES)]
    given: dict[str, Any] = {
        "run_id": f"orders_daily__{number:06d}",
        "pipeline_id": ("orders_daily", "users_hourly", "rates")[number % 3],
        "version": 3,
        "state": state,
        "triggered_by": "schedule:orders_daily" if number % 2 else "alice@10.2.3.4",
        "triggered_at": at,
        "logical_date": at.replace(minute=0, second=0),
        "data_interval_start": at,
        "data_interval_end": at,
        "started_at": None if state is RunState.PENDING else at + timedelta(seconds=1),
        "completed_at": at + timedelta(seconds=30 + number % 400) if state.terminal else None,
        **more,
    }
    return PipelineRun(**given)


def pipeline() -> Pipeline:
    tasks = tuple(
        Task(id=name, name=name, type="shell", config={"command": f"./{name}"}, dependencies=above)
        for name, above in EDGES.items()
    )
    return Pipeline(id="orders_daily", name="Orders", tasks=tasks)


def execution(task_id: str, **more: Any) -> TaskExecution:
    state = TASK_STATES.get(task_id, TaskState.SUCCESS)
    begun = state not in (TaskState.WAITING, TaskState.SKIPPED)
    given: dict[str, Any] = {
        "execution_id": f"x-{task_id}",
        "run_id": "orders_daily__000000",
        "pipeline_id": "orders_daily",
        "task_id": task_id,
        "state": state,
        "reason": Reason.UPSTREAM_FAILED if state is TaskState.SKIPPED else None,
        "attempt_count": 2 if state is TaskState.RETRYING else 1 if begun else 0,
        "failures": 2 if state is TaskState.RETRYING else 0,
        "created_at": NOW - timedelta(seconds=60),
        "started_at": NOW - timedelta(seconds=50) if begun else None,
        "completed_at": NOW - timedelta(seconds=9) if state.terminal and begun else None,
        "next_retry_at": NOW + timedelta(seconds=41) if state is TaskState.RETRYING else None,
        "progress": {"done": 62, "total": 100, "unit": "rows"} if task_id == "join_sales" else {},
        "error": TaskError(type="exit 3", kind=ErrorKind.LOGIC, message="3 users without id\nsee the log")
        if state is TaskState.FAILED
        else None,
        **more,
    }
    return TaskExecution(**given)


@dataclass
class StillQueries:
    """The reads the console makes. Everything it is given is answered as it is."""

    runs_: list[PipelineRun] = field(default_factory=list)
    executions_: list[TaskExecution] = field(default_factory=list)
    transitions_: list[Transition] = field(default_factory=list)
    open_letters: Mapping[str, int] = field(default_factory=lambda: {"permanent": 2})
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def runs(
        self,
        *,
        pipeline_id: str | None = None,
        state: RunState | None = None,
        active: bool = False,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[Sequence[PipelineRun], str | None]:
        self.asked.append(("runs", (limit, before)))
        found = [each for each in self.runs_ if state is None or each.state is state]
        found = [each for each in found if not (active and each.state.terminal)]
        start = int(before) if before else 0
        end = start + limit
        return found[start:end], str(end) if end < len(found) else None

    def resolve_run(self, name: str) -> PipelineRun:
        found = self.runs_ if name == "last" else [each for each in self.runs_ if each.run_id.startswith(name)]
        if not found:
            raise NotFound(f"There is no run '{name}'.")
        return found[0]

    def executions(self, run_id: str, *, history: bool = False) -> Sequence[TaskExecution]:
        return self.executions_

    def attempts(self, run_id: str, task_id: str | None = None) -> Sequence[Attempt]:
        return [
            Attempt(
                token=f"t-{each.task_id}", execution_id=each.execution_id, run_id=each.run_id, task_id=each.task_id,
                map_index=None, number=1, epoch=1, state=AttemptState.SUCCESS,
                submitted_at=NOW - timedelta(seconds=50),
                started_at=NOW - timedelta(seconds=50), completed_at=NOW - timedelta(seconds=9), log=each.task_id,
            )
            for each in self.executions_
            if each.attempt_count
        ]  # fmt: skip

    def verdicts(self, run_id: str) -> Mapping[str, Verdict]:
        return {
            each.execution_id: Verdict(
                execution_id=each.execution_id,
                code="UPSTREAM",
                sentence="It waits for join_sales, which runs since 50 s.",
                since=NOW - timedelta(seconds=50),
            )
            for each in self.executions_
            if each.state is TaskState.WAITING
        }

    def snapshot(self, run_id: str) -> tuple[int, PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict]]:
        return 1, self.resolve_run(run_id), self.executions_, self.verdicts(run_id)

    def part(self, run_id: str, task_ids: Sequence[str]) -> Any:
        mine = [each for each in self.executions_ if each.task_id in task_ids]
        known = {each.execution_id for each in mine}
        verdicts = {key: each for key, each in self.verdicts(run_id).items() if key in known}
        return self.resolve_run(run_id), mine, verdicts, [x for x in self.attempts(run_id) if x.task_id in task_ids]

    def transitions(
        self, run_id: str, task_id: str | None = None, limit: int = 1000, *, skip: int = 0
    ) -> Sequence[Transition]:
        return self.transitions_[skip : skip + limit]

    def task_seconds(self, pipeline_id: str) -> Mapping[str, float]:
        return {"join_sales": 80.0, "validate_users": 4.0}

    def version(self, pipeline_id: str, version: int) -> Any:
        return _Version()

    def counts(self) -> Counts:
        return Counts(
            runs={"RUNNING": 1, "PENDING": 1}, tasks={"QUEUED": 2, "RETRYING": 1}, letters=self.open_letters
        )

    def statistics(self, pipeline_id: str) -> PipelineStatistics:
        return PipelineStatistics(
            runs=60, success_rate=0.95, median_seconds=70.0, p95_seconds=140.0, last_states=("SUCCESS",) * 8
        )

    def progress(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        return {each: {"SUCCESS": 5, "RUNNING": 1, "WAITING": 2} for each in run_ids}

    def queued(self, limit: int = 1000) -> Sequence[Any]:
        return []

    def breakers(self) -> Sequence[Any]:
        return []

    def schedules(self) -> Sequence[Any]:
        return []

    def live(self) -> Sequence[Any]:
        return []

    def activity(self, since: datetime, seconds: int, count: int) -> Mapping[str, Sequence[int]]:
        return {"SUCCESS": [i % 5 for i in range(count)], "FAILED": [int(i % 9 == 4) for i in range(count)]}

    def letters(self, **_: Any) -> tuple[Sequence[Any], str | None]:
        return [], None

    def events(self, after: int, limit: int = 500, run_id: str | None = None) -> Sequence[Any]:
        return []

    def last_seq(self) -> int:
        return 1

    def changed(self, last: object) -> tuple[bool, object]:
        return False, 1

    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        _stop.wait(seconds)
        return False, 1


class _Version:
    document: Mapping[str, Any] = {}
    file = None


class _Catalog:
    def refresh(self, paths: Any = None) -> Sequence[Any]:
        return ()

    def reports(self) -> Sequence[Any]:
        return ()

    def ids(self) -> Sequence[str]:
        return ["orders_daily", "rates", "users_hourly"]

    def build(self, document: Any, file: str | None = None) -> Pipeline:
        return pipeline()


class _Clock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass
class StillLogs:
    """Logs by name."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def lines(self, log: str, *, after: int = 0, grep: str | None = None) -> Iterator[LogLine]:
        for i, line in enumerate(self.texts.get(log, ()), 1):
            if i > after:
                level = "ERROR" if line.startswith("ERROR") else "INFO"
                at = NOW - timedelta(seconds=40) + timedelta(milliseconds=i)
                yield LogLine(seq=i, at=at, stream="stdout", level=level, text=line, task_id=log, attempt=1)

    def tail(self, log: str, count: int) -> list[LogLine]:
        return list(self.lines(log))[-count:]


def client(queries: StillQueries | None = None, logs: StillLogs | None = None) -> Client:
    """The real facade over what stands still."""
    still: Any = queries or believable()
    nothing: Any = None
    catalog: Any = _Catalog()
    written = {
        "join_sales": [f"joined {i} rows" for i in range(1, 61)],
        "validate_users": ["57 users are complete", "ERROR: 3 users without id", "see the log"],
    }
    reader: Any = logs or StillLogs(written)
    clock: Any = _Clock()
    return Client(
        queries=still, mailbox=nothing, catalog=catalog, renderer_factory=nothing, logs=reader, health=nothing,
        clock=clock, new_id=lambda: "id", actor=Actor(name="alice@10.2.3.4"),
    )  # fmt: skip


def believable(count: int = 60) -> StillQueries:
    """Some hours of runs, one of them alive."""
    return StillQueries(
        runs_=[run(i) for i in range(count)],
        executions_=[execution(name) for name in EDGES],
        transitions_=[
            Transition(
                run_id="orders_daily__000000", execution_id=f"x-{name}", task_id=name, map_index=None,
                from_state=TaskState.QUEUED, to_state=TASK_STATES.get(name, TaskState.SUCCESS),
                event=TaskEvent.EXECUTION_STARTED, at=NOW - timedelta(seconds=50 - i), attempt=1,
            )
            for i, name in enumerate(EDGES)
        ],
    )  # fmt: skip


class _Stop:
    def wait(self, seconds: float) -> None:
        import time

        time.sleep(min(seconds, 0.05))  # a wait that nothing ends; short so that threads end with their test


_stop = _Stop()
