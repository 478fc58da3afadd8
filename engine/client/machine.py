"""What of a workspace runs on this machine, and what holds which slots: live attempts with their processes, engines
that lead or stand by, pools, the store.

Law: looks only. A process is an attempt's only while pid and start time both fit, because pids are used again; what
runs on another machine is said to run there, and nothing is claimed of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.client.names import label
from engine.client.reasons import pinned
from engine.model.errors import NotFound
from engine.model.pipeline import Pipeline
from engine.model.run import Attempt, AttemptState, TaskExecution, TaskState
from engine.model.workspace import Connection, Pool
from engine.ports.catalog import Catalog
from engine.ports.mailbox import Lease
from engine.ports.queries import Queries

WORKERS = "workers"
_KEPT = 200  # pinned definitions remembered
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAttempt:
    """An attempt that runs now, with what its processes use; None where they cannot be seen from here."""

    token: str
    run_id: str
    pipeline_id: str
    task: str  # `load` or `load[3]`
    number: int
    state: str
    since: datetime
    heartbeat_at: datetime | None
    host: str | None  # where it runs, when that is not here
    pid: int | None
    processes: int | None = None
    rss_bytes: int | None = None
    cpu_seconds: float | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProcess:
    """A process of this workspace that leads or would lead."""

    pid: int
    leads: bool
    host: str | None  # where it runs, when that is not here
    rss_bytes: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """Who holds a pool's slots, and how many wait for one."""

    name: str
    slots: int | None  # None: only the rate limits
    per_second: float | None
    burst: int
    holders: Sequence[str]  # RUN/TASK
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """One line of /proc/<pid>/stat."""

    pid: int
    parent: int
    started: float  # seconds from boot
    cpu_seconds: float
    rss_bytes: int
    command: str


class Machine:
    """One per client. Each method looks anew; call them from threads."""

    def __init__(self, queries: Queries, catalog: Catalog, profile: str | None) -> None:
        self._queries = queries
        self._catalog = catalog
        self._profile = profile
        self._pinned: dict[tuple[str, str], Mapping[str, tuple[str, ...]]] = {}

    def attempts(self, leader: Lease | None) -> Sequence[LiveAttempt]:
        """Everything that runs now, longest first."""
        elsewhere = leader.host if leader is not None and leader.host != socket.gethostname() else None
        live = self._queries.live()
        table = {} if elsewhere else process_table() if live else {}
        found = [_live_attempt(task, attempt, elsewhere, table) for task, attempt in live]
        return sorted(found, key=lambda each: each.since)

    def engines(self, leader: Lease | None) -> Sequence[EngineProcess]:
        """Who leads, and who stands by on this machine."""
        here = leader is not None and leader.host == socket.gethostname()
        leading = leader.pid if leader is not None and here else None
        found = [] if leader is None or here else [EngineProcess(pid=leader.pid, leads=True, host=leader.host)]
        table = process_table()
        pids = {*engine_pids(self._catalog.settings().root), *([leading] if leading is not None else [])}
        for pid in sorted(pids & table.keys(), key=lambda each: (each != leading, each)):
            one = table[pid]
            found.append(
                EngineProcess(
                    pid=pid,
                    leads=pid == leading,
                    host=None,
                    rss_bytes=one.rss_bytes,
                    cpu_seconds=one.cpu_seconds,
                )
            )
        return found

    def pools(self) -> Sequence[PoolUse]:
        """Workers first, then every pool by name, with the live attempts that hold them."""
        held: dict[str, list[str]] = {}
        waiting: dict[str, int] = {}
        for task, attempt in self._queries.live():
            names = self._needs(task)
            carried = attempt.pid is None and attempt.state is not AttemptState.SUBMITTED  # by the engine itself
            for name in names if carried else (WORKERS, *names):
                held.setdefault(name, []).append(f"{task.run_id}/{label(task.task_id, task.map_index)}")
        ready = (task for task, _ in self._queries.queued() if task.state is TaskState.QUEUED)
        for task in ready:
            for name in (WORKERS, *self._needs(task)):
                waiting[name] = waiting.get(name, 0) + 1
        return [
            PoolUse(
                name=pool.name,
                slots=pool.slots,
                per_second=pool.per_second,
                burst=pool.burst,
                holders=held.get(pool.name, []),
                waiting=waiting.get(pool.name, 0),
            )
            for pool in self._pools(held.keys() | waiting.keys())
        ]

    def stored_bytes(self) -> int | None:
        """How large the state is."""
        return self._queries.stored_bytes()

    def _pools(self, used: Iterable[str]) -> list[Pool]:
        settings = self._catalog.settings()
        workers = settings.limits.workers or max(2, os.cpu_count() or 2)
        known = dict(settings.pools)
        for each in self._catalog.connections(self._profile).values():
            if each.per_second:
                name = f"connection:{each.id}"
                known[name] = Pool(name=name, per_second=each.per_second, burst=each.burst)
        for name in used:
            known.setdefault(name, Pool(name=name))
        known.pop(WORKERS, None)
        return [Pool(name=WORKERS, slots=workers), *(known[name] for name in sorted(known))]

    def _needs(self, task: TaskExecution) -> tuple[str, ...]:
        key = (task.run_id, task.pipeline_id)
        if key not in self._pinned:
            if len(self._pinned) >= _KEPT:
                self._pinned.clear()
            self._pinned[key] = self._pools_of_run(task.run_id)
        return self._pinned[key].get(task.task_id, ())

    def _pools_of_run(self, run_id: str) -> Mapping[str, tuple[str, ...]]:
        try:
            run = self._queries.resolve_run(run_id)
        except NotFound:  # pruned between two questions
            return {}
        pipeline = pinned(self._queries, self._catalog, run)
        return pools_of(pipeline, self._catalog.connections(run.profile)) if pipeline is not None else {}


def pools_of(pipeline: Pipeline, connections: Mapping[str, Connection]) -> Mapping[str, tuple[str, ...]]:
    """task id -> the pools it holds while it runs: its own, then its connection's."""
    found = {}
    for task in pipeline.tasks:
        names = [task.pool] if task.pool else []
        given = task.config.get("connection")
        connection = connections.get(given) if isinstance(given, str) else None
        if connection is not None:
            names += [connection.pool] if connection.pool else []
            names += [f"connection:{connection.id}"] if connection.per_second else []
        found[task.id] = tuple(dict.fromkeys(names))
    return found


def _live_attempt(
    task: TaskExecution, attempt: Attempt, elsewhere: str | None, table: Mapping[int, _Process]
) -> LiveAttempt:
    tree = _tree(attempt, table)
    return LiveAttempt(
        token=attempt.token,
        run_id=task.run_id,
        pipeline_id=task.pipeline_id,
        task=label(task.task_id, task.map_index),
        number=attempt.number,
        state=attempt.state.value,
        since=attempt.started_at or attempt.submitted_at,
        heartbeat_at=attempt.heartbeat_at,
        host=elsewhere,
        pid=attempt.pid,
        processes=len(tree) or None,
        rss_bytes=sum(each.rss_bytes for each in tree) if tree else None,
        cpu_seconds=sum(each.cpu_seconds for each in tree) if tree else None,
        command=tree[-1].command if tree else "",
    )


def _tree(attempt: Attempt, table: Mapping[int, _Process]) -> list[_Process]:
    """The attempt's process, then what it started; nothing when it is gone or its pid is another's by now."""
    first = table.get(attempt.pid) if attempt.pid is not None else None
    if first is None or first.started != attempt.pid_started:
        return []
    below: dict[int, list[_Process]] = {}
    for each in table.values():
        below.setdefault(each.parent, []).append(each)
    found, waiting = [first], [first.pid]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += [each.pid for each in children]
    return found


def process_table() -> dict[int, _Process]:
    """Every process of this machine; empty where there is no /proc."""
    if not _PROC.is_dir():
        return {}
    read = (_process(int(name)) for name in os.listdir(_PROC) if name.isdigit())
    return {each.pid: each for each in read if each is not None}


def _process(pid: int) -> _Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:  # it ended meanwhile, or is hidden from us
        return None
    name_end = text.rfind(b")")
    fields = text[name_end + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return _Process(
        pid=pid,
        parent=int(fields[1]),
        started=int(fields[19]) / _TICKS,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        rss_bytes=int(fields[21]) * _PAGE,
        command=text[text.find(b"(") + 1 : name_end].decode("utf-8", "replace"),
    )


def engine_pids(root: Path) -> set[int]:
    """Processes of this machine that were started as engines of the workspace."""
    names = [int(name) for name in os.listdir(_PROC) if name.isdigit()] if _PROC.is_dir() else []
    return {pid for pid in names if _is_engine(pid, root)}


def _is_engine(pid: int, root: Path) -> bool:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        if "engine.bootstrap.background" in words:
            return str(root) in words
        after = words[words.index("engine") + 1 :] if "engine" in words else ["stop"]
        if {"stop", "status"} & set(after) or not any(Path(each).name == "penstock" for each in words[:3]):
            return False
        start = Path(os.readlink(_PROC / str(pid) / "cwd"))
    except OSError:
        return False
    given = words[words.index("-w") + 1] if "-w" in words[:-1] else "."
    place = (start / given).resolve()
    return root == place or root in place.parents
