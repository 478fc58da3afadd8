"""Retry policies as they may be written, into the one canonical form (REQUIREMENTS 3.2).

Law: a level replaces only the keys it names: workspace, then pipeline, then task. `retries: N` means N + 1
tries, every error and a constant delay, unless the same level says otherwise. Two spellings of one key together
are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.definitions.problems import Findings, Path, quote
from engine.model.errors import ErrorKind
from engine.model.pipeline import Jitter, RetryPolicy

SHORT_KEYS = ("retries", "delay_seconds", "retry_delay_minutes")
_SAME = (
    ("max_attempts", "retries"),
    ("backoff_seconds", "delay_seconds", "retry_delay_minutes"),
    ("jitter_type", "jitter"),
)
_ALIASES = {"connection": ErrorKind.NETWORK, "dataquality": ErrorKind.DATA_QUALITY, "resource": ErrorKind.RESOURCE}


def _fold(name: str) -> str:
    folded = name.lower().replace("_", "").replace("-", "")
    return folded.removesuffix("error")


_KINDS = {_fold(text): kind.value for kind in ErrorKind for text in (kind.name, kind.value)} | {
    name: kind.value for name, kind in _ALIASES.items()
}


def error_type(name: str) -> str | None:
    """The error kind that a name in any usual spelling means; * is all of them."""
    return "*" if name == "*" else _KINDS.get(_fold(name))


def written_policy(level: Mapping[str, Any], nested: Any = None) -> dict[str, Any]:
    """What one level says, in canonical keys. `level` may carry the short keys itself beside `retry_policy`."""
    policy = nested if nested is not None else level.get("retry_policy")
    said: dict[str, Any] = {key: level[key] for key in SHORT_KEYS if key in level}
    said.update(policy or {})
    return _canonical(said)


def _canonical(said: Mapping[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if "retries" in said:
        keys.update(max_attempts=said["retries"] + 1, retry_on_error_types=["*"], exponential_backoff=False)
    if "retry_delay_minutes" in said:
        keys["backoff_seconds"] = said["retry_delay_minutes"] * 60
    for key, value in said.items():
        if key == "delay_seconds":
            keys["backoff_seconds"] = value
        elif key == "jitter":
            keys["jitter_type"] = value
        elif key == "retry_on_error_types":
            keys[key] = list(dict.fromkeys(error_type(name) or name for name in value))
        elif key not in SHORT_KEYS:
            keys[key] = value
    return keys


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """Levels of canonical keys over one another; the later one wins key by key."""
    whole: dict[str, Any] = {}
    for level in levels:
        whole.update(level)
    return whole


def policy_value(keys: Mapping[str, Any]) -> RetryPolicy:
    """Canonical keys as a value; what is not said has the model's default."""
    fields = dict(keys)
    if "jitter_type" in fields:
        fields["jitter_type"] = Jitter(fields["jitter_type"])
    if "retry_on_error_types" in fields:
        fields["retry_on_error_types"] = tuple(fields["retry_on_error_types"])
    for name in ("backoff_seconds", "max_delay_seconds", "max_total_seconds"):
        if fields.get(name) is not None:
            fields[name] = float(fields[name])
    return RetryPolicy(**fields)


def policy_keys(policy: RetryPolicy) -> dict[str, Any]:
    """A value as the canonical keys, all of them."""
    return {
        "max_attempts": policy.max_attempts,
        "backoff_seconds": tidy(policy.backoff_seconds),
        "exponential_backoff": policy.exponential_backoff,
        "max_delay_seconds": tidy(policy.max_delay_seconds),
        "max_total_seconds": tidy(policy.max_total_seconds),
        "jitter_type": policy.jitter_type.value,
        "retry_on_error_types": list(policy.retry_on_error_types),
    }


def tidy(number: float | None) -> float | int | None:
    """60.0 as 60, so that the same number is written the same way."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def check_policy(level: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """What the schema can't say about `retry_policy` and the short keys of one level."""
    policy = level.get("retry_policy")
    nested = policy if isinstance(policy, Mapping) else {}
    for spellings in _SAME:
        given = [name for name in spellings if name in nested or name in level]
        twice = [name for name in spellings if name in nested and name in level]
        if len(given) > 1 or twice:
            listed = "' and '".join(dict.fromkeys([*given, *twice]))
            findings.error(path, f"'{listed}' say the same thing twice; keep one")
    names = nested.get("retry_on_error_types")
    for at, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and error_type(name) is None:
            findings.unknown(
                (*path, "retry_policy", "retry_on_error_types", at),
                "error kind",
                name,
                [*(kind.value for kind in ErrorKind), "*"],
            )
    base, cap = nested.get("backoff_seconds"), nested.get("max_delay_seconds")
    if isinstance(base, (int, float)) and isinstance(cap, (int, float)) and base > cap:
        findings.warning(
            (*path, "retry_policy"),
            f"backoff_seconds {quote(base)} is above max_delay_seconds {quote(cap)}; the larger holds",
        )
