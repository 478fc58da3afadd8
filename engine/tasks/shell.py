"""`shell`: a command or a script, run in the workspace.

Law: the exit code decides. Output goes straight to the attempt's pipes, never through this process; the command
gets exactly the attempt's environment plus `env`, and works inside the workspace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError, ErrorKind, LogicError, Problem, TaskError
from engine.model.run import Outcome, Reason
from engine.ports.tasktype import USES, Mode, TaskContext, used_connections
from engine.rules.classify import classify_exit

MAX_OUTPUT_FILE = 16 << 20
MEANINGS = ("skip", "retry", "success", "fail")


class ShellTask:
    """See engine.ports.tasktype.TaskType."""

    name = "shell"
    category = "transform"

    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["command"],
            "properties": {
                "command": {
                    "description": "a string for /bin/sh -e, or a list: a program and its arguments",
                    "oneOf": [
                        {"type": "string", "minLength": 1},
                        {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
                    ],
                },
                "env": {
                    "type": "object",
                    "description": "environment variables beside those of the attempt; null removes one",
                    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                },
                "connections": USES,
                "cwd": {"type": "string", "description": "a folder inside the workspace; default: its root"},
                "exit_codes": {
                    "type": "object",
                    "description": "what an exit code means: skip, retry, success or fail",
                    "patternProperties": {"^[0-9]{1,3}$": {"enum": list(MEANINGS)}},
                    "additionalProperties": False,
                },
            },
        }

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        return used_connections(config)

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        cwd = config.get("cwd")
        if not isinstance(cwd, str) or "{{" in cwd:
            return ()
        place = (root / cwd).resolve()
        if not place.is_relative_to(root.resolve()):
            return [Problem(severity="error", path="cwd", message=f"'{cwd[:80]}' is outside the workspace.")]
        if not place.is_dir():
            return [
                Problem(
                    severity="warning", path="cwd", message=f"There is no folder '{cwd[:80]}' in the workspace."
                )
            ]
        return ()

    def run(self, ctx: TaskContext) -> Outcome:
        _ = ctx.cancelled  # TERM goes to the whole group: wait for the command's own answer to it
        given = ctx.scratch / "outputs"
        code = _run(_argv(ctx.config["command"]), _folder(ctx), _environment(ctx, given))
        outcome = _judge(code, ctx.config.get("exit_codes") or {})
        if outcome.result == "success" and given.exists():
            for name, value in read_outputs(given).items():
                ctx.output(name, value)
        return outcome


def _argv(command: Any) -> list[str]:
    if isinstance(command, str):
        return ["/bin/sh", "-e", "-c", command]
    if not isinstance(command, Sequence) or not command:
        raise ConfigurationError("`command` is a text for /bin/sh or a list of a program and its arguments.")
    return [_text(part) for part in command]


def _text(value: Any) -> str:
    """YAML's true is `true` to a program, not Python's `True`."""
    return value if isinstance(value, str) else json.dumps(value)


def _folder(ctx: TaskContext) -> Path:
    place = (ctx.root / str(ctx.config.get("cwd") or ".")).resolve()
    if not place.is_relative_to(ctx.root.resolve()):
        raise ConfigurationError(f"cwd '{ctx.config['cwd']}' is outside the workspace.")
    if not place.is_dir():
        raise ConfigurationError(f"cwd '{ctx.config['cwd']}' is not a folder of the workspace.")
    return place


def _environment(ctx: TaskContext, outputs: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        **ctx.environment,
        "PENSTOCK_OUTPUT": str(outputs),
        "PENSTOCK_PYTHON": sys.executable,  # the one with the workspace's libraries; `python3` may be another
    }
    used = used_connections(ctx.config)
    if used:
        environment["PENSTOCK_CONNECTIONS"] = str(_connections_file(ctx, used))
    for name, value in (ctx.config.get("env") or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = _text(value)
    return environment


def _connections_file(ctx: TaskContext, used: Sequence[str]) -> Path:
    """The connections with their secrets in a file for this user's eyes only, gone with the attempt: what stands in
    an environment or on a command line can be read by others."""
    found = {each: ctx.connection(each) for each in used}
    path = ctx.scratch / "connections.json"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({each: {"type": one.type, **one.config} for each, one in found.items()}, file)
    return path


def _run(argv: list[str], folder: Path, environment: dict[str, str]) -> int:
    """The exit code; negative for a signal. Orphans of the command fall to this process, which reaps them."""
    try:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no program '{argv[0]}' (exit 127).") from error
    except PermissionError as error:
        raise ConfigurationError(f"'{argv[0]}' may not be executed (exit 126).") from error
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"'{argv[0][:80]}' could not be started: {error}.") from error
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def _judge(code: int, meanings: Mapping[Any, str]) -> Outcome:
    meaning = meanings.get(str(code)) or meanings.get(code)
    if meaning == "skip":
        return Outcome(result="skipped", reason=Reason.EXIT_CODE)
    if meaning == "success" or (code == 0 and meaning is None):
        return Outcome(result="success")
    if meaning == "retry":
        message = f"The command ended with exit code {code}, which stands for: try again."
        return Outcome(
            result="failed", error=TaskError(type=f"exit {code}", kind=ErrorKind.RESOURCE, message=message)
        )
    if meaning == "fail":
        message = f"The command ended with exit code {code}."
        return Outcome(result="failed", error=TaskError(type=f"exit {code}", kind=ErrorKind.LOGIC, message=message))
    signal = -code if code < 0 else None
    error = classify_exit(None if signal else code, signal, what="The command")
    return Outcome(result="failed", error=error)


def read_outputs(path: Path) -> dict[str, Any]:
    """PENSTOCK_OUTPUT: a line that starts with `{` is a JSON object, any other is key=text."""
    if path.stat().st_size > MAX_OUTPUT_FILE:
        raise LogicError(
            f"PENSTOCK_OUTPUT holds more than {MAX_OUTPUT_FILE >> 20} MiB; put data into a file of its own."
        )
    outputs: dict[str, Any] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            text = line.decode().rstrip("\r")
        except UnicodeDecodeError as error:
            raise LogicError(f"Line {number} of PENSTOCK_OUTPUT is not UTF-8.") from error
        if text.strip():
            outputs.update(_output_line(text, number))
    return outputs


def _output_line(text: str, number: int) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LogicError(
                f"Line {number} of PENSTOCK_OUTPUT starts with '{{' but is no JSON object: {error}."
            ) from error
        return dict(found)
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise LogicError(f"Line {number} of PENSTOCK_OUTPUT is neither key=text nor a JSON object: '{text[:80]}'.")
    return {name.strip(): value}
