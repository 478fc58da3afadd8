"""Names as people type them: a task of a run, and what is near to a name that does not exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from engine.model.errors import NotFound
from engine.model.run import TaskExecution

_INDEXED = re.compile(r"(?P<task>.+)\[(?P<index>\d{1,9})\]\Z")


def near(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with a leading space, or nothing."""
    known = list(known)
    folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean '{folded[found[0]]}'?" if found else ""


def label(task_id: str, map_index: int | None) -> str:
    """How a task execution is named: `load` or `load[3]`."""
    return task_id if map_index is None else f"{task_id}[{map_index}]"


def split(name: str) -> tuple[str, int | None]:
    """`load[3]` as task and map index."""
    match = _INDEXED.match(name)
    return (match["task"], int(match["index"])) if match else (name, None)


def executions_named(name: str, run_id: str, executions: Sequence[TaskExecution]) -> list[TaskExecution]:
    """Those that `task` or `task[3]` names; NotFound with the near spelling when there is none."""
    task_id, index = split(name)
    found = [each for each in executions if each.task_id == task_id and index in (None, each.map_index)]
    if found:
        return found
    of_task = [each for each in executions if each.task_id == task_id]
    if of_task:
        indexes = [each.map_index for each in of_task if each.map_index is not None]
        has = f"it has items 0 to {max(indexes)}" if indexes else "it is not mapped over a list"
        raise NotFound(f"Task '{task_id}' of run {run_id} has no item {index}; {has}.")
    known = list(dict.fromkeys(each.task_id for each in executions))
    raise NotFound(
        f"Run {run_id} has no task '{task_id}'.{near(task_id, known)} `penstock show {run_id}` lists its tasks."
    )
