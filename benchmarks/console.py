"""The console's figures, taken on a real pseudo-terminal: `python -m benchmarks.console [WORKSPACE [STEP...]]`.

Prints one JSON line per figure, the limit beside it. Without a workspace one of 100,000 runs is made in a temporary
folder first, which takes minutes. Machines are noisy: a trivial Textual app, started in turn with the console, is
the base to compare with, and the load is told.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engine import RunningEngine
from benchmarks.gauges import PENSTOCK, Bench, keys_taken, ms, p95, tell, watched
from benchmarks.puppet import Puppet, every, write_lines
from benchmarks.workspaces import fan_out, make_workspace
from checks.terminal import Terminal
from engine.bootstrap import open_workspace
from engine.model.event import Event
from engine.model.run import RunState
from engine.ports.store import Changes

RUNS = 100_000
LINES = 1_000_000
DAY = 24 * 3_600 * 10  # events of a day at ten a second
DATA = "in 24 h"  # the Pulse has read


# ---- with 100,000 runs


def opening(bench: Bench, root: Path, times: int = 5) -> None:
    """First paint of the frame, the first view's data, and a trivial app in turn with them."""
    trivial, frame, data, sizes = [], [], [], []
    for _ in range(times):
        with bench.trivial() as app:
            trivial.append(app.until("trivial is there"))
        with bench.console(root, "--no-engine") as line:
            frame.append(line.until("? help"))
            sizes.append(len(line.raw))
            data.append(line.until(DATA))
    base = median(trivial)
    tell(
        "first_paint",
        ms=ms(median(frame)),
        best_ms=ms(min(frame)),
        at_most=250,
        trivial_ms=ms(base),
        ratio=round(median(frame) / base, 2),
    )
    tell("first_data", ms=ms(median(data)), best_ms=ms(min(data)), at_most=700, ratio=round(median(data) / base, 2))
    tell("bytes_to_first_paint", bytes=max(sizes), at_most=40_000)


def standing(bench: Bench, root: Path) -> None:
    """The table of runs: opened, moved in, left alone, read to its end."""
    with bench.console(root, "--no-engine") as line:
        line.until(DATA)
        line.quiet(1.0)
        before, began = line.memory, time.perf_counter()
        line.press(":runs\r")
        line.until(lambda: "Runs 200+" in line.text)
        tell("runs_open", ms=ms(time.perf_counter() - began), at_most=1_000)
        line.quiet(1.0)
        taken, sizes = keys_taken(line, ["down", "up"] * 30)
        tell(
            "cursor",
            ms_p50=ms(median(taken)),
            ms_p95=ms(p95(taken)),
            at_most=10,
            bytes_max=max(sizes),
            bytes_at_most=1_000,
        )
        _idle(line, "idle_runs")
        began = time.perf_counter()
        line.press("/state:failed\r")
        line.until(lambda: re.search(r"Runs [0-9,]+ of [0-9,]{6,} ", line.text))
        tell(
            "runs_all_read",
            seconds=round(time.perf_counter() - began, 1),
            memory_mb=round(line.memory - before, 1),
            memory_at_most=100,
        )
        line.press(":pulse\r")
        line.quiet(1.5)
        _idle(line, "idle_pulse")


def _idle(line: Terminal, name: str, seconds: float = 10.0) -> None:
    bytes_, share = watched(line, seconds)
    tell(name, bytes_per_second=round(bytes_ / seconds, 1), at_most=0, cpu_percent=share, cpu_at_most=1.0)


# ---- live, with an engine that is only believed


def live(bench: Bench, root: Path) -> None:
    """Bytes a second of every view that moves while 40 tasks and 40 runs change twice a second."""
    names = [f"part_{number:05d}" for number in range(39)]
    puppet = Puppet(root)
    try:
        wide = puppet.begin("wide", "wide__live", ["start", *names])
        runs = [puppet.begin("wide", f"wide__{number:02d}", ["start"]) for number in range(40)]

        view = ""

        def step(number: int) -> None:
            changes = Changes()
            wide.step(changes, number * 7)
            for each in runs:
                if view == "runs":
                    each.flip(changes)  # what moves a row there; elsewhere it would throw the order about
                else:
                    each.step(changes, number * 7)
            puppet.commit(changes)

        with bench.console(root, "--no-engine", size=(160, 48)) as line, every(0.5, step):
            line.until("? help")
            for view, keys in {
                "pulse": (":pulse\r",),
                "runs": (":runs\r",),
                "graph": (":run wide__live\r",),
                "tree": ("t",),
                "gantt": ("b",),
                "events": ("e",),
                "pipelines": (":pipelines\r",),
                "health": (":health\r",),
                "why": (":why wide__live\r",),
            }.items():
                line.press(*keys)
                line.quiet(0.3, 2.0)
                size, share = watched(line, 4.0)
                tell(f"live_{view}", bytes_per_second=round(size / 4.0), at_most=10_000, cpu_percent=share)
    finally:
        puppet.close()


def logs(bench: Bench, root: Path) -> None:
    """A log that grows by 1,000 lines a second, and one of a million lines."""
    puppet = Puppet(root)
    try:
        puppet.begin("wide", "wide__log", ["start"])
        log = puppet.log("wide__log", "start")
        with bench.console(root, "--no-engine") as line, every(0.05, lambda n: write_lines(log, 50, 50 * n)):
            line.until("? help")
            line.press(":logs wide__log start\r")
            line.until("following")
            line.quiet(0.5, 3.0)
            size, share = watched(line, 8.0)
            tell(
                "follow_log",
                lines_per_second=1_000,
                bytes_per_second=round(size / 8),
                at_most=40_000,
                cpu_percent=share,
                cpu_at_most=10,
            )
        log.close()
        puppet.begin("wide", "wide__long", ["start"], RunState.SUCCESS)
        log = puppet.log("wide__long", "start")
        for block in range(LINES // 10_000):
            write_lines(log, 10_000, 10_000 * block)
        log.close()
    finally:
        puppet.close()
    with bench.console(root, "--no-engine") as line:
        line.until("? help")
        line.quiet(1.0)
        memory, began = line.memory, time.perf_counter()
        line.press(":logs wide__long start\r")
        line.until(f"row {LINES - 1} ")
        opened = time.perf_counter() - began
        line.until(f"{LINES:,} lines ")
        tell(
            "million_lines",
            open_ms=ms(opened),
            at_most=1_000,
            all_read_seconds=round(time.perf_counter() - began, 1),
            memory_mb=round(line.memory - memory, 1),
            memory_at_most=100,
        )


def day(bench: Bench, root: Path, most_seconds: float = 40.0) -> None:
    """As many events of a day at ten a second as can be had meanwhile, about known runs, and what memory does."""
    puppet = Puppet(root)
    try:
        with bench.console(root, "--no-engine") as line:
            line.until("? help")
            line.press(":runs\r")
            _pour(puppet, line, DAY // 8, most_seconds / 8)  # what is made once is there
            line.quiet(1.0)
            samples = [line.memory]
            sent, began = 0, time.monotonic()
            while sent < DAY and time.monotonic() - began < most_seconds:
                sent += _pour(puppet, line, DAY // 8, most_seconds / 8)
                samples.append(line.memory)
            tell(
                "memory_of_a_day",
                events=sent,
                hours=round(sent / 36_000, 1),
                of_hours=24,
                memory_mb=[round(each, 1) for each in samples],
                grown_mb=round(samples[-1] - samples[0], 1),
                at_most="flat",
            )
    finally:
        puppet.close()


def _pour(puppet: Puppet, line: Terminal, count: int, seconds: float) -> int:
    sent, end = 0, time.monotonic() + seconds
    while sent < count and time.monotonic() < end:
        at = datetime.now(UTC)
        puppet.commit(
            Changes(
                events=[
                    Event(
                        type="task.state",
                        at=at,
                        run_id=f"wide__{each % 40:02d}",
                        task_id="start",
                        payload={"from": "QUEUED", "to": "RUNNING", "attempt": 1},
                    )
                    for each in range(500)
                ]
            )
        )
        sent += 500
        line.read(0.0)
    return sent


# ---- with an engine that works


def busy(bench: Bench, root: Path) -> None:
    """From key to paint while the engine runs as many tasks as it can."""
    with RunningEngine(root), bench.console(root, "--attach") as line:
        line.until("? help")
        workspace = open_workspace(root)
        client = workspace.client
        began = time.perf_counter()
        client.commands.send("run.trigger", {"pipeline_id": "big", "run_id": "big__busy"})
        while not _running(client):
            line.read(0.1)
        line.press(":run big__busy\r")
        line.until(lambda: re.search(r"/4,?000 tasks", line.text))
        line.press("t")
        line.until("usually")
        line.quiet(0.2, 1.0)
        tree, _ = keys_taken(line, ["down", "down", "up"] * 15)
        line.press(":runs\r")
        line.quiet(0.2, 1.0)
        taken, _ = keys_taken(line, ["down", "up"] * 25)
        done = client.queries.progress(["big__busy"])["big__busy"].get("SUCCESS", 0)
        rate = done / (time.perf_counter() - began)
        workspace.close()
        tell(
            "key_to_paint",
            keys=len(taken),
            ms_p50=ms(median(taken)),
            ms_p95=ms(p95(taken)),
            at_most=50,
            tree_of_4000_ms_p50=ms(median(tree)),
            tree_of_4000_ms_p95=ms(p95(tree)),
            tasks_per_second=round(rate),
            tasks_wanted=200,
        )


def _running(client: Any) -> bool:
    return any(each.run_id == "big__busy" and each.started_at for each in client.queries.runs(active=True)[0])


def layouts() -> None:
    """DAG layout and repaint for 4 to 2,000 nodes."""
    from benchmarks.layout import SIZES, measure

    for nodes in SIZES:
        found = measure(nodes)
        limit = {500: 100, 2_000: 400}.get(nodes)
        tell(
            "dag",
            nodes=nodes,
            layout_ms=found["layout_ms"],
            layout_at_most=limit,
            repaint_row_ms=found["row_ms"],
            repaint_at_most=2,
        )


# ---- all of it


def history(folder: Path) -> Path:
    """A workspace of 100,000 runs, invented by the command made for it."""
    root = folder / "history"
    shutil.copytree("sample_pipelines", root, ignore=shutil.ignore_patterns(".penstock"))
    began = time.perf_counter()
    command = [*PENSTOCK, "-w", str(root), "samples", "history", "--runs", str(RUNS), "--no-logs"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tell("history", runs=RUNS, seconds=round(time.perf_counter() - began))
    return root


def live_workspace(folder: Path) -> Path:
    """A workspace whose pipeline ran once, so that its definition is known."""
    root = make_workspace(folder / "live", {"wide": fan_out(40), "big": fan_out(4_000)})
    subprocess.run([*PENSTOCK, "-w", str(root), "run", "wide"], check=True, capture_output=True)
    return root


def main(arguments: list[str]) -> int:
    """Every figure; which failed is told by its line, and by the exit code."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        bench = Bench(Path(name))
        layouts()
        root = Path(arguments[0]) if arguments else history(bench.folder)
        small = live_workspace(bench.folder)
        chosen = arguments[1:]
        steps: list[tuple[Callable[[Bench, Path], None], Path]] = [
            (opening, root),
            (standing, root),
            (live, small),
            (logs, small),
            (busy, small),
            (day, small),
        ]
        for step, where in (each for each in steps if not chosen or each[0].__name__ in chosen):
            try:
                step(bench, where)
            except (TimeoutError, AssertionError) as error:
                failed += 1
                tell(step.__name__, failed=str(error))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
