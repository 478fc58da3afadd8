"""Schedules as consoles and commands show them: the definition's, with what the store remembers of it.

Law: computes with engine.rules.schedule and stores nothing; what a resume would fire is shown from the same
function that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from engine.client.names import near
from engine.client.views import Json, iso
from engine.model.errors import NotFound, RequestError
from engine.model.pipeline import Pipeline
from engine.model.schedule import Schedule
from engine.ports.catalog import Catalog
from engine.ports.store import ScheduleState
from engine.rules.cron import CronError, TimezoneError
from engine.rules.schedule import next_run_time, resume_consequence, upcoming

MOST_SLOTS = 1_000  # of one schedule, when slots of many are looked at: a week of one each ten minutes


def listing(catalog: Catalog, states: Sequence[ScheduleState], profile: str | None, now: datetime) -> Json:
    """`schedule`: every pipeline that has one."""
    remembered = _by_pipeline(states, profile)
    rows = []
    for pipeline_id in catalog.ids():
        pipeline = catalog.get(pipeline_id)
        if pipeline.schedule is not None:
            rows.append(_row(pipeline, pipeline.schedule, remembered.get(pipeline_id), now))
    return {"schedules": rows}


def scheduled(catalog: Catalog, pipeline_id: str) -> Schedule:
    """The schedule of one pipeline; NotFound and RequestError say what is missing."""
    known = catalog.ids()
    if pipeline_id not in known:
        catalog.get(pipeline_id)  # says why it is unusable, where it exists at all
        raise NotFound(f"There is no pipeline '{pipeline_id}'.{near(pipeline_id, known)}")
    schedule = catalog.get(pipeline_id).schedule
    if schedule is None:
        raise RequestError(f"Pipeline '{pipeline_id}' has no schedule; give it a `schedule:` block first.")
    return schedule


def next_fires(schedule: Schedule, pipeline_id: str, now: datetime, count: int) -> Json:
    """`schedule next`: the slots to come, with what a clock change or a blackout does to them."""
    fires = [
        {
            "at": iso(each.at),
            "local": each.local.isoformat(timespec="seconds"),
            "note": each.note,
            "blackout": str(each.blackout) if each.blackout else None,
        }
        for each in islice(upcoming(schedule, now), count)
    ]
    return {"pipeline_id": pipeline_id, "timezone": schedule.timezone, "fires": fires}


def tried(schedule: Schedule, cron: str, timezone: str, now: datetime, count: int) -> Json:
    """What another expression would fire; nothing is kept. RequestError says what is wrong with it."""
    try:
        other = replace(schedule, cron=cron.strip(), timezone=timezone.strip(), enabled=True)
        return next_fires(other, "", now, count)
    except (CronError, TimezoneError) as error:
        raise RequestError(str(error)) from error


def coming(
    catalog: Catalog, states: Sequence[ScheduleState], profile: str | None, now: datetime, until: datetime
) -> Json:
    """Every slot up to `until` of every schedule that is not paused; `cut` names those that fire too often."""
    remembered = _by_pipeline(states, profile)
    fires: list[dict[str, Any]] = []
    cut = []
    for pipeline_id in catalog.ids():
        schedule = catalog.get(pipeline_id).schedule
        state = remembered.get(pipeline_id)
        if schedule is None or (state is not None and state.paused):
            continue
        slots = [each for each in islice(upcoming(schedule, now), MOST_SLOTS) if each.at <= until]
        if len(slots) == MOST_SLOTS:
            cut.append(pipeline_id)
        fires += [
            {"at": iso(each.at), "pipeline_id": pipeline_id, "note": each.note}
            for each in slots
            if each.blackout is None
        ]
    return {"until": iso(until), "fires": sorted(fires, key=lambda each: each["at"]), "cut": cut}


def consequence(schedule: Schedule, state: ScheduleState | None, now: datetime) -> Json:
    """What a resume would do at once, and when it fires next."""
    due = resume_consequence(schedule, state.last_slot if state else None, now)
    following = next_run_time(schedule, now)
    count = len(due.fire)
    more = " at least" if due.more else ""
    if count:
        first = f"It fires{more} {count} missed slot{'s' if count > 1 else ''} at once"
        first += f", {iso(due.fire[0])} to {iso(due.fire[-1])}" if count > 1 else f", {iso(due.fire[0])}"
    elif due.passed_over:
        first = f"It fires nothing at once; {due.passed_over} missed slots stay unfired (catchup is off)"
    else:
        first = "It fires nothing at once"
    after = f"the next one is {iso(following)}" if following else "there is no next one"
    return {
        "sentence": f"{first}; {after}.",
        "fires": [iso(each) for each in due.fire],
        "passed_over": due.passed_over,
        "more": due.more,
        "next_fire": iso(following),
    }


def state_of(states: Sequence[ScheduleState], pipeline_id: str, profile: str | None) -> ScheduleState | None:
    """What is remembered of one pipeline's schedule."""
    return _by_pipeline(states, profile).get(pipeline_id)


def _by_pipeline(states: Sequence[ScheduleState], profile: str | None) -> Mapping[str, ScheduleState]:
    return {each.pipeline_id: each for each in states if each.profile == profile}


def _row(pipeline: Pipeline, schedule: Schedule, state: ScheduleState | None, now: datetime) -> dict[str, Any]:
    paused = state is not None and state.paused
    following = next_run_time(schedule, now) if schedule.enabled and not paused else None
    return {
        "pipeline_id": pipeline.id,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "policy": schedule.policy.value,
        "catchup": schedule.catchup,
        "start_date": iso(schedule.start_date),
        "end_date": iso(schedule.end_date),
        "blackout": [str(each) for each in schedule.blackout],
        "next_fire": iso(following),
        "paused": paused,
        "paused_by": state.paused_by if state else None,
        "pause_reason": state.pause_reason if state else None,
        "paused_at": iso(state.paused_at) if state else None,
        "last_slot": iso(state.last_slot) if state else None,
        "skipped": state.skipped if state else 0,
        "last_skip_reason": state.last_skip_reason if state else None,
    }
