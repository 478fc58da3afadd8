"""The workspace: where it is, and penstock.yaml as Settings.

Law: every key is checked; a key, value or executor that this version does not carry is refused by name.
References such as ${env:NAME} are left as they are.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.definitions.files import BadFile, read_inside
from engine.definitions.problems import Findings, quote
from engine.definitions.read import Unreadable, read_yaml
from engine.definitions.retries import check_policy, merged, policy_keys, policy_value, written_policy
from engine.definitions.schema import Schema, load_schema
from engine.model.errors import NotFound, Problem, ValidationFailed
from engine.model.pipeline import RetryPolicy
from engine.model.workspace import Defaults, Limits, Pool, Retention, Service, Settings

MARKER = "penstock.yaml"
_SCHEMA = Schema(load_schema("workspace"))
_LINGER = ("active", "never", "always")


class WorkspaceInvalid(ValidationFailed):
    """A file of the workspace itself has errors; all of them are listed."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(file, problems)
        lines = [f"line {one.line}: {one.message}" if one.line else one.message for one in self.problems]
        self.args = (f"{file} has {len(lines)} error(s): {'; '.join(lines[:5])}",)


def find_workspace(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds penstock.yaml. NotFound says where it was looked for."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / MARKER).is_file():
            return folder
    raise NotFound(
        f"no {MARKER} in {here} or above; go to a workspace, name one with -w DIR, or make one with 'penstock init'"
    )


def load_settings(root: Path) -> Settings:
    """penstock.yaml with the defaults filled in. WorkspaceInvalid lists everything that is wrong."""
    findings, written = _read(root / MARKER, root)
    if not findings.failed:
        check_settings(written, findings)
    if findings.failed:
        raise WorkspaceInvalid(MARKER, findings.problems("error"))
    return _settings(root, written or {})


def _read(path: Path, root: Path) -> tuple[Findings, Any]:
    findings = Findings(path.name)
    try:
        source = read_yaml(read_inside(path, root))
    except BadFile as error:
        findings.error((), f"{path.name}: {error}")
    except Unreadable as error:
        for line, message in error.faults:
            findings.error((), message, line=line)
    else:
        return Findings(path.name, source.line), source.value
    return findings, None


def check_settings(written: Any, findings: Findings) -> None:
    """Everything that is wrong with the keys of penstock.yaml."""
    _SCHEMA.check(written, (), findings)
    if not isinstance(written, Mapping):
        return
    executor = written.get("executor", "local")
    if executor != "local":
        name = next(iter(executor), "") if isinstance(executor, Mapping) else executor
        hint = "leave it 'local'; several engines on one store stand by for each other"
        findings.error(("executor",), f"executor {quote(name)} is not in this version: {hint}", "local")
    linger = written.get("linger", "active")
    if isinstance(linger, str) and linger not in _LINGER:
        findings.unknown(("linger",), "value", linger, (*_LINGER, "a number of seconds"))
    defaults = written.get("defaults")
    if isinstance(defaults, Mapping):
        check_policy(defaults, ("defaults",), findings)
    profiles = written.get("profiles")
    named = written.get("profile")
    if isinstance(named, str) and named not in (profiles if isinstance(profiles, Mapping) else ()):
        findings.unknown(("profile",), "profile", named, profiles or ())


def _settings(root: Path, written: Mapping[str, Any]) -> Settings:
    kept = ("state", "linger", "sandbox", "shared_group", "allow_network_fs", "profile", "samples", "executor")
    return Settings(
        root=root,
        limits=Limits(**(written.get("limits") or {})),
        pools={name: Pool(name=name, **pool) for name, pool in (written.get("pools") or {}).items()},
        defaults=_defaults(written.get("defaults") or {}),
        retention=Retention(**(written.get("retention") or {})),
        services={name: _service(name, one) for name, one in (written.get("services") or {}).items()},
        profiles=dict(written.get("profiles") or {}),
        **{key: written[key] for key in kept if key in written},
    )


def _defaults(written: Mapping[str, Any]) -> Defaults:
    policy = policy_value(merged(policy_keys(RetryPolicy()), written_policy(written)))
    return Defaults(timeout_seconds=float(written.get("timeout_seconds", 3600)), retry_policy=policy)


def _service(name: str, written: Mapping[str, Any]) -> Service:
    return Service(
        name=name, command=tuple(written["command"]), port=written.get("port", 0), ready=written.get("ready")
    )


def check_dotenv(root: Path) -> Problem | None:
    """A `.env` that others can read is refused: it holds secrets."""
    path = root / ".env"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    if not mode & 0o077:
        return None
    return Problem(
        severity="error",
        message=f".env has mode {mode:04o}, so others can read its secrets; it is not used until it has 0600",
        file=".env",
        suggestion="chmod 600 .env",
    )
