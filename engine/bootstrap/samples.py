"""An invented history for a workspace of samples: weeks of runs, written like the engine writes them.

Law: only where `samples: true` stands and no engine leads. The lease is taken and its epoch entered before the
first row, like any engine's; everything goes through the store's one writer; nothing written is still alive.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.bootstrap.sample_logs import write_logs
from engine.bootstrap.workspace import Workspace, engine_leads
from engine.model.errors import Deposed, PenstockError, Refused, RequestError
from engine.model.event import AuditEntry, Event
from engine.model.pipeline import Pipeline
from engine.ports.store import Changes, PipelineVersion, ScheduleState, StateStore
from engine.rules.chronicle import Chronicle, Edition, Piece, id_at
from engine.rules.chronicle_plan import Pause, Plan, plan
from engine.rules.graph import build_graph
from engine.rules.rehearsal_hands import Answered
from engine.rules.schedule import initial_watermark, next_run_time, slots_between
from engine.rules.snapshot import Rules
from engine.rules.story import Story
from engine.runtime.engine import kill_old
from engine.runtime.lease import LeaseKeeper, candidate
from engine.runtime.schedules import fingerprint
from engine.stores.open import open_writer, state_epoch

RUNS_A_COMMIT = 250
LOGS_OF = timedelta(days=3)  # older ones are gone, as they would be by retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What history is asked for."""

    days: int = 42
    runs: int | None = None  # None: as many as the schedules give, and some by hand
    seed: str = "1"
    until: datetime
    logs: bool = True


@dataclass(slots=True, kw_only=True)
class Written:
    """What came of it."""

    runs: int = 0
    letters: int = 0
    attempts: int = 0
    log_files: int = 0
    states: dict[str, int] = field(default_factory=dict)


def write_history(
    workspace: Workspace, wanted: Wanted, progress: Callable[[int], None] = lambda _runs: None
) -> Written:
    """Lead for as long as it takes, and write."""
    _refuse(workspace, wanted)
    lost: list[bool] = []
    now = workspace.clock.now()
    me = candidate("command", workspace.actor.name, f"{os.getpid()}-{workspace.new_id()}", now)
    me = replace(me, epoch=state_epoch(workspace.settings, state=workspace.state))
    keeper = LeaseKeeper(
        workspace.mailbox, workspace.clock, me, kill_old=kill_old, on_lost=lambda: lost.append(True)
    )
    lease = keeper.try_acquire()
    if lease is None:
        raise Refused("An engine has begun to lead meanwhile; end it first: `penstock engine stop`.")
    keeper.keep()
    try:
        store = open_writer(workspace.settings, state=workspace.state, now=workspace.clock.now)
        try:
            store.take_over(lease.epoch, lease.holder, lease.acquired_at)
            return _Scribe(workspace, store, wanted, lease.epoch, lost, progress).write()
        finally:
            store.close()
    finally:
        keeper.release()


def _refuse(workspace: Workspace, wanted: Wanted) -> None:
    settings = workspace.settings
    if not settings.samples:
        raise Refused(
            f"{settings.root / 'penstock.yaml'} has no `samples: true`. Invented history goes into a workspace "
            "that says it may be filled so, and into no other."
        )
    held = engine_leads(workspace)
    if held is not None:
        raise Refused(f"An engine leads (process {held.pid}); end it first: `penstock engine stop`.")
    if wanted.days > settings.retention.days:
        raise RequestError(
            f"--days {wanted.days} reaches further back than this workspace keeps runs "
            f"({settings.retention.days} days, `retention.days`)."
        )


Skipped = Mapping[str, tuple[int, str]]  # by pipeline: how many slots, and why the last one was


class _Scribe:
    """Writes one history under one epoch."""

    def __init__(
        self,
        workspace: Workspace,
        store: StateStore,
        wanted: Wanted,
        epoch: int,
        lost: list[bool],
        progress: Callable[[int], None],
    ) -> None:
        self._workspace, self._store, self._wanted, self._epoch = workspace, store, wanted, epoch
        self._lost, self._progress = lost, progress
        self._fresh = not workspace.queries.runs(limit=1)[0]
        salt = "" if self._fresh else f"/{workspace.queries.last_seq()}"  # ids of a second history are its own
        self._random = random.Random(f"{wanted.seed}{salt}")  # invented, not secret
        self._sayings = random.Random(f"{wanted.seed}{salt}/logs")  # so that logs change nothing else
        self._since = wanted.until - timedelta(days=wanted.days)
        self._changes = Changes()
        self._events: list[Event] = []
        self._audit: list[AuditEntry] = []
        self._commits = 0
        self.written = Written()

    def write(self) -> Written:
        """All of it."""
        pieces = self._pieces()
        dice = self._random.random
        schedules = {name: piece.newest.schedule for name, piece in pieces.items()}
        planned = plan(schedules, since=self._since, until=self._wanted.until, runs=self._wanted.runs, dice=dice)
        for pause in planned.pauses:
            self._note_pause(pause)
        chronicle = Chronicle(pieces, planned, rules=self._rules(), dice=dice, epoch=self._epoch)
        taken = (lambda _run_id: False) if self._fresh else self._store.run_exists
        for story in chronicle.stories(taken):
            self._flush(story.run.triggered_at)
            self._take(story)
        self._schedules(pieces, planned, chronicle.skipped)
        self._flush(None)
        return self.written

    def _rules(self) -> Rules:
        limits, types = self._workspace.settings.limits, self._workspace.types.types
        return Rules(
            max_losses=limits.max_losses,
            max_items=limits.max_items,
            runs_in_engine=lambda task: types[task.type].mode(task.config) == "engine",
        )

    # -- definitions -------------------------------------------------------------------------------------------

    def _pieces(self) -> Mapping[str, Piece]:
        catalog = self._workspace.catalog
        catalog.refresh()
        found = {}
        for number, pipeline_id in enumerate(sorted(catalog.ids())):
            pipeline = catalog.get(pipeline_id)
            try:
                plain = catalog.bind_parameters(pipeline, {})
                scheduled = catalog.bind_parameters(pipeline, {}, schedule=True)
            except PenstockError:
                continue  # it cannot be run without being told more
            editions = self._editions(pipeline, edited=number % 3)
            found[pipeline_id] = Piece(editions=editions, parameters=plain, schedule_parameters=scheduled)
        if not found:
            raise RequestError("This workspace has no pipeline that runs; `penstock validate` says what there is.")
        return found

    def _editions(self, pipeline: Pipeline, edited: int) -> list[Edition]:
        """The definition as it is, and as it was before its last edits where nothing is pinned yet."""
        known = self._store.version_with_hash(pipeline.id, pipeline.hash)
        latest = self._store.latest_version(pipeline.id)
        if known is not None:
            return [self._edition(self._since, known.version, pipeline)]
        earlier = [_earlier(pipeline.document, step) for step in range(edited, 0, -1)] if latest is None else []
        documents = [each for each in earlier if each is not None]
        number = latest.version if latest is not None else 0
        editions: list[Edition] = []
        for place, document in enumerate([*documents, None]):
            since = self._since + (self._wanted.until - self._since) * (place / (len(documents) + 1.5))
            edition = pipeline
            if document is not None:
                edition = self._workspace.catalog.build(document, pipeline.file)
            number += 1
            editions.append(self._edition(since, number, edition))
            self._changes.versions.append(
                PipelineVersion(
                    pipeline_id=pipeline.id,
                    version=number,
                    hash=edition.hash,
                    document=edition.document,
                    file=edition.file,
                    created_at=since,
                )
            )
        return editions

    def _edition(self, since: datetime, version: int, pipeline: Pipeline) -> Edition:
        graph = build_graph(pipeline.dependencies())
        return Edition(since=since, version=version, pipeline=pipeline, graph=graph)

    # -- rows --------------------------------------------------------------------------------------------------

    def _take(self, story: Story) -> None:
        changes, written = self._changes, self.written
        changes.new_runs.append(story.run)
        changes.new_executions += story.executions.values()
        changes.retired_executions += story.retired
        changes.new_attempts += story.attempts.values()
        changes.transitions += story.transitions
        changes.new_letters += story.letters.values()
        changes.metrics += story.metrics
        self._events += story.events
        self._audit += story.audit
        written.runs += 1
        written.letters += len(story.letters)
        written.attempts += len(story.attempts)
        state = story.run.state.value
        written.states[state] = written.states.get(state, 0) + 1
        if self._wanted.logs and story.end > self._wanted.until - LOGS_OF:
            written.log_files += write_logs(self._workspace.settings, story, self._sayings.random)
        for child in story.children:
            self._take(child)

    def _flush(self, before: datetime | None) -> None:
        """Commit what is full. Events and audit entries go in the order of their time: those of `before` and later
        wait for the stories that began meanwhile."""
        if before is not None and len(self._changes.new_runs) < RUNS_A_COMMIT:
            return
        changes, self._changes = self._changes, Changes()
        self._events, changes.events = _split(self._events, before)
        self._audit, changes.audit = _split(self._audit, before)
        if self._lost:
            raise Deposed("Another engine took the lead meanwhile; the history ends here.")
        self._commits += 1
        self._store.commit(changes, f"history-{self._epoch}-{self._commits}")
        self._progress(self.written.runs)

    # -- schedules ---------------------------------------------------------------------------------------------

    def _note_pause(self, pause: Pause) -> None:
        about = ("SCHEDULE", pause.pipeline_id)
        told = [("schedule.pause", pause.since, {"pipeline_id": pause.pipeline_id, "reason": pause.reason})]
        if pause.until is not None:
            told.append(("schedule.resume", pause.until, {"pipeline_id": pause.pipeline_id}))
        for name, at, arguments in told:
            request = id_at(at, self._random.random)
            message = f"The schedule of {pause.pipeline_id} is {name.partition('.')[2]}d"
            command = Answered(
                name=name,
                by=pause.by,
                at=at,
                request_id=request,
                resource=about,
                arguments=arguments,
                message=message,
            )
            self._audit.append(command.entry())
            self._events.append(command.event())

    def _schedules(
        self, pieces: Mapping[str, Piece], planned: Plan, skipped: Mapping[str, tuple[int, str]]
    ) -> None:
        until, known = self._wanted.until, {each.pipeline_id for each in self._store.schedules()}
        standing = {pause.pipeline_id: pause for pause in planned.pauses if pause.until is None}
        for name, piece in pieces.items():
            schedule, pause = piece.newest.schedule, standing.get(name)
            if schedule is None or name in known:
                continue
            count, why = skipped.get(name, (0, None))
            slots = list(slots_between(schedule, pause.since if pause else self._since, until))
            mark = slots[-1] if slots and pause is None else initial_watermark(schedule, until)
            self._changes.schedules[(name, None)] = ScheduleState(
                pipeline_id=name,
                cron_key=fingerprint(schedule),
                last_slot=pause.since if pause else mark,
                next_fire=None if pause else next_run_time(schedule, until),
                paused=pause is not None,
                paused_by=pause.by.name if pause else None,
                pause_reason=pause.reason if pause else None,
                paused_at=pause.since if pause else None,
                skipped=count,
                last_skip_reason=why,
                updated_at=until,
            )


def _split(rows: list[Any], before: datetime | None) -> tuple[list[Any], list[Any]]:
    """Those that have to wait, and those that may be written, in order."""
    rows.sort(key=lambda row: row.at)
    place = len(rows) if before is None else bisect_right(rows, before, key=lambda row: row.at)
    return rows[place:], rows[:place]


def _earlier(document: Mapping[str, Any], step: int) -> Mapping[str, Any] | None:
    """The definition before its last edit, or the one before that; None where there is nothing to take away."""
    tasks: list[Mapping[str, Any]] = [dict(task) for task in document["tasks"]]
    tasks[0] = {**tasks[0], "timeout_seconds": 120 * step + 7}
    if step > 1:
        last = tasks[-1]["id"]
        if len(tasks) < 3 or _named(tasks[:-1], last):
            return None
        tasks = tasks[:-1]
    return {**document, "tasks": tasks}


def _named(tasks: Iterable[Mapping[str, Any]], task_id: str) -> bool:
    return any(task_id in task.get("dependencies", ()) for task in tasks)
