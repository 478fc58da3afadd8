"""The parts of one leading engine, wired to each other."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.bootstrap.hooks import hook_sender
from engine.bootstrap.preload import HEAVY, LIGHT
from engine.bootstrap.sweeping import sweep
from engine.bootstrap.workspace import Workspace
from engine.model.pipeline import Task
from engine.model.run import Attempt
from engine.model.workspace import Pool
from engine.ports.catalog import PipelineReport, Renderer
from engine.ports.executor import AttemptSpec, Executor, Report, StaleProcess
from engine.ports.mailbox import Lease
from engine.ports.store import DefinitionStatus, StateStore
from engine.rules.admission import Capacity
from engine.rules.snapshot import Rules
from engine.runtime.desk import Desk, Tools
from engine.runtime.dispatcher import DefinitionsChanged, Dispatcher, Hands
from engine.runtime.engine import Parts
from engine.runtime.evaluator import Evaluator
from engine.runtime.hooks import Outbox
from engine.runtime.patience import patient
from engine.stores.open import open_writer

_log = logging.getLogger(__name__)


def build_parts(workspace: Workspace, lease: Lease, scope: str, trusted: Callable[[], bool]) -> Parts:
    """Everything for the epoch that was won. Threads start in Parts.start."""
    workspace.catalog.refresh()
    store = open_writer(workspace.settings, state=workspace.state, now=workspace.clock.now)
    executor = NoExecutor() if scope == "command" else local_executor(workspace)
    renderer = _renderer()
    desk = Desk(_tools(workspace, store_epoch=lease.epoch, scope=scope, store=store))
    inbox: list[Dispatcher] = []
    evaluator = Evaluator(renderer, lambda answer: inbox[0].deliver(answer))
    outbox = Outbox(hook_sender(workspace, renderer), lambda sent: inbox[0].deliver(sent))
    hands = Hands(
        executor=executor,
        ask=evaluator.ask,
        send_hook=outbox.post,
        trusted=trusted,
        sweep=lambda gone, active: sweep(workspace, gone, active),
    )
    dispatcher = Dispatcher(desk, workspace.mailbox, hands)
    inbox.append(dispatcher)
    if scope != "command":  # whoever waits at a prompt is told at once
        desk.tools.store = patient(store, lambda: dispatcher.stopping)
    parts = Parts(
        dispatcher=dispatcher,
        store=store,
        start=lambda: executor.start(dispatcher.deliver),
        stop=executor.stop,
        close=[outbox.close, evaluator.close],
    )
    if scope == "engine":
        _watch(workspace, dispatcher, parts, executor)
    return parts


def _tools(workspace: Workspace, *, store_epoch: int, scope: str, store: StateStore) -> Tools:
    settings, types = workspace.settings, workspace.types.types

    def runs_in_engine(task: Task) -> bool:
        return types[task.type].mode(task.config) == "engine"

    return Tools(
        store=store,
        catalog=workspace.catalog,
        clock=workspace.clock,
        new_id=workspace.new_id,
        settings=settings,
        task_types=types,
        capacity=capacity(workspace),
        rules=Rules(
            max_losses=settings.limits.max_losses,
            max_items=settings.limits.max_items,
            runs_in_engine=runs_in_engine,
        ),
        epoch=store_epoch,
        scope=scope,
        time_scale=float(os.environ.get("PENSTOCK_TIME_SCALE") or 1.0),
        environment=workspace.visible_environment,
    )


def capacity(workspace: Workspace) -> Capacity:
    """Workers, resources and pools, a connection's rate among them."""
    from engine.definitions.catalog import machine_capacity

    limits, machine = workspace.settings.limits, machine_capacity(workspace.settings)
    pools = dict(workspace.settings.pools)
    for profile in (None, *workspace.settings.profiles):
        for connection in workspace.catalog.connections(profile).values():
            if connection.per_second:
                name = f"connection:{connection.id}"
                pools[name] = Pool(name=name, per_second=connection.per_second, burst=connection.burst)
    return Capacity(
        workers=limits.workers or max(2, os.cpu_count() or 2),
        cpu=machine.cpu,
        memory_mb=machine.memory_mb,
        pools=pools,
    )


def local_executor(workspace: Workspace) -> Executor:
    """Attempts as processes of this machine."""
    from engine.executors.local import LocalExecutor

    settings = workspace.settings
    shared = settings.shared_group is not None
    return LocalExecutor(
        root=settings.root,
        logs=settings.home / "logs",
        scratch=settings.home / "scratch",
        staging=settings.home / "staging",
        runner="engine.bootstrap.attempt:run",
        secrets=workspace.secrets,
        connections=workspace.connection,
        now=workspace.clock.now,
        nice=settings.limits.nice,
        log_mb_per_attempt=settings.retention.log_mb_per_attempt,
        preload=LIGHT,
        heavy_preload=HEAVY,
        rehearsal="engine.bootstrap.rehearsal:rehearse",
        file_mode=0o660 if shared else 0o600,
        folder_mode=0o2770 if shared else 0o700,
    )


class NoExecutor:
    """Scope `command`: nothing is ever started."""

    def start(self, deliver: Callable[[Report], None]) -> None:
        """Nothing to make ready."""

    def submit(self, spec: AttemptSpec) -> None:
        """Never asked: no admission happens in this scope."""
        raise RuntimeError(f"no attempt is started here ({spec.task_id})")

    def kill(self, token: str, why: str, grace_seconds: float) -> None:
        """What still lives is ended by the next engine, which finds its task cancelling."""

    def acknowledge(self, token: str, number: int) -> None:
        """Nobody waits."""

    def renew(self) -> None:
        """Nobody inherits anything."""

    def reap_stale(self, attempts: Sequence[Attempt]) -> Sequence[StaleProcess]:
        """Left to the next engine."""
        return ()

    def stop(self, grace_seconds: float) -> None:
        """Nothing runs."""

    def alive(self) -> bool:
        """It cannot start attempts."""
        return False

    def vitals(self) -> dict[str, object]:
        """Nothing."""
        return {}


def _renderer() -> Renderer:
    from engine.definitions.renderer import ChildRenderer

    return ChildRenderer()


def _watch(workspace: Workspace, dispatcher: Dispatcher, parts: Parts, executor: Executor) -> None:
    from engine.definitions.watch import Watch

    def changed(paths: Sequence[Path]) -> None:
        reports = workspace.catalog.refresh(paths)
        executor.renew()  # connections may name another variable as a secret now
        dispatcher.deliver(DefinitionsChanged(broken=_broken(workspace, reports)))

    watch = Watch(workspace.settings.root, changed)
    start = parts.start

    def begin() -> None:
        start()
        watch.start()
        dispatcher.deliver(DefinitionsChanged(broken=_broken(workspace, workspace.catalog.reports())))

    parts.start = begin
    parts.close.insert(0, watch.close)


def _broken(workspace: Workspace, reports: Sequence[PipelineReport]) -> dict[str, DefinitionStatus | None]:
    """Each file looked at: its problems, or None when it is good."""
    found: dict[str, DefinitionStatus | None] = {}
    for report in reports:
        if not report.errors:
            found.setdefault(report.file, None)
            continue
        problems = [
            {"path": error.path, "line": error.line, "message": error.message, "suggestion": error.suggestion}
            for error in list(report.errors)[:20]
        ]
        found[report.file] = DefinitionStatus(
            pipeline_id=report.id or "", file=report.file, problems=problems, since=workspace.clock.now()
        )
    return found
