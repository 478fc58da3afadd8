"""Weeks of nights that never were: which runs there were, what became of them, and who put what right.

Law: pure and reproducible: the same pieces, span and dice give the same stories. Every run is rehearsed by the
rules; this file only plans when runs begin and when somebody steps in. Everything has ended before the span does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.model.event import Actor
from engine.model.pipeline import Pipeline, Task, TriggerRule
from engine.model.run import PipelineRun, RunState, TaskExecution
from engine.rules import rehearsal_hands as hands
from engine.rules.chronicle_plan import PEOPLE, Plan, Planned
from engine.rules.graph import Graph
from engine.rules.habits import Dice, failing, habitual, passing, seconds_on, sensing, skipping, some_kind, temper
from engine.rules.rehearsal import Rehearsal
from engine.rules.schedule import data_interval, scheduled_run_id, slots_between
from engine.rules.snapshot import Rules, RunSnapshot
from engine.rules.story import Fate, Story

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_WAREHOUSES = (("HAM", "Hamburg"), ("OSL", "Oslo"), ("GDN", "Gdansk"), ("ABZ", "Aberdeen"))
_MISFORTUNE = 0.012  # that an attempt fails on an ordinary night
_NEXT_DAY = timedelta(hours=9)
REASONS = ("corrected at the source", "loaded by hand", "the partner sent it again", "known, no harm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of a pipeline."""

    since: datetime
    version: int
    pipeline: Pipeline
    graph: Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One pipeline as the chronicle knows it."""

    editions: Sequence[Edition]  # oldest first; the first is in force from the beginning
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schedule_parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> Pipeline:
        """As its file has it now."""
        return self.editions[-1].pipeline

    def at(self, when: datetime) -> Edition:
        """What was in force then."""
        return next((each for each in reversed(self.editions) if each.since <= when), self.editions[0])


def id_at(at: datetime, dice: Dice) -> str:
    """Twenty characters that sort by age, like the engine's own."""
    number = int(at.timestamp() * 1000) << 55 | int(dice() * (1 << 53)) << 2 | int(dice() * 4)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -5, -5))


class Chronicle:
    """Tells the stories of a plan, one after the other."""

    def __init__(self, pieces: Mapping[str, Piece], plan: Plan, *, rules: Rules, dice: Dice, epoch: int) -> None:
        self.pieces = pieces
        self.plan = plan
        self.dice = dice
        self.rules = rules
        self.epoch = epoch
        self.skipped: dict[str, tuple[int, str]] = {}  # by pipeline: slots left out, and why the last one was
        self._slots: dict[str, list[datetime]] = {}  # by pipeline: every fire of the span, found once
        self._busy: dict[str, datetime] = {}  # until when a pipeline's scheduled run was under way

    def stories(self, taken: Callable[[str], bool]) -> Iterator[Story]:
        """In the order in which they began. A run whose id is taken, or that would not have ended, is left out."""
        for planned in self.plan.runs:
            if planned.slot is not None and self._overlaps(planned):
                continue
            story = self._story(planned)
            if story.end >= self.plan.until or taken(story.run.run_id):
                continue
            if planned.slot is not None:
                self._busy[planned.pipeline_id] = story.run.completed_at or story.end
            yield story

    def _overlaps(self, planned: Planned) -> bool:
        until = self._busy.get(planned.pipeline_id)
        if until is None or until <= planned.at:
            return False
        count, _ = self.skipped.get(planned.pipeline_id, (0, ""))
        why = f"slot {planned.at:%Y-%m-%dT%H:%MZ}: 1 of at most 1 runs are active and the policy is SKIP_ON_RUNNING"
        self.skipped[planned.pipeline_id] = (count + 1, why)
        return True

    # -- one run -----------------------------------------------------------------------------------------------

    def _story(self, planned: Planned) -> Story:
        piece, dice = self.pieces[planned.pipeline_id], self.dice
        slot, by = planned.slot, planned.by
        run_id = f"{planned.pipeline_id}__{id_at(planned.at, dice)}"
        if slot is not None:
            run_id = scheduled_run_id(planned.pipeline_id, slot)
        triggered_by = by.name if by is not None else f"schedule:{planned.pipeline_id}"
        rehearsal = self.rehearse(piece, run_id, planned.at, triggered_by, planned)
        if by is not None:
            self._asked_for(rehearsal, by, planned.at)
        rehearsal.begin(planned.at + timedelta(milliseconds=15))
        if planned.cancel_after is not None:
            canceller, when = self._somebody(), planned.at + planned.cancel_after
            rehearsal.at(when, lambda now: hands.cancel(rehearsal, canceller, id_at(now, dice), now))
        rehearsal.play()
        if not planned.left_alone:
            self._put_right(rehearsal)
        return rehearsal.story

    def rehearse(
        self,
        piece: Piece,
        run_id: str,
        at: datetime,
        triggered_by: str,
        planned: Planned,
        parent: TaskExecution | None = None,
    ) -> Rehearsal:
        """A run ready to be played."""
        edition = piece.at(at)
        pipeline, slot = edition.pipeline, planned.slot if parent is None else None
        logical = slot or at
        interval = self._interval(pipeline, logical)
        run = PipelineRun(
            run_id=run_id,
            pipeline_id=pipeline.id,
            version=edition.version,
            triggered_by=triggered_by,
            triggered_at=at,
            logical_date=logical,
            data_interval_start=interval[0],
            data_interval_end=interval[1],
            parameters=dict(piece.schedule_parameters if slot is not None else piece.parameters),
            priority=pipeline.execution.priority,
            parent_execution=parent.execution_id if parent is not None else None,
            slot=slot,
        )
        executions = [
            TaskExecution(
                execution_id=id_at(at, self.dice),
                run_id=run_id,
                pipeline_id=pipeline.id,
                task_id=task.id,
                created_at=at,
            )
            for task in pipeline.tasks
        ]
        return Rehearsal(
            RunSnapshot(run, pipeline, edition.graph, executions),
            _Player(self, edition, planned),
            rules=self.rules,
            new_id=lambda now: id_at(now, self.dice),
            dice=self.dice,
            epoch=self.epoch,
        )

    def _interval(self, pipeline: Pipeline, logical: datetime) -> tuple[datetime, datetime]:
        """`data_interval`, looked up: working it out anew for each run would be most of the work."""
        schedule = pipeline.schedule
        if schedule is None:
            return logical, logical
        slots = self._slots.get(pipeline.id)
        if slots is None:
            slots = self._slots[pipeline.id] = list(slots_between(schedule, self.plan.since, self.plan.until))
        place = bisect_left(slots, logical)
        return (slots[place - 1], logical) if place else data_interval(schedule, logical)

    def _asked_for(self, rehearsal: Rehearsal, by: Actor, at: datetime) -> None:
        run = rehearsal.snapshot.run
        command = hands.Answered(
            name="run.trigger",
            by=by,
            at=at,
            request_id=id_at(at, self.dice),
            resource=("RUN", run.run_id),
            arguments={"pipeline_id": run.pipeline_id, "run_id": run.run_id, "parameters": dict(run.parameters)},
            message=f"Run {run.run_id} is made",
            touched=[run.run_id],
        )
        hands.answered(rehearsal, command)

    # -- what people do about it -------------------------------------------------------------------------------

    def _somebody(self) -> Actor:
        return PEOPLE[int(self.dice() * len(PEOPLE))]

    def _put_right(self, rehearsal: Rehearsal) -> None:
        story, until = rehearsal.story, self.plan.until
        if story.run.state is not RunState.FAILED:
            return
        age = until - story.end
        care = 0.93 if age > timedelta(days=2) else 0.45 if age > timedelta(hours=12) else 0.0
        now = story.end + timedelta(minutes=20 + 400 * self.dice())
        if self.dice() > care or now + timedelta(hours=1) > until:
            return
        by, request = self._somebody(), id_at(now, self.dice)
        letters, choice = list(story.letters.values()), self.dice()
        story.end = now
        if choice < 0.4 or not letters:
            hands.retry(rehearsal, by, request, now)
        elif choice < 0.65:
            hands.requeue(rehearsal, letters[0], _edit(letters[0].config), by, request, now)
        elif choice < 0.8:
            key = (letters[0].task_id, letters[0].map_index)
            hands.mark_success(rehearsal, key, by, self._why(), request, now)
        else:
            for letter in letters:
                hands.discard(rehearsal, letter, self._why(), by, id_at(now, self.dice), now)
        rehearsal.play()

    def _why(self) -> str:
        return REASONS[int(self.dice() * len(REASONS))]


def _edit(config: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody changes before it is tried again."""
    arguments = config.get("args")
    return {"args.bad_rows": "skip"} if isinstance(arguments, Mapping) and "bad_rows" in arguments else {}


class _Player:
    """The cast of one run (engine.rules.story.Cast)."""

    def __init__(self, chronicle: Chronicle, edition: Edition, planned: Planned) -> None:
        self._chronicle = chronicle
        self._edition = edition
        self._planned = planned
        self._victim = _victim(edition.pipeline) if planned.mishap is not None else None

    def wait(self, task: Task, execution: TaskExecution) -> float:
        dice = self._chronicle.dice
        return 0.02 + 0.4 * dice() + (12.0 * dice() ** 4 if task.pool else 0.0)

    def fate(self, task: Task, execution: TaskExecution, at: datetime) -> Fate:
        chronicle, dice = self._chronicle, self._chronicle.dice
        if task.type == "sensor":
            return sensing(task, dice)
        pipeline_id, plan = self._edition.pipeline.id, chronicle.plan
        usual = temper(pipeline_id, task)
        seconds = min(seconds_on(usual, (at - plan.since).days / 7, at, dice), 0.9 * task.timeout_seconds)
        if plan.crash is not None and at < plan.crash < at + timedelta(seconds=seconds):
            lost = passing(task, (plan.crash - at).total_seconds(), usual, dice)
            return replace(lost, lost="the engine ended without a word", exit_code=None)
        if task.id == self._victim and execution.sequence == 0 and self._planned.mishap is not None:
            return failing(self._planned.mishap, seconds, usual, dice)
        kind = plan.trouble(at)
        if kind is not None and dice() < 0.5 and execution.sequence == 0:
            return failing(kind, seconds, usual, dice)
        habit = habitual(pipeline_id, task, execution, dice)
        if habit is not None and habit.kind is None:
            return skipping(habit.skip, seconds)
        if habit is not None and habit.kind is not None:
            return failing(habit.kind, seconds, usual, dice)
        if dice() < _MISFORTUNE and task.type != "notify":
            return failing(some_kind(dice), seconds, usual, dice)
        return passing(task, seconds, usual, dice)

    def answer(self, task: Task, field: str) -> Any:
        dice = self._chronicle.dice
        if field == "foreach":
            return [{"site": site, "city": city} for site, city in _WAREHOUSES]
        if field == "choose":
            below = self._edition.graph.downstream[task.id]
            return below[0 if dice() < 0.8 else -1] if below else []
        return dice() < (0.1 if task.type == "notify" else 0.85)

    def child(self, task: Task, execution: TaskExecution, at: datetime) -> Story | None:
        chronicle = self._chronicle
        piece = chronicle.pieces.get(str(task.config.get("pipeline")))
        if piece is None:
            return None
        run_id = f"{piece.newest.id}__{execution.execution_id}"
        planned = Planned(at=at, pipeline_id=piece.newest.id)
        rehearsal = chronicle.rehearse(piece, run_id, at, f"run:{execution.run_id}", planned, execution)
        rehearsal.begin(at)
        rehearsal.play()
        return rehearsal.story


def _victim(pipeline: Pipeline) -> str | None:
    """The task that a mishap befalls: the first real one whose failure is not what it waits for."""
    plain = [task for task in pipeline.tasks if task.trigger_rule is TriggerRule.ALL_SUCCESS]
    for kind in ("python", "shell"):
        for task in plain:
            if task.type == kind:
                return task.id
    return None
