"""Task types: what a `type:` name means.

Law: a type checks its config without running anything, and runs inside an attempt process with nothing but its
context. Types whose mode is `engine` have no process: the dispatcher itself acts for them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.model.dataset import DatasetTouch, Watermark, WatermarkMove
from engine.model.errors import Problem
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports.stream import Stream

Mode = Literal["process", "poke", "engine"]
# process: an attempt process. poke: a sensor's short process, repeated. engine: carried by the dispatcher.


class TaskType(Protocol):
    """One per type name."""

    name: str
    category: str  # extract transform load validate notify control: icon and colour (C-09)

    def schema(self) -> Mapping[str, Any]:
        """JSON Schema (2020-12) of `config`, additionalProperties false, with descriptions."""

    def mode(self, config: Mapping[str, Any]) -> Mode:
        """Where it runs; may depend on the config (a templated `branch` needs no process)."""

    def heavy(self, config: Mapping[str, Any]) -> bool:
        """Whether it wants the zygote with Arrow and DuckDB loaded."""

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Connection ids the config names (checked for existence; their pools and rates are held)."""

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        """What the schema cannot say: files that must exist, `module:function` spelling. Paths relative to
        `config`, e.g. "callable". Never imports user code."""

    def run(self, ctx: TaskContext) -> Outcome:
        """Do it, in the attempt process. An exception is a failure, classified by the caller."""


USES: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "uniqueItems": True,
    "description": "connections it uses: their pools, rates and circuits are held like those of other tasks",
}
"""The schema of `connections`, for types whose config cannot show by itself what their code talks to."""


def used_connections(config: Mapping[str, Any]) -> Sequence[str]:
    """The ids listed under `connections`."""
    given = config.get("connections")
    return tuple(each for each in given if isinstance(each, str)) if isinstance(given, list | tuple) else ()


class CheckpointHandle(Protocol):
    """ctx.checkpoint."""

    def load(self) -> Any:
        """The last saved value of this task in this run, or None."""

    def save(self, value: Any) -> None:
        """Returns when the engine has committed it."""


class TaskContext(Protocol):
    """What an attempt's code sees (engine.sdk exports it as `Context`)."""

    run_id: str
    pipeline_id: str
    task_id: str
    map_index: int | None
    attempt: int
    parameters: Mapping[str, Any]
    upstream: Mapping[str, Any]
    config: Mapping[str, Any]  # rendered
    item: Any
    checkpoint: CheckpointHandle
    root: Path  # the workspace
    environment: Mapping[str, str]  # PENSTOCK_* of this attempt
    profile: str | None
    watermarks: Sequence[Watermark]  # where the consumers of what this task reads stand
    staging: Path  # where all staged datasets are

    @property
    def load_token(self) -> str:
        """The same through attempts, losses and retries, until a success is run again."""

    @property
    def staging_folder(self) -> Path:
        """Below `staging`, this attempt's own."""

    @property
    def logical_date(self) -> Any:
        """An aware datetime: the instant the run stands for."""

    @property
    def log(self) -> logging.Logger:
        """The task's own logger; its records go into the attempt's log."""

    @property
    def scratch(self) -> Path:
        """A folder of this attempt's own, made on first use, gone with the attempt."""

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was asked to end. A task that looks may tidy up within the grace; one that never
        looks is interrupted at once, its `finally` blocks run."""

    def progress(self, done: float, total: float | None = None, unit: str = "rows") -> None:
        """Tell how far it is; cheap, throttled."""

    def metric(self, name: str, value: float) -> None:
        """A custom metric of this attempt."""

    def output(self, name: str, value: Any) -> None:
        """One output for the tasks downstream (JSON)."""

    def outputs(self) -> Mapping[str, Any]:
        """Outputs so far."""

    def touch(self, touch: DatasetTouch) -> None:
        """A dataset this attempt has read or written; recorded when it succeeds."""

    def move(self, move: WatermarkMove) -> None:
        """How far its data reaches; committed when it succeeds."""

    def connection(self, connection_id: str) -> Connection:
        """A connection with its secrets resolved; from now on they are masked in this attempt's log."""

    def dataset(self, task: str) -> Stream:
        """The rows that an upstream task has staged: an Arrow stream, to be iterated batch by batch."""

    def stage(self, data: Any) -> Mapping[str, Any]:
        """Rows for the tasks downstream: a stream, a table, record batches or mappings, taken one at a time. They
        become the output `dataset`, which a `load` takes."""

    def render(self, template: Any, extra: Mapping[str, Any] | None = None) -> Any:
        """A template of the config in this attempt's context."""
