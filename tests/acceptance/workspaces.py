"""Real workspaces and the real command: what the acceptance tests drive."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cli import main

LIMIT_SECONDS = 60.0
SETTINGS = "version: 1\ndefaults: {retry_policy: {max_attempts: 1}}\n"


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder, and the command in it."""

    root: Path
    environment: Mapping[str, str]

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, pipeline_id: str, tasks: str, more: str = "") -> None:
        self.write(
            f"pipelines/{pipeline_id}.yaml", f"id: {pipeline_id}\nname: {pipeline_id}\n{more}\ntasks:\n{tasks}\n"
        )

    def penstock(self, *arguments: str) -> Said:
        """The command in this process: the same code, without the second it takes to start one."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), _nothing_to_read():
            code = main(["-w", str(self.root), *arguments])
        assert "should not have happened" not in err.getvalue(), err.getvalue()
        return Said(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, cwd: Path | None = None) -> Said:
        """The command in a process of its own."""
        done = subprocess.run(
            command(*arguments),
            cwd=cwd or self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "should not have happened" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str) -> Any:
        said = self.penstock(*arguments, "--json")
        document = said.json
        assert "error" not in document, document
        return document

    @contextmanager
    def background(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on; ended with the block, whatever became of it."""
        with subprocess.Popen(
            command(*arguments),
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.communicate(timeout=LIMIT_SECONDS)
                    except subprocess.TimeoutExpired:
                        process.kill()

    @contextmanager
    def engine(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """An engine that leads."""
        with self.background("engine", *arguments) as process:
            eventually(lambda: self.json("engine", "status")["leads"] or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            yield process

    def run_state(self, name: str = "last") -> str:
        said = self.penstock("show", name, "--json")
        return str(said.json["state"]) if said.code == 0 else "none"

    def task_states(self, name: str = "last") -> dict[str, str]:
        return {task["id"]: task["state"] for task in self.json("show", name)["tasks"]}


def _interruptible() -> None:
    """Tests that are run in the background of a shell have the interrupt ignored, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "console", *arguments]


def eventually(condition: Callable[[], object], seconds: float = LIMIT_SECONDS) -> None:
    """Look until it is so; a deadline, not a measurement."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.05)


@contextmanager
def _nothing_to_read() -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def made_in(root: Path) -> Workspace:
    """A workspace with settings and nothing else."""
    workspace = Workspace(root, dict(os.environ))
    workspace.write("penstock.yaml", SETTINGS)
    return workspace
