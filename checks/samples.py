"""Run every sample pipeline once through the public command line and compare with what is expected.

`make run` does this where there is no terminal. It knows nothing of the engine: it calls `penstock`, reads
the JSON it prints, and looks into `expected.yaml` beside the workspace's settings:

    daily_report: SUCCESS
    fan_out: {state: FAILED, dead_letters: 1, tasks: {load_b: FAILED}}
    child: null     # not run by itself

Waits are shortened by PENSTOCK_TIME_SCALE. Every pipeline of the workspace has to be named there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TIME_SCALE = "0.02"
LONGEST_RUN_SECONDS = 180


class Unusable(Exception):
    """The samples cannot be run at all: what, where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How one sample has to end."""

    pipeline_id: str
    state: str
    dead_letters: int | None = None
    tasks: Mapping[str, str] = field(default_factory=dict)


def main(arguments: list[str]) -> int:
    """Print a line per sample; 0 when all ended as expected, 1 when one did not, 2 when none could be run."""
    workspace = Path(arguments[0] if arguments else "sample_pipelines")
    try:
        expectations = list(_read_expectations(workspace))
        lines = [_line(workspace, expectation) for expectation in expectations]
    except Unusable as problem:
        print(f"samples: {problem}", file=sys.stderr)
        return 2
    wrong = lines.count(False)
    print(f"{len(lines)} samples run, {wrong} not as {workspace / 'expected.yaml'} says")
    return 1 if wrong else 0


def _read_expectations(workspace: Path) -> Iterator[Expectation]:
    file = workspace / "expected.yaml"
    try:
        written = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise Unusable(f"{file} cannot be read ({error}); it says how each sample has to end") from error
    if not isinstance(written, dict):
        raise Unusable(f"{file} has to map each pipeline to the state its run ends in")
    present = {pipeline["id"] for pipeline in _penstock(workspace, "validate")["pipelines"]}
    if present != written.keys():
        names = ", ".join(sorted(str(name) for name in present ^ written.keys()))
        raise Unusable(f"{file} and the pipelines of {workspace} do not name the same: {names}")
    for pipeline_id, value in written.items():
        if value is not None:
            yield _expectation(file, pipeline_id, value)


def _expectation(file: Path, pipeline_id: str, value: object) -> Expectation:
    stated = {"state": value} if isinstance(value, str) else value
    try:
        return Expectation(pipeline_id=pipeline_id, **stated)  # type: ignore[arg-type]  # checked by the call itself
    except TypeError as error:
        known = "a state, or a mapping with state, dead_letters and tasks"
        raise Unusable(f"{file}: {pipeline_id} has to be {known} ({error})") from error


def _line(workspace: Path, expected: Expectation) -> bool:
    """Run one sample and print its line; True when it ended as expected."""
    began = time.monotonic()
    run = _penstock(workspace, "run", expected.pipeline_id)
    differences = list(_differences(workspace, expected, run))
    mark = "WRONG" if differences else "ok"
    seconds = time.monotonic() - began
    run_id, state = run.get("run_id", "-"), run.get("state", "-")
    print(f"{mark:<5} {expected.pipeline_id:<28} {state:<9} {seconds:6.1f} s  {run_id}", flush=True)
    for difference in differences:
        print(f"      {difference}; look with: penstock -w {workspace} why {run_id}", flush=True)
    return not differences


def _differences(workspace: Path, expected: Expectation, run: Mapping[str, Any]) -> Iterator[str]:
    if run.get("state") != expected.state:
        yield f"ended {run.get('state')}, expected {expected.state}"
    if expected.dead_letters is not None:
        letters = _penstock(workspace, "dlq")["letters"]
        count = sum(letter["run_id"] == run.get("run_id") for letter in letters)
        if count != expected.dead_letters:
            yield f"left {count} dead letters, expected {expected.dead_letters}"
    for task_id, state in expected.tasks.items():
        states = {task["state"] for task in run.get("tasks", []) if task["id"] == task_id}
        if states != {state}:
            yield f"task {task_id} is {', '.join(sorted(states)) or 'missing'}, expected {state}"


def _penstock(workspace: Path, *arguments: str) -> dict[str, Any]:
    """One command and its JSON document; a run that failed answers 1 and still has one."""
    command = [sys.executable, "-m", "console", "-w", str(workspace), *arguments, "--json"]
    environment = {"PENSTOCK_TIME_SCALE": TIME_SCALE, **os.environ}
    shown = f"penstock -w {workspace} {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, text=True,
            timeout=LONGEST_RUN_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unusable(f"`{shown}` did not end within {LONGEST_RUN_SECONDS} s") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        message = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Unusable(f"`{shown}` gave no JSON (exit code {done.returncode}): {message[0]}") from error
    if not isinstance(answer, dict) or done.returncode not in {0, 1, 130}:
        raise Unusable(f"`{shown}` was refused (exit code {done.returncode}): {done.stderr.strip()[:400]}")
    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
