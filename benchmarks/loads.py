"""A `load` task as an attempt runs it, without an engine around it."""

from __future__ import annotations

import gc
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.bootstrap.preload import HEAVY, LIGHT
from engine.model.workspace import Connection


def attempt(work: Callable[[], int]) -> dict[str, float]:
    """What `work` takes in the process of an attempt, counted as the engine counts it; `work` tells its rows. Such
    a process is a fork of one that has loaded everything, and its memory is what it has touched."""
    for module in (*LIGHT, *HEAVY, "engine.bootstrap.attempt"):
        import_module(module)
    gc.freeze()  # as the zygote does
    answer, told = os.pipe()
    pid = os.fork()
    if not pid:
        _told(work, told)
    os.close(told)
    with os.fdopen(answer) as lines:
        said = lines.read()
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError("the attempt failed")
    found: dict[str, float] = json.loads(said)
    return {**found, "cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss // 1024}


def _told(work: Callable[[], int], told: int) -> None:
    """In the fork, which ends here."""
    try:
        began = time.perf_counter()
        rows = work()
        seconds = time.perf_counter() - began
        os.write(told, json.dumps({"rows": rows, "seconds": seconds}).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001  whatever it is, this process must not go on as a second benchmark
        traceback.print_exc()
    os._exit(1)


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
