"""An attempt made ready: its sockets, pipes and log, one end here and the other to be sent to the zygote.

Law: all or nothing. What fails half-way leaves no handle open.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.executors.lines import Lines
from engine.executors.live import Live, Pipe
from engine.executors.logfile import AttemptLog, stamp
from engine.executors.mask import Masker
from engine.executors.zygote_link import ZygoteLink
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec
from engine.ports.secrets import Secrets

FindConnection = Callable[[str, str | None], Connection]
"""A connection by id and profile. NotFound or ConfigurationError say what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every attempt of this executor shares."""

    logs: Path
    scratch: Path
    nice: int
    log_cap: int
    file_mode: int
    folder_mode: int
    now: Callable[[], datetime]
    secrets: Secrets
    connections: FindConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the supervisor keeps, and what the zygote gets."""

    live: Live
    order: Mapping[str, Any]
    handles: tuple[int, ...]  # control socket, stdout, stderr


def prepare(spec: AttemptSpec, link: ZygoteLink, setting: Setting, masker: Masker) -> Prepared:
    """Raises what the system or an unfit spec raises: OSError, TypeError, ValueError, RecursionError."""
    body = msgspec.json.encode(spec)
    log = _log(spec, setting)
    opened: list[int] = []
    try:
        control, theirs = (one.detach() for one in socket.socketpair())
        opened += [control, theirs]
        ends: list[tuple[int, int]] = []
        for _ in ("stdout", "stderr"):
            ends.append(os.pipe2(os.O_CLOEXEC))
            opened += ends[-1]
    except OSError:
        for handle in opened:
            os.close(handle)
        raise
    for handle in (control, ends[0][0], ends[1][0]):
        os.set_blocking(handle, False)
    live = Live(
        spec=spec,
        link=link,
        log=log,
        masker=masker,
        stamp=lambda: stamp(setting.now()),
        control=socket.socket(fileno=control),
        pipes=(
            Pipe(stream="stdout", handle=ends[0][0], lines=Lines(masker)),
            Pipe(stream="stderr", handle=ends[1][0], lines=Lines(masker)),
        ),
        submitted_at=time.monotonic(),
        out=bytearray(len(body).to_bytes(4, "big") + body),
    )
    order = {"op": "fork", "token": spec.token, "nice": setting.nice, "memory_mb": spec.memory_mb}
    return Prepared(live=live, order=order, handles=(theirs, ends[0][1], ends[1][1]))


def _log(spec: AttemptSpec, setting: Setting) -> AttemptLog:
    name = spec.log or f"{spec.token}.jsonl"
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"log '{spec.log[:80]}' is outside the logs folder")
    return AttemptLog(
        f"{setting.logs}/{name}",
        cap=setting.log_cap,
        now=setting.now,
        file_mode=setting.file_mode,
        folder_mode=setting.folder_mode,
    )
