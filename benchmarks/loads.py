"""A `load` task as an attempt runs it, without an engine around it."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.bootstrap.parts import HEAVY, LIGHT
from engine.model.workspace import Connection


def preload() -> None:
    """What the zygote of data attempts has loaded before any of them begins."""
    for module in (*LIGHT, *HEAVY):
        import_module(module)
    gc.freeze()  # as it does


def load(config: Mapping[str, Any], folder: Path, target: Connection) -> int:
    """Its rows. Connections: `files`, the folder, and the target."""
    from engine.bootstrap.datasets import StagedDatasets
    from engine.connectors.registry import Connectors
    from engine.ports.executor import AttemptSpec
    from engine.sdk.channel import Workplace
    from engine.sdk.context import Context
    from engine.sdk.testing import RememberingChannel
    from engine.tasks.load import LoadTask

    known = {"files": Connection(id="files", type="file", config={"path": str(folder)}), target.id: target}
    token = f"bench-{time.time_ns()}"
    spec = AttemptSpec(
        token=token, epoch=1, run_id=token, pipeline_id="bench", task_id="load", map_index=None, execution_id="1",
        attempt=1, type="load", config=config, context={"logical_date": datetime.now(UTC).isoformat()},
    )  # fmt: skip
    place = Workplace(root=folder, scratch=folder / "scratch", staging=folder / "staging")
    ctx = Context(
        spec, RememberingChannel(connections=known), place, variables=spec.context, config=config,
        render=lambda value, _: value, environment={},
        datasets=StagedDatasets(),
    )  # fmt: skip
    connectors = Connectors(folder)
    outcome = LoadTask(connectors.source, connectors.destination).run(ctx)
    return int({**outcome.outputs, **ctx.outputs()}["rows"])
