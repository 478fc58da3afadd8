"""How fast attempts start and end through LocalExecutor alone: `python -m benchmarks.executor`.

Prints one JSON line: no-op Python attempts per second with two in flight, and the same number of bare forks
with two in flight on the same machine a moment before, so that the ratio means something on a loaded one.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.bootstrap.datasets import StagedDatasets
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec, Executor, Finished, Report, Vanished
from engine.sdk.attempt import run_attempt
from engine.sdk.channel import Channel, Workplace
from engine.tasks.python import PythonTask

TASK = "def nothing(ctx):\n    pass\n"
IN_FLIGHT = 2


class NoSecrets:
    """A workspace without any."""

    def resolve(self, connection: Connection) -> tuple[Connection, Sequence[str]]:
        return connection, ()

    def resolve_text(self, text: str) -> tuple[str, Sequence[str]]:
        return text, ()

    def hidden_variables(self) -> frozenset[str]:
        return frozenset()

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def mask(self, value: Any) -> Any:
        return value


def run(spec: AttemptSpec, channel: Channel, place: Workplace) -> Outcome:
    """The runner the zygote is handed."""
    return run_attempt(
        spec,
        channel,
        place,
        task_type=PythonTask(),
        render=lambda template, _: template,
        datasets=StagedDatasets(),
    )


def spec_of(number: int) -> AttemptSpec:
    """One no-op attempt."""
    return AttemptSpec(
        token=secrets.token_hex(16),
        epoch=1,
        run_id="bench",
        pipeline_id="bench",
        task_id=f"task_{number}",
        map_index=None,
        execution_id=f"execution_{number}",
        attempt=1,
        type="python",
        config={"callable": "bench_task:nothing"},
        context={"ds": "2024-01-01", "logical_date": "2024-01-01T00:00:00+00:00"},
        log=f"bench/task_{number}.jsonl",
    )


def attempts_per_second(count: int) -> tuple[float, float]:
    """Attempts per second, and the median seconds from submit to Finished."""
    from engine.executors.local import LocalExecutor  # the zygote imports this module and needs none of it

    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "bench_task.py").write_text(TASK)
        executor = LocalExecutor(
            root=root,
            logs=root / "logs",
            scratch=root / "scratch",
            staging=root / "staging",
            runner="benchmarks.executor:run",
            secrets=NoSecrets(),
            connections=lambda name, _profile: Connection(id=name, type="none"),
            now=lambda: datetime.now(UTC),
        )
        executor.start(reports.put)
        _through(executor, reports, 20)  # the zygote is up, its pages are warm
        started = time.perf_counter()
        spans = _through(executor, reports, count)
        elapsed = time.perf_counter() - started
        executor.stop(1.0)
    return count / elapsed, sorted(spans)[len(spans) // 2]


def _through(executor: Executor, reports: queue.SimpleQueue[Report], count: int) -> list[float]:
    sent: dict[str, float] = {}
    spans: list[float] = []

    def send() -> None:
        if len(sent) < count:
            spec = spec_of(len(sent))
            sent[spec.token] = time.perf_counter()
            executor.submit(spec)

    for _ in range(IN_FLIGHT):
        send()
    while len(spans) < count:
        report = reports.get(timeout=30)
        if isinstance(report, Vanished) or (isinstance(report, Finished) and report.outcome.result != "success"):
            sys.exit(f"An attempt did not succeed: {report}")
        if isinstance(report, Finished):
            spans.append(time.perf_counter() - sent[report.token])
            send()
    return spans


def forks_per_second(count: int) -> float:
    """A bare fork that ends at once, two in flight: what the machine can do at best."""
    started, alive = time.perf_counter(), 0
    for _ in range(count):
        if alive == IN_FLIGHT:
            os.wait()
            alive -= 1
        if os.fork() == 0:
            os._exit(0)
        alive += 1
    while alive:
        os.wait()
        alive -= 1
    return count / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    forks = forks_per_second(count)
    attempts, median = attempts_per_second(count)
    print(
        json.dumps(
            {
                "benchmark": "executor",
                "attempts": count,
                "attempts_per_second": round(attempts, 1),
                "median_ms": round(median * 1000, 2),
                "bare_forks_per_second": round(forks, 1),
                "ratio": round(attempts / forks, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
