"""Engines as processes, triggered and watched from outside.

Law: an engine is touched only as an operator or a power cut touches one: a command, a signal, the environment it is
started with. Every wait has a deadline and ends on a condition; every process started here is ended here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.bootstrap import Workspace, engine_leads, open_workspace
from engine.executors.processes import PR_SET_PDEATHSIG, prctl
from engine.model.run import PipelineRun
from tests.runtime.crash_workspace import Made

SOURCE = Path(__file__).resolve().parents[2]
TAKEN_OVER_WITHIN = 30.0  # the promise is 15 s; twice that, because machines that run tests are busy
DONE_WITHIN = 60.0  # patience, not a promise: machines that run tests are busy
GONE_WITHIN = (
    30.0  # the promise is 2 s for orphans and 10 s for an engine told to stop: a deadline, not a measurement
)
TOKEN = b"PENSTOCK_ATTEMPT_TOKEN="


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look until it is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def _end_with_the_tests() -> None:
    """However the tests end, be it by KILL, no engine of theirs stays."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class EngineProcess:
    """`penstock engine` in a process of its own; what it says goes to a file."""

    def __init__(
        self,
        root: Path,
        failpoint: str | None = None,
        command: tuple[str, ...] = ("engine",),
        module: str = "console",
        **environment: str,
    ) -> None:
        self.said = root / f"engine.{time.monotonic_ns()}.log"
        surroundings = {**os.environ, "PYTHONPATH": str(SOURCE), "PENSTOCK_TIME_SCALE": "0.2", **environment}
        if failpoint is not None:
            surroundings["PENSTOCK_FAILPOINT"] = failpoint
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "-w", str(root), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=surroundings,
                cwd=root,
                start_new_session=True,
                preexec_fn=_end_with_the_tests,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def words(self) -> str:
        return self.said.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def leads(self) -> EngineProcess:
        """Wait until it says so, within what was promised for a take-over."""
        eventually(lambda: "The engine leads" in self.words or self.ended, TAKEN_OVER_WITHIN, "it leads")
        assert not self.ended, f"the engine ended ({self.process.returncode}): {self.words}"
        return self

    def stands_by(self) -> EngineProcess:
        eventually(lambda: "standing by" in self.words or self.ended, TAKEN_OVER_WITHIN, "it stands by")
        assert not self.ended, self.words
        return self

    def dies(self, seconds: float = DONE_WITHIN) -> int:
        """Wait for its end; its exit code."""
        eventually(lambda: self.ended, seconds, f"the engine ends; it said: {self.words[-500:]}")
        return int(self.process.returncode)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DONE_WITHIN)

    def terminate(self, seconds: float = GONE_WITHIN) -> int:
        """As an operator would; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def children(self) -> list[int]:
        return children(self.pid)


class Stage:
    """One workspace under trial."""

    def __init__(self, made: Made) -> None:
        self.root = made.root
        self.slots = made.slots
        self.workspace: Workspace = open_workspace(made.root)
        self.engines: list[EngineProcess] = []
        self.triggered: dict[str, str] = {}  # run id -> pipeline
        self.sent: list[str] = []  # request ids

    def engine(self, failpoint: str | None = None, **environment: str) -> EngineProcess:
        one = EngineProcess(self.root, failpoint, **environment)
        self.engines.append(one)
        return one

    def trigger(self, *pipelines: str) -> list[str]:
        """Drop run.trigger commands into the mailbox; whether an engine leads does not matter."""
        found = []
        for pipeline in pipelines:
            run_id = f"{pipeline}__{len(self.triggered):03d}"
            self.send("run.trigger", pipeline_id=pipeline, parameters={}, run_id=run_id)
            self.triggered[run_id] = pipeline
            found.append(run_id)
        return found

    def send(self, name: str, **arguments: object) -> None:
        self.sent.append(self.workspace.client.commands.send(name, arguments).request_id)

    def run(self, run_id: str) -> PipelineRun | None:
        return next((run for run in self.runs() if run.run_id == run_id), None)

    def runs(self) -> list[PipelineRun]:
        return list(self.workspace.queries.runs(limit=10_000)[0])

    def task_state(self, run_id: str, task: str) -> str:
        rows = self.workspace.queries.executions(run_id)
        return next((row.state.value for row in rows if row.task_id == task), "none")

    def done(self) -> bool:
        """Everything triggered and every slot has its run, nothing is open, and every command is answered."""
        runs = {run.run_id: run for run in self.runs()}
        scheduled = sum(run.slot is not None for run in runs.values())
        return (
            self.triggered.keys() <= runs.keys()
            and scheduled >= len(self.slots)
            and all(run.state.terminal for run in runs.values())
            and not self.workspace.mailbox.pending(1)
        )

    def wait_until_done(self, engine: EngineProcess, seconds: float = DONE_WITHIN) -> None:
        eventually(lambda: self.done() or engine.ended, seconds, self._open())
        assert self.done(), f"the engine ended ({engine.process.returncode}): {engine.words[-2000:]}"

    def _open(self) -> str:
        return "every run ends"

    def tokens(self) -> set[str]:
        return {one.token for run in self.runs() for one in self.workspace.queries.attempts(run.run_id)}

    def no_orphans(self, seconds: float = GONE_WITHIN) -> None:
        """No process of any attempt is left, nor a zygote of this workspace."""
        eventually(lambda: not self.left_over(), seconds, "no process is left")

    def left_over(self) -> list[int]:
        return [*carriers(self.tokens()), *zygotes(self.root)]

    def leads(self) -> bool:
        return engine_leads(self.workspace) is not None

    def close(self) -> None:
        for engine in self.engines:
            if not engine.ended:
                engine.process.send_signal(signal.SIGCONT)
                engine.kill()
        self.workspace.close()
        eventually(lambda: not zygotes(self.root), DONE_WITHIN, "the zygotes end")


@contextmanager
def stage(made: Made) -> Iterator[Stage]:
    one = Stage(made)
    try:
        yield one
    finally:
        one.close()


# ------------------------------------------------------------------------------------- the machine from outside


def children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return below + [one for child in below for one in descendants(child)]


def carriers(tokens: Iterable[str]) -> list[int]:
    """Living processes that were started with one of these tokens."""
    wanted = {token.encode() for token in tokens}
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(one.removeprefix(TOKEN) in wanted for one in environment if one.startswith(TOKEN)):
            found.append(int(folder.name))
    return found


def zygotes(root: Path) -> list[int]:
    """Processes whose command line says that they fork attempts for this workspace."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"engine.executors.zygote" in words and f'"{root}"'.encode() in words:
            found.append(int(folder.name))
    return found
