"""The facade: what consoles, the command line and an API may ask of a workspace.

Law: reads go to the store, wishes to the mailbox; nothing here touches an engine. Every answer for scripts is
plain JSON in CONTRACT's shapes. Constructing it opens nothing: each port is used when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.client import logbook, views
from engine.client.commands import Commands
from engine.client.feed import Feed, Snapshot, follow
from engine.client.names import executions_named, label, near
from engine.model.errors import NotFound, Queue, ValidationFailed
from engine.model.workspace import Connection

if TYPE_CHECKING:
    from engine.client.datasets import Dataset, Datasets, Lineage, Write
    from engine.client.machine import Machine
    from engine.client.samples import Found
    from engine.client.views import Json
    from engine.model.breaker import Breaker
    from engine.model.event import Actor
    from engine.model.pipeline import Pipeline
    from engine.model.run import LetterStatus, PipelineRun, RunState, TaskExecution
    from engine.model.schedule import Schedule
    from engine.ports.catalog import Catalog, PipelineReport, Renderer
    from engine.ports.clock import Clock, NewId
    from engine.ports.health import HealthChecks
    from engine.ports.logs import LogReader
    from engine.ports.mailbox import Lease, Mailbox
    from engine.ports.queries import Queries
    from engine.ports.samples import Samples
    from engine.rules.explain_facts import Explanation

Tester = Callable[[Connection], tuple[bool, str]]


class Client:
    """One workspace as one actor and one profile see it."""

    def __init__(
        self,
        *,
        queries: Queries,
        mailbox: Mailbox,
        catalog: Catalog,
        renderer_factory: Callable[[], Renderer],
        logs: LogReader,
        health: HealthChecks,
        clock: Clock,
        new_id: NewId,
        actor: Actor,
        profile: str | None = None,
        environment: Callable[[], Mapping[str, str]] = dict,
        tester: Tester | None = None,
        samples: Samples | None = None,
    ) -> None:
        self.queries = queries
        self.mailbox = mailbox
        self.logs = logs
        self.clock = clock
        self.new_id = new_id
        self.actor = actor
        self.profile = profile
        self.commands = Commands(mailbox=mailbox, queries=queries, clock=clock, new_id=new_id, actor=actor)
        self._catalog = catalog
        self._loaded = False
        self._renderer_factory = renderer_factory
        self._health = health
        self._environment = environment
        self._tester = tester
        self._samples = samples

    # ---------------------------------------------------------------------------------------- definitions

    @property
    def catalog(self) -> Catalog:
        """Definitions, read from their files before the first use."""
        if not self._loaded:
            self._catalog.refresh()
            self._loaded = True
        return self._catalog

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """The definition usable now. NotFound with the near spelling; ValidationFailed with every problem."""
        known = self.catalog.ids()
        self._refuse_broken(pipeline_id)
        if pipeline_id in known:
            return self.catalog.get(pipeline_id)
        hint = near(pipeline_id, known) or " `penstock validate` lists what there is."
        raise NotFound(f"There is no pipeline '{pipeline_id}' in this workspace.{hint}")

    def validate(self, paths: Sequence[Path] | None = None) -> tuple[Json, Sequence[PipelineReport]]:
        """`validate`: all files, or these."""
        reports = self._catalog.refresh(paths)
        if paths is None:
            self._loaded = True
            reports = self._catalog.reports()
        return views.validation(reports), reports

    def parameters(self, pipeline_id: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Defaults overlaid with what is given. RequestError names every one that does not fit."""
        return self.catalog.bind_parameters(self.pipeline(pipeline_id), given)

    def plan(self, pipeline_id: str, given: Mapping[str, Any], logical_date: datetime | None = None) -> Json:
        """`plan`: runs nothing."""
        from engine.client import planning  # graph rules are needed by few commands

        pipeline = self.pipeline(pipeline_id)
        bound = self.catalog.bind_parameters(pipeline, given)
        at = logical_date or self.clock.now()
        return planning.plan(
            pipeline,
            planning.context(pipeline, bound, at, at, self._environment()),
            medians=self.queries.task_seconds(pipeline_id),
            workers=self.catalog.settings().limits.workers or 2,
            renderer_factory=self._renderer_factory,
            render=self._catalog.render_plan,
        )

    def connections(self) -> Mapping[str, Connection]:
        """Connections by id, as this profile sees them."""
        return self._catalog.connections(self.profile)

    def connection(self, connection_id: str) -> Connection:
        """One connection. NotFound with the near spelling."""
        known = self.connections()
        if connection_id not in known:
            raise NotFound(f"There is no connection '{connection_id}'.{near(connection_id, known)}")
        return known[connection_id]

    def circuits(self) -> Mapping[str, Breaker]:
        """What circuit breakers remember of this profile's connections, by id."""
        return {each.connection: each for each in self.queries.breakers() if each.profile == self.profile}

    def test(self, connection: Connection) -> tuple[bool, str] | None:
        """Whether it answers and what it said; None where nothing can test it."""
        return self._tester(connection) if self._tester is not None else None

    # ----------------------------------------------------------------------------------------------- runs

    def runs(
        self,
        *,
        pipeline_id: str | None = None,
        state: RunState | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Json:
        """`runs`."""
        found, following = self.queries.runs(pipeline_id=pipeline_id, state=state, limit=limit, before=before)
        return {"runs": [views.run_row(each) for each in found], "next": following}

    def run(self, name: str) -> PipelineRun:
        """By id, unique prefix, `last` or `last:PIPELINE`."""
        return self.queries.resolve_run(name)

    def show(self, name: str, *, history: bool = False, task: str | None = None) -> Json:
        """`show`, of a run or one of its tasks."""
        run = self.queries.resolve_run(name)
        executions = self.queries.executions(run.run_id)
        if task is not None:
            executions = executions_named(task, run.run_id, executions)
        shown = views.run(run, executions, self.queries.verdicts(run.run_id))
        if not history:
            return shown
        return views.with_history(
            shown, self.queries.executions(run.run_id, history=True), self.queries.attempts(run.run_id)
        )

    def tasks(self, run_id: str, names: Sequence[str]) -> list[str]:
        """Task names as typed, checked against the run: `load`, `load[3]`."""
        executions = self.queries.executions(run_id)
        for name in names:
            executions_named(name, run_id, executions)
        return list(dict.fromkeys(names))

    def why(self, name: str, task: str | None = None, *, leader: Lease | None = None) -> Explanation:
        """`why`, of a run or one of its tasks; `leader` is who leads, None when nobody does."""
        from engine.client.reasons import Reasons  # with all the rules of explaining; a look at runs needs none

        run = self.queries.resolve_run(name)
        reasons = Reasons(self.queries, self._catalog)
        leads, now = leader is not None, self.clock.now()
        if task is None:
            return reasons.of_run(run, engine_leads=leads, now=now)
        return reasons.of_task(run, task, engine_leads=leads, now=now)

    def follow(self, run_id: str) -> tuple[Snapshot, Feed]:
        """A run as it stands and the feed of what happens next."""
        return follow(self.queries, run_id)

    def pinned(self, run: PipelineRun) -> Pipeline | None:
        """The definition a run was made from."""
        from engine.client.reasons import pinned

        return pinned(self.queries, self._catalog, run)

    def log_sources(self, run: PipelineRun, task: str | None, attempt: int | None) -> Sequence[Any]:
        """The attempts whose logs are meant."""
        return logbook.sources(self.queries, run, task=task, attempt=attempt)

    # ------------------------------------------------------------------------------------------ dead letters

    def letters(
        self,
        *,
        queue: Queue | None = None,
        status: LetterStatus | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Json:
        """`dlq`."""
        found, following = self.queries.letters(queue=queue, status=status, limit=limit, before=before)
        return {"letters": [views.letter_row(each) for each in found], "next": following}

    def letter(self, name: str) -> Json:
        """`dlq show`."""
        return views.letter(self.queries.letter(name))

    def letter_edits(self, name: str, pairs: tuple[str, ...]) -> dict[str, Any]:
        """`--set path=value` pairs, checked against what the letter shows."""
        from engine.client.letters import edits

        return edits(self.queries.letter(name), pairs, self.queries, self._catalog)

    # --------------------------------------------------------------------------------------------- schedules

    def schedules(self) -> Json:
        """`schedule`."""
        from engine.client import schedules  # brings cron arithmetic along

        return schedules.listing(self.catalog, self.queries.schedules(), self.profile, self.clock.now())

    def schedule(self, pipeline_id: str) -> Schedule:
        """The schedule of one pipeline."""
        from engine.client import schedules

        return schedules.scheduled(self.catalog, pipeline_id)

    def next_fires(self, pipeline_id: str, count: int) -> Json:
        """`schedule next`."""
        from engine.client import schedules

        schedule = schedules.scheduled(self.catalog, pipeline_id)
        return schedules.next_fires(schedule, pipeline_id, self.clock.now(), count)

    def try_schedule(self, pipeline_id: str, cron: str, timezone: str, count: int) -> Json:
        """`schedule next --cron`: what another expression would fire. Nothing is kept."""
        from engine.client import schedules

        schedule = schedules.scheduled(self.catalog, pipeline_id)
        return schedules.tried(schedule, cron, timezone, self.clock.now(), count)

    def coming_fires(self, until: datetime) -> Json:
        """Every slot to come of every schedule, up to a time."""
        from engine.client import schedules

        return schedules.coming(self.catalog, self.queries.schedules(), self.profile, self.clock.now(), until)

    def resume_consequence(self, pipeline_id: str) -> Json:
        """What a resume would do at once."""
        from engine.client import schedules

        schedule = schedules.scheduled(self.catalog, pipeline_id)
        state = schedules.state_of(self.queries.schedules(), pipeline_id, self.profile)
        return schedules.consequence(schedule, state, self.clock.now())

    # ---------------------------------------------------------------------------------------------- datasets

    @cached_property
    def data(self) -> Datasets:
        """Datasets and their lineage, as this profile sees them."""
        from engine.client.datasets import Datasets  # few commands ask for it

        return Datasets(self.catalog, self.queries, self.profile)

    def datasets(self) -> Sequence[Dataset]:
        """Every dataset that a definition declares or a run has touched, with who wrote it last."""
        return self.data.all()

    def lineage(self, name: str) -> Lineage:
        """What a dataset is made from, and what from it."""
        return self.data.lineage(name)

    def writes(self, name: str, *, runs: int = 50) -> Sequence[Write]:
        """What the last runs did to a dataset, newest first."""
        return self.data.writes(name, runs=runs)

    def sample(self, name: str, rows: int = 20) -> Found:
        """Some rows of a dataset, as they lie staged. NotFound says why there are none."""
        from engine.client import samples

        if self._samples is None:
            raise NotFound("Rows cannot be looked at here.")
        return samples.sample(self.queries, self.catalog, self._samples, self.profile, name, rows)

    def watermarks(self, pipeline_id: str | None = None) -> Json:
        """`watermarks`."""
        from engine.client import data_views

        found = self.queries.watermarks(self.profile, pipeline_id=pipeline_id)
        return {"watermarks": [data_views.watermark(each) for each in found]}

    # ----------------------------------------------------------------------------------------- engine and trail

    @cached_property
    def machine(self) -> Machine:
        """What of this workspace runs on this machine, and what holds which slots."""
        from engine.client.machine import Machine

        return Machine(self.queries, self.catalog, self.profile)

    def health(self) -> Json:
        """`health`."""
        return views.health(self._health.run())

    def audit(self, *, limit: int = 100, before: int | None = None) -> Json:
        """`audit`."""
        entries = self.queries.audit(limit=limit, before=before)
        following = entries[-1].seq if len(entries) == limit and entries else None
        return {"entries": [views.audit(each) for each in entries], "next": following}

    def verify_audit(self) -> Json:
        """`audit --verify`."""
        checked, bad, sentence = self.queries.verify_audit()
        return {"valid": bad is None, "checked": checked, "first_bad": bad, "message": sentence}

    def _refuse_broken(self, pipeline_id: str) -> None:
        """What is asked for now runs what is written now, never an older good version in silence."""
        for report in self.catalog.reports():
            if report.id == pipeline_id and report.errors:
                raise ValidationFailed(pipeline_id, report.errors)


def task_label(execution: TaskExecution) -> str:
    """`load` or `load[3]`."""
    return label(execution.task_id, execution.map_index)
