"""Where the rows of a `load` come from: what it reads itself, or a task above it.

Law: only what the texts of two tasks say together; each by itself has been checked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.definitions.problems import Findings, Path, quote
from engine.definitions.schema import has_markup


def check_rows(
    tasks: Sequence[tuple[int, Mapping[str, Any]]], upstream: Mapping[str, Sequence[str]], findings: Findings
) -> None:
    """Every load of the pipeline."""
    by_id = {str(task["id"]): task for _, task in tasks}
    for at, task in tasks:
        config = task.get("config")
        if task.get("type") == "load" and isinstance(config, Mapping):
            _check_load(task, config, ("tasks", at, "config"), by_id, upstream, findings)


def _check_load(
    task: Mapping[str, Any],
    config: Mapping[str, Any],
    path: Path,
    by_id: Mapping[str, Mapping[str, Any]],
    upstream: Mapping[str, Sequence[str]],
    findings: Findings,
) -> None:
    if task.get("foreach") is not None:
        _check_items(config, path, findings)
    source, above = config.get("source"), upstream.get(str(task["id"]), ())
    if isinstance(source, Mapping) or has_markup(source):
        return
    if source is None and not above:
        findings.error(path, "a load needs rows: say what to read in `source`, or depend on an 'extract'")
    elif isinstance(source, str) and source not in by_id:
        findings.unknown((*path, "source"), "upstream task", source, [one for one in by_id if one != task["id"]])
    elif isinstance(source, str) and source not in above:
        message = f"{quote(source)} is no dependency of {quote(str(task['id']))}, so its rows are not there in time"
        findings.error((*path, "source"), message, f"add '{source}' to its dependencies")
    else:
        feeding = [source] if isinstance(source, str) else [one for one in above if _reads(by_id.get(one))]
        if len(feeding) == 1 and by_id.get(feeding[0], {}).get("foreach") is not None:
            message = (
                f"{quote(feeding[0])} has a `foreach`: each of its items stages rows of its own, and a load takes "
                "the rows of one task"
            )
            advice = "put the `foreach` on the load, and in its `source` what an item reads"
            findings.error((*path, "source") if isinstance(source, str) else path, message, advice)
        elif len(feeding) == 1:
            _check_pair(by_id[feeding[0]], config, path, findings)


def _check_items(config: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """Items that replace one and the same target: only the rows of the last one would stay."""
    listed = config.get("targets")
    each_of: Sequence[Any] = listed if isinstance(listed, list) else [{}]
    for at, one in enumerate(each_of):
        if not isinstance(one, Mapping):
            continue
        target = {**config, **one}
        if target.get("mode") == "replace" and not any(
            has_markup(target.get(key)) for key in ("connection", "target")
        ):
            place = (*path, "mode") if "mode" not in one else (*path, "targets", at, "mode")
            findings.error(
                place,
                "each item of the `foreach` would replace the rows of the others; only the last one stays",
                "use append or upsert, or give each item a target of its own: `{{ item }}` in `target`",
            )


def _reads(task: Mapping[str, Any] | None) -> bool:
    return task is not None and task.get("type") == "extract"


def _check_pair(extract: Mapping[str, Any], config: Mapping[str, Any], path: Path, findings: Findings) -> None:
    given = extract.get("config")
    if not isinstance(given, Mapping) or not given.get("incremental"):
        return
    listed = config.get("targets")
    modes = [config, *(each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, Mapping))]
    if any(each.get("mode") == "replace" for each in modes):
        message = (
            f"{quote(str(extract['id']))} reads only what is new, and `mode: replace` would throw away what "
            "earlier runs loaded; use append, upsert or merge"
        )
        findings.error((*path, "mode"), message)
