"""What an attempt's code sees of the engine: `ctx`.

Law: nothing here reaches for the store, the clock of the engine or another attempt; everything goes over the
channel or into the scratch folder. Values given are checked where they are given, so that a mistake has a
traceback into the author's own line.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from engine.model.dataset import DatasetTouch, WatermarkMove
from engine.model.errors import ConfigurationError, LogicError
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec
from engine.ports.stream import Stream
from engine.ports.tasktype import CheckpointHandle
from engine.sdk.channel import Channel, Workplace
from engine.sdk.outputs import Outputs, json_text, staging_folder
from engine.sdk.wire import MAX_MESSAGE

PROGRESS_EVERY = 0.2  # seconds: five a second is all an eye can use

Render = Callable[[Any, Mapping[str, Any]], Any]
"""Renders a template, or every string inside a structure, with a context."""


class Datasets(Protocol):
    """Staged rows, opened and made: handed in, because Arrow is nothing that every attempt should load."""

    def open(self, reference: Mapping[str, Any], staging: Path) -> Stream:
        """The rows that a reference stands for."""

    def stage(self, data: Any, folder: Path, staging: Path) -> Mapping[str, Any]:
        """All of `data` below `folder`; the reference to it."""


class Checkpoint:
    """ctx.checkpoint."""

    def __init__(self, channel: Channel, saved: Any) -> None:
        self._channel = channel
        self._text = "null" if saved is None else json_text(saved, "The checkpoint")

    def load(self) -> Any:
        """The last saved value of this task in this run, or None. A copy: changing it saves nothing."""
        return json.loads(self._text)

    def save(self, value: Any) -> None:
        """Returns when the engine has committed it."""
        text = json_text(value, "The checkpoint")
        if len(text.encode()) > MAX_MESSAGE - 1024:
            raise LogicError(
                f"The checkpoint takes {len(text.encode())} bytes; {MAX_MESSAGE - 1024} fit. "
                "Save a position, and put data into files or tables."
            )
        self._channel.checkpoint(json.loads(text))
        self._text = text


class Context:
    """ctx, as engine.ports.tasktype.TaskContext promises it."""

    def __init__(
        self,
        spec: AttemptSpec,
        channel: Channel,
        place: Workplace,
        *,
        variables: Mapping[str, Any],
        config: Mapping[str, Any],
        render: Render,
        environment: Mapping[str, str],
        datasets: Datasets,
    ) -> None:
        self.run_id = spec.run_id
        self.pipeline_id = spec.pipeline_id
        self.task_id = spec.task_id
        self.map_index = spec.map_index
        self.attempt = spec.attempt
        self.parameters: Mapping[str, Any] = variables.get("params") or variables.get("parameters") or {}
        self.upstream: Mapping[str, Any] = variables.get("upstream") or {}
        self.item: Any = variables.get("item")
        self.config = config
        self.checkpoint: CheckpointHandle = Checkpoint(channel, spec.checkpoint)
        self.root = place.root
        self.environment = environment
        self.profile = spec.profile
        self.watermarks = spec.watermarks
        self.staging = place.staging
        self.touches: list[DatasetTouch] = []
        self.moves: list[WatermarkMove] = []
        self.results = Outputs()
        self.metrics: dict[str, float] = {}
        self.polite = False  # whether the task looks at `cancelled`; one that never does is interrupted
        self.stopping = False
        self._spec = spec
        self._variables = variables
        self._render = render
        self._datasets = datasets
        self._channel = channel
        self._place = place
        self._next_progress = 0.0
        self._progress: tuple[float, float | None, str] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether this attempt was asked to end. A task that looks is left to tidy up within the grace."""
        self.polite = True
        return self.stopping

    # Made when asked for: an attempt that asks for none of it does not pay for it (see engine.executors.birth).

    @property
    def logical_date(self) -> datetime | None:
        """The instant this run stands for."""
        return _instant(self._variables.get("logical_date"))

    @property
    def load_token(self) -> str:
        """What a load of this task is known by in its target's ledger."""
        return load_token(self._spec)

    @property
    def staging_folder(self) -> Path:
        """Where this attempt's staged datasets are put."""
        return staging_folder(self._spec, self.staging)

    @property
    def log(self) -> logging.Logger:
        """The task's own logger."""
        return logging.getLogger(f"task.{self.task_id}")

    @property
    def scratch(self) -> Path:
        """A folder of this attempt's own; it goes when the attempt ends."""
        folder = self._place.own_scratch
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def progress(self, done: float, total: float | None = None, unit: str = "rows") -> None:
        self._progress = (
            _number(done, "Progress"),
            None if total is None else _number(total, "A total"),
            str(unit)[:40],
        )
        if time.monotonic() >= self._next_progress:
            self.flush_progress()

    def flush_progress(self) -> None:
        """Say the last progress if it was held back."""
        if self._progress is not None:
            progress, self._progress = self._progress, None
            self._next_progress = time.monotonic() + PROGRESS_EVERY
            self._channel.progress(*progress)

    def metric(self, name: str, value: float) -> None:
        number = _number(value, f"Metric '{name}'")
        self.metrics[str(name)] = number
        self._channel.metric(str(name)[:200], number)

    def output(self, name: str, value: Any) -> None:
        self.results.set(name, value)

    def outputs(self) -> Mapping[str, Any]:
        return self.results.values()

    def touch(self, touch: DatasetTouch) -> None:
        self.touches.append(touch)

    def move(self, move: WatermarkMove) -> None:
        self.moves.append(move)

    def connection(self, connection_id: str) -> Connection:
        return self._channel.connection(connection_id)

    def dataset(self, task: str) -> Stream:
        if task not in self.upstream:
            there = f"there are {', '.join(self.upstream)}" if self.upstream else "it has none"
            raise ConfigurationError(f"'{task}' is no upstream task of '{self.task_id}'; {there}.")
        outputs = self.upstream[task]
        reference = outputs.get("dataset") if isinstance(outputs, Mapping) else None
        if not isinstance(reference, Mapping):
            raise ConfigurationError(
                f"Task '{task}' has left no dataset; an `extract` does, and a Python task with ctx.stage()."
            )
        return self._datasets.open(reference, self.staging)

    def stage(self, data: Any) -> Mapping[str, Any]:
        reference = self._datasets.stage(data, self.staging_folder, self.staging)
        self.output("dataset", reference)
        return reference

    def render(self, template: Any, extra: Mapping[str, Any] | None = None) -> Any:
        return self._render(template, {**self._variables, **extra} if extra else self._variables)


def load_token(spec: AttemptSpec) -> str:
    """What a load is known by in its target's ledger."""
    index = "-" if spec.map_index is None else str(spec.map_index)
    return f"{spec.run_id}/{spec.task_id}/{index}/{spec.generation}"


def _instant(text: Any) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text)


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise LogicError(f"{what} is a number, not {type(value).__name__}.") from error
    if not math.isfinite(number):
        raise LogicError(f"{what} is a finite number, not {number}.")
    return number
