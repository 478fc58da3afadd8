"""User code under test, without an engine.

Law: the function runs in the caller's process with a real Context over a channel that only remembers; what it
raises, it raises at the caller.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.model.errors import ErrorKind
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec
from engine.ports.stream import Stream
from engine.sdk.channel import ConnectionRefused, Workplace
from engine.sdk.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What one call did."""

    returned: Any
    outputs: Mapping[str, Any]
    metrics: Mapping[str, float]
    progress: tuple[tuple[float, float | None, str], ...]
    checkpoints: tuple[Any, ...]
    staged: Any = None  # what was given to ctx.stage: a table as it is, anything that is iterated as a list


class GivenRows:
    """A table that a test hands to ctx.dataset, as a stream."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.schema = table.schema

    def __iter__(self) -> Iterator[Any]:
        return iter(self._table.to_batches() if hasattr(self._table, "to_batches") else self._table)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True, kw_only=True)
class RememberingDatasets:
    """Datasets in memory: given by the test, or kept for it."""

    given: Mapping[str, Any] = field(default_factory=dict)
    staged: Any = None

    def open(self, reference: Mapping[str, Any], staging: Path) -> Stream:
        return GivenRows(self.given[reference["task"]])

    def stage(self, data: Any, folder: Path, staging: Path) -> Mapping[str, Any]:
        self.staged = data if hasattr(data, "to_batches") else list(data)
        return {"rows": getattr(self.staged, "num_rows", None) or len(self.staged)}

    def upstream(self) -> dict[str, Any]:
        """What the tasks above have left in their outputs."""
        return {task: {"dataset": {"task": task}} for task in self.given}


@dataclass(slots=True, kw_only=True)
class RememberingChannel:
    """Channel that keeps what is said. Log records stay with `logging`, where a test's own tools see them."""

    connections: Mapping[str, Connection] = field(default_factory=dict)
    progressed: list[tuple[float, float | None, str]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)

    def log(self, level: str, logger: str, text: str) -> None:
        """Nothing: see the class."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self.progressed.append((done, total, unit))

    def metric(self, name: str, value: float) -> None:
        """Nothing: the context keeps them."""

    def checkpoint(self, value: object) -> None:
        self.checkpoints.append(json.loads(json.dumps(value)))

    def connection(self, connection_id: str) -> Connection:
        found = self.connections.get(connection_id)
        if found is None:
            raise ConnectionRefused(
                f"This test gave no connection '{connection_id}'; pass it in `connections`.",
                ErrorKind.CONFIGURATION,
            )
        return found


def run_task(
    function: Callable[..., Any],
    given: Mapping[str, Any] | None = None,
    /,
    **args: Any,
) -> TaskResult:
    """Call `function(ctx, **args)`, sync or async, and tell what it did.

    `given` may set what the context shows: parameters, upstream, item, logical_date, checkpoint, attempt,
    connections (id -> Connection), datasets (task -> pyarrow table, for ctx.dataset) and root.
    """
    shown = dict(given or {})
    channel = RememberingChannel(connections=shown.pop("connections", {}))
    datasets = RememberingDatasets(given=shown.pop("datasets", {}))
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        ctx = _context(shown, channel, Path(folder), datasets)
        returned = function(ctx, **args)
        if inspect.isawaitable(returned):
            import asyncio  # only async code should pay for it

            async def waited() -> Any:
                return await returned

            returned = asyncio.run(waited())
        ctx.flush_progress()
        ctx.results.merge(returned)
    return TaskResult(
        returned=returned,
        outputs=ctx.results.values(),
        metrics=dict(ctx.metrics),
        progress=tuple(channel.progressed),
        checkpoints=tuple(channel.checkpoints),
        staged=datasets.staged,
    )


def _context(
    shown: dict[str, Any], channel: RememberingChannel, folder: Path, datasets: RememberingDatasets
) -> Context:
    root = Path(shown.pop("root", folder))
    variables = {
        "params": shown.pop("parameters", {}),
        "upstream": {**datasets.upstream(), **shown.pop("upstream", {})},
        "item": shown.pop("item", None),
        "logical_date": shown.pop("logical_date", datetime(2024, 1, 1, tzinfo=UTC)),
    }
    spec = AttemptSpec(
        token="test",
        epoch=0,
        run_id="test_run",
        pipeline_id="test_pipeline",
        task_id="test_task",
        map_index=None,
        execution_id="test_execution",
        attempt=shown.pop("attempt", 1),
        type="python",
        config={},
        context={},
        checkpoint=shown.pop("checkpoint", None),
    )
    if shown:
        raise TypeError(f"run_task does not know {', '.join(sorted(shown))}")
    place = Workplace(root=root, scratch=folder / "scratch", staging=folder / "staging")
    return Context(
        spec,
        channel,
        place,
        variables=variables,
        config={},
        render=lambda template, _variables: template,
        environment={},
        datasets=datasets,
    )
