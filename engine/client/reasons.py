"""Gathers what engine.rules.explain needs to say why.

Law: reads only; every fact is as fresh as the store. Where history is missing (a pinned version pruned, a
definition gone) the explanation is shorter, never wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.client.names import executions_named
from engine.model.errors import PenstockError
from engine.model.run import Attempt, DeadLetter, PipelineRun, TaskExecution, TaskState, Verdict
from engine.rules.explain import explain_run, explain_task
from engine.rules.explain_facts import Explanation, RunFacts, Seen, TaskFacts
from engine.rules.explain_roots import blockers, changes_since, dependencies_of, failed_above, root_causes
from engine.rules.explain_words import task_name

if TYPE_CHECKING:
    from engine.model.pipeline import Pipeline, Task
    from engine.ports.catalog import Catalog
    from engine.ports.queries import Queries
    from engine.ports.store import PipelineVersion

_MOST_CAUSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """A run with everything about it that explanations draw on."""

    run: PipelineRun
    executions: Sequence[TaskExecution]
    verdicts: Mapping[str, Verdict]
    attempts: Sequence[Attempt]
    pipeline: Pipeline | None
    live: frozenset[str]
    letters: Mapping[str, DeadLetter]
    changes: Sequence[str] = field(default_factory=tuple)


class Reasons:
    """Answers `why` for runs and tasks."""

    def __init__(self, queries: Queries, catalog: Catalog) -> None:
        self._queries = queries
        self._catalog = catalog

    def of_run(self, run: PipelineRun, *, engine_leads: bool, now: datetime) -> Explanation:
        """The run's own reason, and the tasks at the root of it first."""
        records = self._records(run)
        if run.state.terminal:
            first = root_causes(records.executions, dependencies_of(records.pipeline))
        else:
            failed = root_causes(records.executions, dependencies_of(records.pipeline))
            first = [*failed, *blockers(records.executions)]
        causes = [self._of_execution(records, each, engine_leads=True, now=now) for each in first[:_MOST_CAUSES]]
        facts = RunFacts(run=run, executions=records.executions, causes=causes, engine_leads=engine_leads, now=now)
        return explain_run(facts)

    def of_task(self, run: PipelineRun, name: str, *, engine_leads: bool, now: datetime) -> Explanation:
        """One task; of a mapped one without an index, the item that most needs a look."""
        records = self._records(run)
        named = executions_named(name, run.run_id, records.executions)
        worst = min(named, key=lambda each: _URGENCY.index(each.state))
        return self._of_execution(records, worst, engine_leads=engine_leads, now=now)

    def _of_execution(
        self, records: RunRecords, execution: TaskExecution, *, engine_leads: bool, now: datetime
    ) -> Explanation:
        dependencies = dependencies_of(records.pipeline)
        above = dependencies.get(execution.task_id, ())
        letter = records.letters.get(execution.execution_id)
        facts = TaskFacts(
            run=records.run,
            execution=execution,
            attempts=[each for each in records.attempts if each.execution_id == execution.execution_id],
            task=_task(records.pipeline, execution.task_id),
            verdict=records.verdicts.get(execution.execution_id),
            live=records.live,
            upstream=[each for each in records.executions if each.task_id in above],
            roots=failed_above(execution, records.executions, dependencies),
            letter_id=letter.id if letter else None,
            seen=self._seen(letter),
            changes=records.changes if execution.state is TaskState.FAILED else (),
            engine_leads=engine_leads,
            now=now,
        )
        return explain_task(facts)

    def _records(self, run: PipelineRun) -> RunRecords:
        executions = self._queries.executions(run.run_id)
        failed = any(each.state is TaskState.FAILED for each in executions)
        live = self._queries.live() if not run.state.terminal else ()
        return RunRecords(
            run=run,
            executions=executions,
            verdicts=self._queries.verdicts(run.run_id),
            attempts=self._queries.attempts(run.run_id),
            pipeline=pinned(self._queries, self._catalog, run),
            live=frozenset(f"{each.run_id}/{task_name(each)}" for each, _ in live),
            letters=self._letters(run) if failed else {},
            changes=self._changes(run) if failed else (),
        )

    def _letters(self, run: PipelineRun) -> Mapping[str, DeadLetter]:
        """Open letters of this run by execution."""
        found, before = {}, None
        while True:
            letters, before = self._queries.letters(limit=500, before=before)
            found.update({each.execution_id: each for each in letters if each.run_id == run.run_id})
            if before is None or any(each.failed_at < run.triggered_at for each in letters):
                return found

    def _seen(self, letter: DeadLetter | None) -> Seen | None:
        if letter is None:
            return None
        known = self._queries.failures_like(letter.fingerprint)
        first, last, count = known.get("first_seen"), known.get("last_seen"), known.get("count", 0)
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return None
        return Seen(first=first, last=last, count=int(count))

    def _changes(self, run: PipelineRun) -> Sequence[str]:
        good = self._queries.last_success(run.pipeline_id, before=run.triggered_at)
        if good is None:
            return changes_since(None, run, None, None)
        before = self._queries.version(run.pipeline_id, good.version)
        after = self._queries.version(run.pipeline_id, run.version)
        return changes_since(good, run, _document(before), _document(after))


_URGENCY = [
    TaskState.FAILED,
    TaskState.RETRYING,
    TaskState.QUEUED,
    TaskState.WAITING,
    TaskState.PENDING,
    TaskState.RUNNING,
    TaskState.CANCELLED,
    TaskState.SKIPPED,
    TaskState.SUCCESS,
]


def pinned(queries: Queries, catalog: Catalog, run: PipelineRun) -> Pipeline | None:
    """The definition a run was made from, if it is still known."""
    version = queries.version(run.pipeline_id, run.version)
    if version is None:
        return None
    try:
        return catalog.build(version.document, version.file)
    except PenstockError:  # a document of a later program: what follows from it is left out
        return None


def _document(version: PipelineVersion | None) -> Mapping[str, Any] | None:
    return version.document if version is not None else None


def _task(pipeline: Pipeline | None, task_id: str) -> Task | None:
    found = [task for task in pipeline.tasks if task.id == task_id] if pipeline else []
    return found[0] if found else None
