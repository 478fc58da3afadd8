"""Workspaces for the benchmarks, made in a temporary folder: no-op Python tasks in a given shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

NOOP = "def noop(ctx):\n    return None\n"


def make_workspace(
    folder: Path, pipelines: Mapping[str, Mapping[str, Sequence[str]]], *, workers: int = 2, settings: str = ""
) -> Path:
    """A workspace whose pipelines have these dependencies (task -> upstream) and do nothing."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "penstock.yaml").write_text(f"version: 1\nlimits: {{workers: {workers}}}\n{settings}")
    (folder / "noop.py").write_text(NOOP)
    for name, dependencies in pipelines.items():
        rows = json.dumps({task: list(upstream) for task, upstream in dependencies.items()})
        (folder / "pipelines" / f"{name}.py").write_text(
            "from engine.sdk import pipeline, task\n\n"
            f"DEPENDENCIES = {rows}\n\n\n"
            f"@pipeline(id={name!r}, name={name!r})\n"
            f"def {name}():\n"
            "    return [\n"
            "        task(one, 'python', callable='noop:noop', dependencies=upstream)\n"
            "        for one, upstream in DEPENDENCIES.items()\n"
            "    ]\n"
        )
    return folder


def fan_out(width: int) -> dict[str, list[str]]:
    """One start, `width` tasks after it."""
    return {"start": [], **{f"part_{number:05d}": ["start"] for number in range(width - 1)}}


def chain(length: int) -> dict[str, list[str]]:
    """One after the other."""
    return {f"step_{n:05d}": ([f"step_{n - 1:05d}"] if n else []) for n in range(length)}


def layered(tasks: int, edges: int, width: int = 100) -> dict[str, list[str]]:
    """`tasks` in layers of `width`; each has an upstream just above, and the rest of the edges reach further."""
    found: dict[str, list[str]] = {}
    extra = edges - (tasks - width)
    for number in range(tasks):
        layer = number // width
        upstream = []
        if layer:
            upstream.append(f"t_{number - width:05d}")
            if extra > 0:
                other = (number * 7919) % ((layer) * width)
                if other != number - width:
                    upstream.append(f"t_{other:05d}")
                    extra -= 1
        found[f"t_{number:05d}"] = upstream
    return found
