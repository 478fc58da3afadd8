"""One task through several attempts, in this process or in one that is killed; no engine around it.

The engine's part (a checkpoint that outlives the attempt, the token, upstream outputs) is kept in a folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from engine.bootstrap.datasets import StagedDatasets
from engine.connectors.registry import Connectors
from engine.model.dataset import Watermark
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.executor import AttemptSpec
from engine.ports.source import Source
from engine.ports.tasktype import TaskType
from engine.sdk.channel import Workplace
from engine.sdk.context import Context
from engine.tasks import extract, saga
from engine.tasks.extract import ExtractTask
from engine.tasks.load import LoadTask
from tests.dataflow.pages import PagedSource

CHECKPOINT = "checkpoint.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A task as the engine would give it to an attempt."""

    root: Path
    type: str
    config: Mapping[str, Any]
    connections: Mapping[str, Mapping[str, Any]]  # id -> type and what else
    task: str = "task"
    upstream: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    run: str = "run1"
    watermarks: tuple[Watermark, ...] = ()
    map_index: int | None = None
    item: Any = None

    def attempt(self, number: int = 1) -> tuple[Outcome, Context]:
        """Do it here; what it raises is raised."""
        ctx = self._context(number)
        outcome = self._type().run(ctx)
        return Outcome(
            result=outcome.result,
            outputs={**ctx.outputs(), **outcome.outputs},
            metrics=ctx.metrics,
            touches=tuple(ctx.touches),
            moves=tuple(ctx.moves),
        ), ctx

    def killed(self, place: str, number: int = 1) -> bool:
        """Do it in a process that kills itself at the failpoint; whether it got there."""
        what = {**{name: getattr(self, name) for name in self.__slots__}, "root": str(self.root), "number": number}
        ended = nursery().run(place, json.dumps(msgspec.to_builtins(what)))
        if ended not in (0, 3, -signal.SIGKILL):
            raise AssertionError(f"The attempt's process ended with {ended}.")
        return ended == -signal.SIGKILL

    def checkpoint(self) -> Any:
        """What is kept for the next attempt."""
        path = self.root / CHECKPOINT
        return json.loads(path.read_text()) if path.is_file() else None

    def _type(self) -> TaskType:
        return (
            ExtractTask(self._source) if self.type == "extract" else LoadTask(self._source, self._open.destination)
        )

    @property
    def _open(self) -> Connectors:
        return Connectors(self.root)

    def _source(self, connection: Connection) -> Source:
        if connection.type == "pages":
            return PagedSource(self.root / str(connection.config["folder"]))
        return self._open.source(connection)

    def _context(self, number: int) -> Context:
        spec = AttemptSpec(
            token=f"token{number}",
            epoch=1,
            run_id=self.run,
            pipeline_id="flow",
            task_id=self.task,
            map_index=self.map_index,
            execution_id="execution",
            attempt=number,
            type=self.type,
            config=self.config,
            context={},
            checkpoint=self.checkpoint(),
            generation=self.generation,
            watermarks=self.watermarks,
        )
        return Context(
            spec,
            _Channel(self),
            Workplace(root=self.root, scratch=self.root / "scratch", staging=self.root / "staging"),
            variables={
                "item": self.item,
                "upstream": self.upstream,
                "logical_date": datetime(2024, 1, 1, tzinfo=UTC),
            },
            config=self.config,
            render=lambda template, variables: template,
            environment={},
            datasets=StagedDatasets(),
        )


@dataclass(frozen=True, slots=True)
class _Channel:
    """The supervisor's part."""

    work: Work

    def log(self, level: str, logger: str, text: str) -> None:
        """The log is not looked at here."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Nor is progress."""

    def metric(self, name: str, value: float) -> None:
        """The context keeps them."""

    def checkpoint(self, value: object) -> None:
        partial = self.work.root / f".{CHECKPOINT}"
        partial.write_text(json.dumps(value))
        partial.rename(self.work.root / CHECKPOINT)

    def connection(self, connection_id: str) -> Connection:
        given = dict(self.work.connections[connection_id])
        return Connection(id=connection_id, type=given.pop("type"), config=given)


class Nursery:
    """A process with everything imported, which forks one for each attempt that is to be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dataflow.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )

    def run(self, failpoint: str, work: str) -> int:
        """One attempt; how its process ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([failpoint, work]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """It ends with its input."""
        self._process.communicate(timeout=60)


@cache
def nursery() -> Nursery:
    """The one of this test process; tests/dataflow/conftest.py ends it."""
    return Nursery()


def main() -> None:
    extract.KEEP_EVERY = 0.0  # a checkpoint after each batch
    saga.PATIENCE = (0.01,)
    for line in sys.stdin:
        place, work = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_attempt(place, json.loads(work)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _attempt(place: str, given: dict[str, Any]) -> int:
    failpoint._wanted, _, count = place.partition(":")
    failpoint._left[0] = int(count or 1)
    number = given.pop("number")
    given["watermarks"] = msgspec.convert(given["watermarks"], tuple[Watermark, ...])
    try:
        Work(**{**given, "root": Path(given["root"])}).attempt(number)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    main()
