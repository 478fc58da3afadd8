"""The engine's figures: fan-out, chain, a 10,000-task run, trigger to first task, an idle engine, a take-over.

Run with `python -m benchmarks.engine [NAME ...]`; one JSON line each. Everything is durable (SQLite, synchronous
FULL) and a process per attempt. Machines are noisy: compare ratios within one run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.executor import forks_per_second
from benchmarks.workspaces import chain, fan_out, layered, make_workspace
from engine.bootstrap import Workspace, open_workspace

PENSTOCK = [sys.executable, "-m", "console"]


class RunningEngine:
    """`penstock engine` on a workspace, as a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [*PENSTOCK, "-w", str(root), "engine"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "leads" in line:
                break

    def __enter__(self) -> RunningEngine:
        return self

    def kill(self) -> None:
        """As a power cut does."""
        self.process.kill()
        self.process.wait(30)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)


def run_to_end(workspace: Workspace, pipeline: str) -> tuple[str, float]:
    """Trigger through the mailbox; run id and seconds from the trigger to the end, as the engine wrote them down.

    Looks four times a second, as a console does: to ask after each commit costs a core what the engine needs."""
    client = workspace.client
    ticket = client.commands.send("run.trigger", {"pipeline_id": pipeline, "parameters": {}})
    answer = client.commands.wait(ticket, timeout=60.0)
    assert answer is not None and answer.run_ids, answer
    run_id = answer.run_ids[0]
    while (run := client.queries.resolve_run(run_id)).completed_at is None:
        time.sleep(0.25)
    return run_id, (run.completed_at - run.triggered_at).total_seconds()


def _with_engine(
    shape: Mapping[str, Mapping[str, Any]], measure: Callable[[Workspace], dict[str, Any]]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = make_workspace(Path(folder) / "ws", shape)
        with RunningEngine(root):
            workspace = open_workspace(root)
            try:
                run_to_end(workspace, next(iter(shape)))  # warm: zygote, caches
                return measure(workspace)
            finally:
                workspace.close()


FANS = 7  # a machine that others share is now a third faster, now a third slower: the median tells what is usual


def fan(width: int = 1000) -> dict[str, Any]:
    """Tasks a second with two workers, in several runs one after the other."""

    def measure(workspace: Workspace) -> dict[str, Any]:
        rates = []
        for _ in range(FANS):
            run_id, seconds = run_to_end(workspace, "fan")
            assert workspace.client.queries.resolve_run(run_id).state.value == "SUCCESS"
            rates.append(width / seconds)
        rate = median(rates)
        forks = forks_per_second(width)  # what the machine gives this minute: the figure that can be compared
        return {
            "tasks": width,
            "tasks_per_second": round(rate, 1),
            "at_least": 250,
            "each_run": [round(each) for each in rates],
            "bare_forks_per_second": round(forks, 1),
            "ratio_to_bare_forks": round(rate / forks, 3),
            "fsync_ms_median": round(_fsync_ms(), 3),
        }

    return _with_engine({"warm": chain(2), "fan": fan_out(width)}, measure)


def _fsync_ms(count: int = 100) -> float:
    """What one durable write costs here, in the place where the workspaces are."""
    with tempfile.NamedTemporaryFile(prefix="penstock-bench-") as file:
        taken = []
        for number in range(count):
            os.pwrite(file.fileno(), b"x" * 4096, number * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def hand_over(length: int = 100) -> dict[str, Any]:
    """From one task's end to the next one's start, and from the trigger to the first start."""

    def measure(workspace: Workspace) -> dict[str, Any]:
        firsts = []
        for _ in range(5):
            run_id, _ = run_to_end(workspace, "warm")
            run = workspace.client.queries.resolve_run(run_id)
            started = min(a.started_at for a in workspace.client.queries.attempts(run_id) if a.started_at)
            firsts.append((started - run.triggered_at).total_seconds() * 1000)
        run_id, _ = run_to_end(workspace, "chain")
        attempts = sorted(workspace.client.queries.attempts(run_id), key=lambda a: a.submitted_at)
        gaps = [
            (after.started_at - before.completed_at).total_seconds() * 1000
            for before, after in pairwise(attempts)
            if after.started_at and before.completed_at
        ]
        return {
            "chain": length,
            "hand_over_ms_median": round(median(gaps), 2),
            "hand_over_at_most": 15,
            "trigger_to_running_ms_median": round(median(firsts), 2),
            "trigger_at_most": 50,
        }

    return _with_engine({"warm": chain(2), "chain": chain(length)}, measure)


def big(tasks: int = 10_000, edges: int = 15_000) -> dict[str, Any]:
    """Tasks a second at 1,000 and at 10,000, in one run of the benchmark."""

    def measure(workspace: Workspace) -> dict[str, Any]:
        _, small = run_to_end(workspace, "small")
        _, large = run_to_end(workspace, "large")
        rates = [tasks / 10 / small, tasks / large]
        return {
            "tasks": tasks,
            "per_second_small": round(rates[0], 1),
            "per_second_large": round(rates[1], 1),
            "ratio": round(rates[1] / rates[0], 3),
            "at_least": 0.8,
        }

    shapes = {"warm": chain(2), "small": layered(tasks // 10, edges // 10), "large": layered(tasks, edges)}
    return _with_engine(shapes, measure)


def plan(tasks: int = 10_000, edges: int = 15_000) -> dict[str, Any]:
    """Validate and plan a 10,000-task pipeline, without the start of Python and of the loader child."""
    from engine.rules.graph import build_graph
    from engine.rules.graph_plan import make_plan

    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = make_workspace(Path(folder) / "ws", {"large": layered(tasks, edges)})
        workspace = open_workspace(root)
        began = time.perf_counter()
        workspace.catalog.refresh()
        pipeline = workspace.catalog.get("large")
        make_plan(build_graph(pipeline.dependencies()), durations={}, requests={}, available={})
        seconds = time.perf_counter() - began
        workspace.close()
    return {"tasks": tasks, "edges": edges, "validate_and_plan_seconds": round(seconds, 3), "at_most": 1.0}


def idle(seconds: float = 10.0) -> dict[str, Any]:
    """Memory (PSS) and processor share of an engine with nothing to do, its zygote included."""

    def measure(workspace: Workspace) -> dict[str, Any]:
        lease = workspace.mailbox.lease()
        assert lease is not None
        leader = psutil.Process(lease.pid)
        family = [leader, *leader.children(recursive=True)]
        time.sleep(3.0)
        before = sum(sum(p.cpu_times()[:2]) for p in family)
        time.sleep(seconds)
        after = sum(sum(p.cpu_times()[:2]) for p in family)
        pss = {
            f"{p.pid} {p.name()} {' '.join(p.cmdline()[-3:])[-40:]}": p.memory_full_info().pss / 2**20
            for p in family
        }
        return {
            "pss_mb": round(sum(pss.values()), 1),
            "pss_at_most": 120,
            "cpu_percent": round(100 * (after - before) / seconds, 2),
            "cpu_at_most": 1.0,
            "processes": {name: round(size, 1) for name, size in pss.items()},
        }

    return _with_engine({"warm": chain(2)}, measure)


def take_over(width: int = 1000) -> dict[str, Any]:
    """From the leader's SIGKILL in mid-run to the next task's start under the engine that stood by."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = make_workspace(Path(folder) / "ws", {"warm": chain(2), "fan": fan_out(width)})
        with RunningEngine(root) as first, RunningEngine(root):  # the second says that the first leads
            workspace = open_workspace(root)
            try:
                run_to_end(workspace, "warm")
                return _taken_over(workspace, first, width)
            finally:
                workspace.close()


def _taken_over(workspace: Workspace, first: RunningEngine, width: int) -> dict[str, Any]:
    client = workspace.client
    answer = client.commands.wait(client.commands.send("run.trigger", {"pipeline_id": "fan"}), timeout=60.0)
    assert answer is not None and answer.run_ids, answer
    run_id = answer.run_ids[0]
    while len(client.queries.attempts(run_id)) < width // 10:
        time.sleep(0.05)
    lease = workspace.mailbox.lease()
    assert lease is not None and lease.pid == first.process.pid, lease
    killed = datetime.now(UTC)
    first.kill()
    while (run := client.queries.resolve_run(run_id)).completed_at is None:
        time.sleep(0.25)
    attempts = client.queries.attempts(run_id)
    after = [each.started_at for each in attempts if each.epoch > lease.epoch and each.started_at]
    return {
        "tasks": width,
        "take_over_seconds": round((min(after) - killed).total_seconds(), 3),
        "at_most": 15,
        "tasks_before": len({each.task_id for each in attempts if each.epoch == lease.epoch}),
        "lost": sum(each.state.value == "LOST" for each in attempts),
        "state": run.state.value,
    }


BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "fan_out": fan,
    "hand_over": hand_over,
    "plan": plan,
    "big": big,
    "idle": idle,
    "take_over": take_over,
}


def main(names: list[str]) -> int:
    """Each benchmark as one JSON line."""
    for name in names or BENCHMARKS:
        print(json.dumps({"benchmark": name, "cpus": os.cpu_count(), **BENCHMARKS[name]()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
