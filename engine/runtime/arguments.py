"""What comes with a command, read: edits, policies, instants; and what is said of it in the trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.model.errors import RequestError
from engine.model.event import Command
from engine.model.pipeline import RetryPolicy
from engine.rules.reopen import Edits
from engine.rules.retry import canonical_kinds


def edits(paths: Mapping[str, Any], policy: Mapping[str, Any] | None) -> Edits:
    """`parameters.x` and `config.y` paths, and a policy, for a requeue; RequestError for anything else."""
    parameters = {
        path.removeprefix("parameters."): v for path, v in paths.items() if path.startswith("parameters.")
    }
    config = {path.removeprefix("config."): v for path, v in paths.items() if path.startswith("config.")}
    wrong = [path for path in paths if not path.startswith(("parameters.", "config."))]
    if wrong:
        raise RequestError(f"--set {wrong[0]}: a path starts with `parameters.` or `config.`")
    return Edits(parameters=parameters, config=config, retry_policy=_policy(policy) if policy else None)


def _policy(given: Mapping[str, Any]) -> RetryPolicy:
    known = set(RetryPolicy.__dataclass_fields__)
    unknown = sorted(set(given) - known)
    if unknown:
        raise RequestError(f"A retry policy has no '{unknown[0]}'; it has {', '.join(sorted(known))}")
    values = dict(given)
    if "retry_on_error_types" in values:
        values["retry_on_error_types"] = canonical_kinds(values["retry_on_error_types"])
    policy = replace(RetryPolicy(), **values)
    if policy.max_attempts < 1 or policy.backoff_seconds < 0:
        raise RequestError("A retry policy needs max_attempts of at least 1 and backoff_seconds of at least 0")
    return policy


def instant(text: str | None) -> datetime | None:
    """ISO 8601; without an offset it is UTC."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def malformed(command: Command, error: Exception) -> str:
    """Why a command could not even be read."""
    return f"The command {command.name} is malformed: {type(error).__name__} {str(error)[:200]}"


def first(items: Any) -> str:
    """The first of several ids, for the trail."""
    return str(items[0]) if isinstance(items, list | tuple) and items else "-"


def resource_type(command: str) -> str:
    """What sort of thing a command is about."""
    kinds = {
        "run": "RUN",
        "task": "TASK",
        "letter": "LETTER",
        "schedule": "SCHEDULE",
        "connection": "CONNECTION",
        "watermark": "DATASET",
    }
    return kinds.get(command.partition(".")[0], "ENGINE")
