"""When the runs of a chronicle begin, and what is in store for them.

Law: pure; a plan is made before anything is told. Slots come from the schedules as they are; what is asked for
beyond them is begun by people. The last night always has one failure of each queue that nobody has looked at yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engine.model.errors import ErrorKind
from engine.model.event import Actor
from engine.model.schedule import Schedule
from engine.rules.habits import Dice
from engine.rules.schedule import next_run_time, slots_between

PEOPLE = (
    Actor(name="mette@10.20.1.14", address="10.20.1.14"),
    Actor(name="jonas@10.20.1.22", address="10.20.1.22"),
    Actor(name="aylin@10.20.7.3", address="10.20.7.3"),
)
LAST_NIGHT = (
    ErrorKind.NETWORK, ErrorKind.DATA_QUALITY, ErrorKind.CONFIGURATION, ErrorKind.LOGIC,
)  # fmt: skip
_CALM = timedelta(minutes=45)  # before the end nothing begins any more: everything has time to end
_CANCELLED = 0.012
_BY_HAND = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One run to come."""

    at: datetime
    pipeline_id: str
    slot: datetime | None = None
    by: Actor | None = None  # who asked for it; None: the schedule
    mishap: ErrorKind | None = None  # what befalls it for certain
    left_alone: bool = False  # nobody has put it right yet
    cancel_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A schedule that stood still."""

    pipeline_id: str
    since: datetime
    until: datetime | None  # None: it still does
    by: Actor
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is decided beforehand."""

    since: datetime
    until: datetime
    runs: Sequence[Planned]  # by time
    pauses: Sequence[Pause] = ()
    troubles: Sequence[tuple[datetime, datetime, ErrorKind]] = ()  # nights on which something else was down
    crash: datetime | None = None  # the engine ended without a word

    def trouble(self, at: datetime) -> ErrorKind | None:
        """What is down then."""
        return next((kind for start, end, kind in self.troubles if start <= at < end), None)


def plan(
    schedules: Mapping[str, Schedule | None], *, since: datetime, until: datetime, runs: int | None, dice: Dice
) -> Plan:
    """All runs from `since` to `until`; with `runs` as many as that, the newest slots first."""
    last = max(since, until - _CALM)
    pauses = _pauses(schedules, since, until, dice)
    planned = [
        Planned(at=slot, pipeline_id=pipeline_id, slot=slot)
        for pipeline_id, schedule in schedules.items()
        if schedule is not None and schedule.enabled
        for slot in slots_between(schedule, max(since, schedule.start_date or since), last)
        if not any(_stands_still(pause, pipeline_id, slot) for pause in pauses)
    ]
    planned.sort(key=lambda each: (each.at, each.pipeline_id))
    if runs is not None:
        planned = planned[-runs:] if runs else []
    more = int(len(planned) * _BY_HAND) if runs is None else runs - len(planned)
    planned += _by_hand(list(schedules), since, last, more, dice)
    planned.sort(key=lambda each: (each.at, each.pipeline_id, each.slot is None))
    _strike(planned, until, dice)
    return Plan(
        since=since,
        until=until,
        runs=planned,
        pauses=pauses,
        troubles=_troubles(since, until, dice),
        crash=_crash(planned, dice),
    )


def _crash(planned: Sequence[Planned], dice: Dice) -> datetime | None:
    """Some seconds into a run that is about in the middle: what runs then is lost."""
    if len(planned) < 10:
        return None
    return planned[int(len(planned) * (0.5 + 0.3 * dice()))].at + timedelta(seconds=1.2)


def _by_hand(names: Sequence[str], since: datetime, last: datetime, count: int, dice: Dice) -> list[Planned]:
    found = []
    span = last - since
    for _ in range(count if names else 0):
        at = since + span * dice()
        if count < 1000:  # few enough for people at work
            at = at.replace(hour=6 + int(dice() * 12))
            at = at if at < last else last - timedelta(minutes=60 * dice())
        name, by = names[int(dice() * len(names))], PEOPLE[int(dice() * len(PEOPLE))]
        found.append(Planned(at=at, pipeline_id=name, by=by))
    return found


def _strike(planned: list[Planned], until: datetime, dice: Dice) -> None:
    """Say which runs are cancelled, and what befalls those of the last night."""
    for place, each in enumerate(planned):
        if dice() < _CANCELLED:
            planned[place] = replace(each, cancel_after=timedelta(seconds=1 + 20 * dice()))
    fresh = [place for place, each in enumerate(planned) if each.at > until - timedelta(hours=24)]
    fresh = fresh or list(range(len(planned)))[-len(LAST_NIGHT) :]
    victims: dict[str, int] = {}
    for place in fresh:
        victims[planned[place].pipeline_id] = place
    chosen = list(dict.fromkeys([*sorted(victims.values()), *reversed(fresh)]))[: len(LAST_NIGHT)]
    for place, kind in zip(chosen, LAST_NIGHT, strict=False):
        planned[place] = replace(planned[place], mishap=kind, left_alone=True, cancel_after=None)


def _troubles(since: datetime, until: datetime, dice: Dice) -> list[tuple[datetime, datetime, ErrorKind]]:
    """A night in about ten on which the network or a neighbour was down for some hours."""
    kinds = (ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.RESOURCE)
    found = []
    for day in range((until - since).days):
        if dice() < 0.1:
            start = (since + timedelta(days=day)).replace(hour=0, minute=30)
            found.append((start, start + timedelta(hours=1 + 3 * dice()), kinds[int(dice() * len(kinds))]))
    return found


def _pauses(schedules: Mapping[str, Schedule | None], since: datetime, until: datetime, dice: Dice) -> list[Pause]:
    """One schedule that was paused for two days, and one, the rarest, that still is."""
    known = {name: schedule for name, schedule in schedules.items() if schedule is not None and schedule.enabled}
    if len(known) < 2 or until - since < timedelta(days=7):
        return []

    def rarity(name: str) -> datetime:
        first = next_run_time(known[name], until)
        second = next_run_time(known[name], first) if first is not None else None
        return until + (second - first) if first is not None and second is not None else until

    by_rarity = sorted(known, key=lambda name: (rarity(name), name))
    somebody = PEOPLE[int(dice() * len(PEOPLE))]
    middle = since + (until - since) * (0.3 + 0.4 * dice())
    return [
        Pause(
            pipeline_id=by_rarity[0],
            since=middle,
            until=middle + timedelta(days=2),
            by=somebody,
            reason="the other side moves to new machines",
        ),
        Pause(
            pipeline_id=by_rarity[-2],
            since=until - timedelta(days=3, hours=4),
            until=None,
            by=somebody,
            reason="waits for the new contract",
        ),
    ]


def _stands_still(pause: Pause, pipeline_id: str, slot: datetime) -> bool:
    return pause.pipeline_id == pipeline_id and slot >= pause.since and (pause.until is None or slot < pause.until)
