"""What `penstock graph` puts into files: a PNG of the picture, and what an HTML page tells of each task.

Law: a PNG is drawn from the SVG by whatever the machine has for it; with nothing there, one sentence says what to
install.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping

from engine.model.errors import PenstockError, RequestError
from engine.model.pipeline import Pipeline, Task, TriggerRule
from engine.model.run import TaskExecution

_SECONDS = 60.0


def picture(svg: str) -> bytes:
    """The SVG as a PNG."""
    program = shutil.which("rsvg-convert")
    if program is not None:
        done = subprocess.run(
            [program, "--format", "png", "--zoom", "2"],
            input=svg.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise PenstockError(f"rsvg-convert could not draw it ({why[0][:200]}); take -f svg.")
    try:
        converter = importlib.import_module("cairosvg")
    except (ImportError, OSError) as error:  # OSError: the package is there, the cairo library is not
        raise RequestError(
            "A PNG needs rsvg-convert (package librsvg2-bin) or `pip install 'penstock[png]'`, and this machine "
            f"has neither ({error}); -f svg needs nothing."
        ) from error
    drawn = converter.svg2png(bytestring=svg.encode(), scale=2)
    return bytes(drawn)


def graph_details(
    definition: Pipeline, executions: Iterable[TaskExecution] | None
) -> Mapping[str, Mapping[str, str]]:
    """What is told of each task: its definition, and with a run what became of it."""
    by_task: dict[str, list[TaskExecution]] = {}
    for each in executions or ():
        by_task.setdefault(each.task_id, []).append(each)
    return {task.id: _defined(task) | _became(by_task.get(task.id, [])) for task in definition.tasks}


def _defined(task: Task) -> dict[str, str]:
    policy = task.retry_policy
    told = {
        "name": task.name,
        "type": task.type,
        "after": ", ".join(task.dependencies),
        "rule": "" if task.trigger_rule is TriggerRule.ALL_SUCCESS else task.trigger_rule.value,
        "when": "" if task.when is None else str(task.when),
        "for each": "" if task.foreach is None else str(task.foreach),
        "tries": str(policy.max_attempts),
        "timeout": f"{task.timeout_seconds:g} s",
        "pool": task.pool or "",
    }
    return {name: value for name, value in told.items() if value}


def _became(executions: list[TaskExecution]) -> dict[str, str]:
    if not executions:
        return {}
    begun = [each.started_at for each in executions if each.started_at is not None]
    ended = [each.completed_at for each in executions if each.completed_at is not None]
    errors = [each.error for each in executions if each.error is not None]
    told = {
        "items": str(len(executions)) if len(executions) > 1 else "",
        "attempts": str(sum(each.attempt_count for each in executions)),
        "reason": next((each.reason.value for each in executions if each.reason is not None), ""),
        "started": f"{min(begun):%Y-%m-%d %H:%M:%S}Z" if begun else "",
        "took": f"{(max(ended) - min(begun)).total_seconds():.1f} s" if begun and ended else "",
        "error": f"{errors[0].type}: {errors[0].message}" if errors else "",
    }
    return {name: value for name, value in told.items() if value}
