"""The executor on this machine: engine.ports.executor.Executor over zygotes and a supervising thread.

Law: every method returns at once but `stop` and `reap_stale`, which say so in the port; reports come on the
supervisor's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.executors import hearing
from engine.executors.loop import Loop
from engine.executors.nursery import Nursery
from engine.executors.prepare import FindConnection, Setting
from engine.executors.stale import end_zygotes, reap_stale
from engine.executors.supervisor import Supervisor
from engine.executors.zygote_link import ZygoteSettings
from engine.model.run import Attempt
from engine.ports.executor import AttemptSpec, Report, StaleProcess
from engine.ports.secrets import Secrets

PASSED_ON = frozenset({"PENSTOCK_TIME_SCALE", "PENSTOCK_FAILPOINT"})  # the rest of PENSTOCK_* stays ours

SPARES = 6  # a worker or two take theirs while the next are made; a few megabytes while orders come
# Arrow's spare allocator would start a thread at import, and forking beside a thread is what zygotes are to avoid.
# Its first choice keeps what batches took: with the C library's a load peaks 30 to 40 MB lower, and is no slower.
# Few pools for threads keep less. To have it give back what is free at once costs a third more processor time.
ARROW = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}
FORCE_AFTER = 2.0  # seconds after the grace: a zygote that does not answer is killed, and what it held with it


class LocalExecutor:
    """See engine.ports.executor.Executor."""

    def __init__(
        self,
        *,
        root: Path,
        logs: Path,
        scratch: Path,
        staging: Path,
        runner: str,
        secrets: Secrets,
        connections: FindConnection,
        now: Callable[[], datetime],
        nice: int = 5,
        log_mb_per_attempt: float = 256,
        preload: Sequence[str] = (),
        rehearsal: str = "",
        heavy_preload: Sequence[str] = (),
        file_mode: int = 0o600,
        folder_mode: int = 0o700,
        spares: int = SPARES,
    ) -> None:
        """`runner`: "module:function" of type engine.sdk.channel.Runner, resolved in the zygote. `preload`:
        modules imported there once. `rehearsal`: "module:function" called there a few times, and in each spare
        child while it waits. `spares`: children kept forked ahead of their orders while orders come.
        Without `heavy_preload` there is no heavy zygote, and heavy attempts are forked from the light one."""
        self._setting = Setting(
            logs=logs.absolute(),
            scratch=scratch,
            nice=nice,
            log_cap=int(log_mb_per_attempt * 1_000_000),
            file_mode=file_mode,
            folder_mode=folder_mode,
            now=now,
            secrets=secrets,
            connections=connections,
        )
        light = ZygoteSettings(
            name="penstock-zygote",
            runner=runner,
            preload=tuple(preload),
            rehearsal=rehearsal,
            root=str(root),
            scratch=str(scratch),
            staging=str(staging),
            environment=attempt_variables(secrets),
            spares=spares,
        )
        self._light, self._heavy_preload = light, tuple(heavy_preload)
        self._supervisor: Supervisor | None = None
        self._nursery: Nursery | None = None
        self._loop: Loop | None = None
        self._stopped = threading.Event()

    def start(self, deliver: Callable[[Report], None]) -> None:
        """See the port. Folders are made, leavings of earlier engines removed."""
        self._setting.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        heavy = _heavier(self._light, self._heavy_preload)
        loop = Loop("penstock-supervisor")
        nursery = Nursery(self._light, heavy)
        supervisor = Supervisor(self._setting, nursery, loop, deliver)
        nursery.hold(supervisor.pids_of)
        self._loop, self._nursery, self._supervisor = loop, nursery, supervisor
        supervisor.masker.add(_hidden_values(self._setting.secrets))
        loop.call(supervisor.clear_scratch)
        loop.call(nursery.open)
        loop.thread.start()

    def submit(self, spec: AttemptSpec) -> None:
        """See the port."""
        loop, supervisor = self._running()
        loop.call(lambda: supervisor.submit(spec))

    def kill(self, token: str, why: str, grace_seconds: float) -> None:
        """See the port. A token that is not (or no longer) here is left to its own report."""
        loop, supervisor = self._running()
        loop.call(lambda: supervisor.kill(token, why, grace_seconds))

    def acknowledge(self, token: str, number: int) -> None:
        """See the port."""
        loop, supervisor = self._running()
        loop.call(lambda: hearing.acknowledge(supervisor, token, number))

    def renew(self) -> None:
        """See the port."""
        environment = attempt_variables(self._setting.secrets)
        if environment == self._light.environment:
            return
        self._light = replace(self._light, environment=environment)
        if self._loop is None or self._supervisor is None or self._nursery is None:
            return
        supervisor, nursery, light = self._supervisor, self._nursery, self._light
        heavy, hidden = _heavier(light, self._heavy_preload), _hidden_values(self._setting.secrets)

        def exchange() -> None:
            supervisor.masker.add(hidden)
            nursery.renew(light, heavy)

        self._loop.call(exchange)

    def reap_stale(self, attempts: Sequence[Attempt]) -> Sequence[StaleProcess]:
        """See the port. Works before `start`."""
        end_zygotes(self._setting.scratch)
        return reap_stale(attempts)

    def stop(self, grace_seconds: float) -> None:
        """See the port. Returns when everything has ended; every report has been delivered by then."""
        if self._loop is None or self._supervisor is None or self._nursery is None or self._stopped.is_set():
            return
        loop, supervisor, nursery = self._loop, self._supervisor, self._nursery

        def settle() -> None:
            if supervisor.live:
                loop.later(0.005, settle)
                return
            nursery.close()
            supervisor.close()
            loop.stop()

        def begin() -> None:
            supervisor.stop(grace_seconds)
            loop.later(grace_seconds + FORCE_AFTER, nursery.force)
            settle()

        loop.call(begin)
        if threading.current_thread() is not loop.thread:
            loop.thread.join(grace_seconds + 20.0)
        self._stopped.set()

    def alive(self) -> bool:
        """See the port."""
        return (
            self._loop is not None
            and self._loop.thread.is_alive()
            and self._nursery is not None
            and self._nursery.healthy()
        )

    def vitals(self) -> Mapping[str, Any]:
        """See the port: zygote_pid, heavy_zygote_pid, zygote_deaths, zygote_trouble, attempts, started."""
        if self._nursery is None or self._supervisor is None:
            return {"zygote_pid": None, "attempts": 0, "started": 0}
        supervisor = self._supervisor
        return {**self._nursery.vitals(), "attempts": len(supervisor.live), "started": supervisor.started}

    def _running(self) -> tuple[Loop, Supervisor]:
        if self._loop is None or self._supervisor is None:
            raise RuntimeError("The executor is used before start().")
        return self._loop, self._supervisor


def attempt_variables(secrets: Secrets) -> dict[str, str]:
    """The environment attempts inherit: the engine's, less what a secret names and less Penstock's own."""
    hidden = secrets.hidden_variables()
    return {
        name: value
        for name, value in secrets.environment().items()
        if name not in hidden and (not name.startswith("PENSTOCK_") or name in PASSED_ON)
    }


def _hidden_values(secrets: Secrets) -> list[str]:
    environment = secrets.environment()
    return [environment[name] for name in secrets.hidden_variables() if environment.get(name)]


def _heavier(light: ZygoteSettings, preload: tuple[str, ...]) -> ZygoteSettings | None:
    if not preload:
        return None
    return ZygoteSettings(
        name="penstock-heavy",
        runner=light.runner,
        preload=(*light.preload, *preload),
        rehearsal=light.rehearsal,
        root=light.root,
        scratch=light.scratch,
        staging=light.staging,
        environment={**ARROW, **light.environment},
        spares=light.spares,
    )
