"""Schedules: a watermark each, a place in the wake-up heap, and runs made from slots.

Law: the watermark and the runs it stands for are one commit, and a run's id is made from its slot, so a slot fires
once whatever crashes. An edit, a resume or a first sight never fires what lies behind it, unless catch-up says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from engine.model.errors import NotFound, PenstockError, Refused
from engine.model.pipeline import Pipeline
from engine.model.run import RunState
from engine.model.schedule import Schedule
from engine.ports import failpoint
from engine.ports.store import ScheduleState
from engine.rules import schedule as rules
from engine.rules.context import iso
from engine.rules.schedule_overlap import CancelThenFire, Skip, overlap
from engine.rules.snapshot import RunSnapshot
from engine.runtime.desk import Desk
from engine.runtime.runs import Order, Runs

Cancel = Callable[[RunSnapshot, str, str], None]


class Schedules:
    """Every pipeline's schedule under the workspace's profile."""

    def __init__(self, desk: Desk, runs: Runs) -> None:
        self.desk = desk
        self.runs = runs
        self.cancel: Cancel | None = None
        self.profile = desk.tools.settings.profile
        self._states: dict[str, ScheduleState] = {
            state.pipeline_id: state for state in desk.tools.store.schedules() if state.profile == self.profile
        }
        self._seen: dict[str, Schedule] = {}

    def refresh(self) -> None:
        """After start and after every change of definitions: see to it that each schedule rings."""
        usable = set(self.desk.tools.catalog.ids())
        for pipeline_id in usable:
            try:
                pipeline = self.desk.tools.catalog.get(pipeline_id)
            except PenstockError:
                continue
            if pipeline.schedule is not None:
                self._adopt(pipeline, pipeline.schedule)
            else:
                self._forget(pipeline_id)
        for pipeline_id in set(self._seen) - usable:
            self._forget(pipeline_id)

    def _forget(self, pipeline_id: str) -> None:
        if self._seen.pop(pipeline_id, None) is not None:
            self.desk.timers.drop(f"schedule:{pipeline_id}")
            state = self._states.get(pipeline_id)
            if state is not None:
                self._save(replace(state, next_fire=None))

    def _adopt(self, pipeline: Pipeline, schedule: Schedule) -> None:
        known, seen = self._states.get(pipeline.id), self._seen.get(pipeline.id)
        key = fingerprint(schedule)
        state = known or ScheduleState(pipeline_id=pipeline.id, profile=self.profile)
        if state.cron_key != key:
            state = replace(state, cron_key=key, last_slot=self._after_edit(seen, schedule, state))
            self.desk.event("schedule.updated", pipeline_id=pipeline.id, cron=schedule.cron)
        self._seen[pipeline.id] = schedule
        if state != known:
            self._save(state)
        self.ring(pipeline.id)

    def _after_edit(self, old: Schedule | None, new: Schedule, state: ScheduleState) -> datetime:
        if state.last_slot is None:
            return rules.initial_watermark(new, self.desk.now)
        if old is None:
            return max(state.last_slot, self.desk.now)
        return rules.watermark_after_edit(old, new, state.last_slot, self.desk.now)

    def ring(self, pipeline_id: str) -> None:
        """Decide what is due, and set the next alarm."""
        schedule, state = self._seen.get(pipeline_id), self._states.get(pipeline_id)
        if schedule is None or state is None:
            return
        decision = rules.due(schedule, state.last_slot, self.desk.now, paused=state.paused)
        for slot in decision.fire:
            state = self._fire(pipeline_id, schedule, slot, state, catching_up=decision.catching_up)
        for skipped in decision.blacked_out:
            state = replace(state, skipped=state.skipped + 1, last_skip_reason=skipped.sentence)
            self.desk.event("schedule.skipped", pipeline_id=pipeline_id, reason=skipped.sentence)
        if decision.passed_over:
            reason = f"{decision.passed_over} missed slots were passed over (catchup is false)"
            state = replace(state, skipped=state.skipped + decision.passed_over, last_skip_reason=reason)
        mark = decision.watermark
        after = max(mark or self.desk.now, self.desk.now)
        wake = None if state.paused else (self.desk.now if decision.more else rules.next_wake(schedule, after))
        state = replace(state, last_slot=mark, next_fire=wake)
        if state != self._states[pipeline_id]:
            self._save(state)
        if wake is None:
            self.desk.timers.drop(f"schedule:{pipeline_id}")
        else:
            self.desk.timers.set(f"schedule:{pipeline_id}", wake, lambda: self.ring(pipeline_id))

    def _fire(
        self, pipeline_id: str, schedule: Schedule, slot: datetime, state: ScheduleState, *, catching_up: bool
    ) -> ScheduleState:
        tools = self.desk.tools
        run_id = rules.scheduled_run_id(pipeline_id, slot, self.profile)
        if run_id in self.desk.runs or tools.store.run_exists(run_id):
            return state
        try:
            pipeline = tools.catalog.get(pipeline_id)
            parameters = tools.catalog.bind_parameters(pipeline, {}, schedule=True)
        except PenstockError as error:
            self.desk.event("schedule.skipped", pipeline_id=pipeline_id, reason=str(error), slot=iso(slot))
            return replace(state, skipped=state.skipped + 1, last_skip_reason=str(error))
        active = self._active(pipeline_id)
        answer = overlap(schedule.policy, len(active), pipeline.execution.max_active_runs, catching_up=catching_up)
        if isinstance(answer, Skip):
            reason = f"slot {iso(slot)}: {answer.reason}"
            self.desk.event("schedule.skipped", pipeline_id=pipeline_id, reason=reason, slot=iso(slot))
            return replace(state, skipped=state.skipped + 1, last_skip_reason=reason)
        if isinstance(answer, CancelThenFire) and self.cancel is not None:
            for old in active[: answer.cancel]:
                self.cancel(old, "system", f"cancelled for slot {iso(slot)}: {answer.reason}")
        self.desk.event("schedule.triggered", pipeline_id=pipeline_id, slot=iso(slot), run_id=run_id)
        self.runs.make(
            Order(
                pipeline=pipeline,
                run_id=run_id,
                triggered_by=f"schedule:{pipeline_id}",
                logical_date=slot,
                parameters=parameters,
                profile=self.profile,
                slot=slot,
            )
        )
        failpoint.hit("schedules.fired")
        return state

    def _active(self, pipeline_id: str) -> list[RunSnapshot]:
        """Runs that count against max_active_runs, the oldest first."""
        runs = [
            run
            for run in self.desk.runs.values()
            if run.run.pipeline_id == pipeline_id
            and run.run.profile == self.profile
            and run.run.state in (RunState.PENDING, RunState.RUNNING)
        ]
        return sorted(runs, key=lambda run: run.run.logical_date)

    # -- by hand -----------------------------------------------------------------------------------------------

    def pause(self, pipeline_id: str, by: str, reason: str) -> None:
        """No slot fires until it is resumed."""
        state = self._state(pipeline_id)
        if state.paused:
            raise Refused(
                f"The schedule of '{pipeline_id}' is paused already, by {state.paused_by}: {state.pause_reason}"
            )
        self._save(
            replace(state, paused=True, paused_by=by, pause_reason=reason, paused_at=self.desk.now, next_fire=None)
        )
        self.desk.timers.drop(f"schedule:{pipeline_id}")
        self.desk.event("schedule.paused", pipeline_id=pipeline_id, by=by, reason=reason)

    def resume(self, pipeline_id: str) -> str:
        """Fire again from now on; with catch-up, also what was missed. Says which."""
        state = self._state(pipeline_id)
        if not state.paused:
            raise Refused(f"The schedule of '{pipeline_id}' is not paused")
        schedule = self._seen.get(pipeline_id) or self._schedule(pipeline_id)
        coming = rules.resume_consequence(schedule, state.last_slot, self.desk.now)
        mark = rules.watermark_after_resume(schedule, state.last_slot, self.desk.now)
        fresh = replace(state, paused=False, paused_by=None, pause_reason=None, paused_at=None, last_slot=mark)
        self._save(replace(fresh, next_fire=rules.next_wake(schedule, max(mark, self.desk.now))))
        self.desk.event("schedule.resumed", pipeline_id=pipeline_id)
        if pipeline_id in self._seen:
            self.ring(pipeline_id)
        if coming.fire:
            return f"{len(coming.fire)}{' or more' if coming.more else ''} missed slots fire now"
        return f"{coming.passed_over} missed slots do not fire" if coming.passed_over else "nothing was missed"

    def _state(self, pipeline_id: str) -> ScheduleState:
        schedule = self._schedule(pipeline_id)
        known = self._states.get(pipeline_id)
        if known is not None:
            return known
        return ScheduleState(
            pipeline_id=pipeline_id,
            profile=self.profile,
            cron_key=fingerprint(schedule),
            last_slot=rules.initial_watermark(schedule, self.desk.now),
        )

    def _schedule(self, pipeline_id: str) -> Schedule:
        schedule = self.desk.tools.catalog.get(pipeline_id).schedule
        if schedule is None:
            raise NotFound(f"Pipeline '{pipeline_id}' has no schedule")
        return schedule

    def _save(self, state: ScheduleState) -> None:
        state = replace(state, updated_at=self.desk.now)
        self._states[state.pipeline_id] = state
        self.desk.batch.changes.schedules[(state.pipeline_id, state.profile)] = state


def fingerprint(schedule: Schedule) -> str:
    """What an edit of makes another schedule."""
    return "|".join(
        [
            schedule.cron,
            schedule.timezone,
            iso(schedule.start_date) if schedule.start_date else "",
            str(schedule.catchup),
            str(schedule.enabled),
        ]
    )
