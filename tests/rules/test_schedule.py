"""Which slots are due (SCH-04, SCH-06 to SCH-08, SCH-10, FAULTS 22 to 24, PEERS 21)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.schedule import Blackout, Schedule
from engine.rules.schedule import (
    blackout_at,
    bound_instant,
    data_interval,
    due,
    initial_watermark,
    next_run_time,
    next_wake,
    resume_consequence,
    scheduled_run_id,
    slots_between,
    upcoming,
    watermark_after_edit,
    watermark_after_resume,
)
from tests.rules.cron_oracle import Window, fires

TICK = timedelta(microseconds=1)
HOURLY = Schedule(cron="0 * * * *")
NIGHTLY = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
EVENING = Blackout(start=time(22), end=time(23, 30))
NIGHT = Blackout(start=time(22), end=time(6))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def with_(schedule: Schedule, **changed: object) -> Schedule:
    names = ("cron", "timezone", "start_date", "end_date", "catchup", "policy", "blackout", "enabled")
    return Schedule(**({name: getattr(schedule, name) for name in names} | changed))


def hours(slots: tuple[datetime, ...]) -> list[int]:
    return [slot.hour for slot in slots]


def test_a_slot_is_due_when_its_time_has_come_and_then_no_more() -> None:
    """SCH-06."""
    mark = utc("2024-01-01T09:00")
    assert due(HOURLY, mark, utc("2024-01-01T09:59:59")).fire == ()
    decision = due(HOURLY, mark, utc("2024-01-01T10:00"))
    assert decision.fire == (utc("2024-01-01T10:00"),)
    assert (decision.watermark, decision.catching_up, decision.passed_over) == (decision.fire[0], False, 0)
    assert due(HOURLY, decision.watermark, utc("2024-01-01T10:00:30")).fire == ()


def test_three_days_down_without_catchup_fire_the_latest_alone() -> None:
    """SCH-07, FAULTS 24."""
    decision = due(HOURLY, utc("2024-01-01T09:00"), utc("2024-01-04T09:20"))
    assert decision.fire == (utc("2024-01-04T09:00"),)
    assert (decision.passed_over, decision.watermark) == (71, utc("2024-01-04T09:00"))


def test_three_days_down_with_catchup_fire_every_slot_in_order() -> None:
    """SCH-07, FAULTS 24."""
    decision = due(with_(HOURLY, catchup=True), utc("2024-01-01T09:00"), utc("2024-01-04T09:20"))
    assert decision.fire == tuple(utc("2024-01-01T10:00") + timedelta(hours=n) for n in range(72))
    assert (decision.catching_up, decision.more) == (True, False)


def test_a_catchup_comes_in_parts_and_never_ends_in_a_single_slot() -> None:
    """SCH-07: bounded decisions."""
    schedule, now = with_(HOURLY, catchup=True), utc("2024-01-01T21:00")
    first = due(schedule, utc("2024-01-01T00:00"), now, limit=10)
    assert (hours(first.fire), first.more) == (list(range(1, 11)), True)
    second = due(schedule, first.watermark, now, limit=10)
    assert (hours(second.fire), second.more, second.catching_up) == (list(range(11, 22)), False, True)


def test_years_of_minutes_passed_over_are_counted_only_so_far() -> None:
    decision = due(with_(HOURLY, cron="* * * * *"), utc("2020-01-01"), utc("2024-01-01"))
    assert (decision.fire, decision.passed_over) == ((utc("2024-01-01"),), 1000)


def test_a_schedule_first_seen_fires_nothing_old() -> None:
    """PEERS 21."""
    now = utc("2024-01-01T09:20")
    decision = due(with_(HOURLY, start_date=utc("2023-01-01")), None, now)
    assert (decision.fire, decision.watermark) == ((), now)
    assert due(HOURLY, decision.watermark, utc("2024-01-01T10:00")).fire == (utc("2024-01-01T10:00"),)


def test_a_schedule_first_seen_with_catchup_begins_at_its_start_date() -> None:
    """SCH-07, SCH-08."""
    schedule = with_(HOURLY, catchup=True, start_date=utc("2024-01-01T07:00"))
    assert hours(due(schedule, None, utc("2024-01-01T09:20")).fire) == [7, 8, 9]
    early = due(schedule, None, utc("2023-12-31"))
    assert early.fire == ()
    assert hours(due(schedule, early.watermark, utc("2024-01-01T09:20")).fire) == [7, 8, 9]


def test_start_and_end_dates_bound_the_slots() -> None:
    """SCH-08: both included."""
    bounded = with_(HOURLY, catchup=True, start_date=utc("2024-01-01T03:00"), end_date=utc("2024-01-01T05:00"))
    assert hours(due(bounded, utc("2024-01-01T00:00"), utc("2024-01-02T00:00")).fire) == [3, 4, 5]
    latest = due(with_(bounded, catchup=False), utc("2024-01-01T00:00"), utc("2024-01-02T00:00"))
    assert (hours(latest.fire), latest.passed_over) == ([5], 2)
    assert next_wake(bounded, utc("2023-06-01")) == utc("2024-01-01T03:00")
    assert next_wake(bounded, utc("2024-01-01T05:00")) is None
    assert [slot.at.hour for slot in upcoming(bounded, utc("2023-06-01"))] == [3, 4, 5]


def test_a_clock_put_back_fires_nothing_twice() -> None:
    """SCH-06, FAULTS 22."""
    ahead = due(HOURLY, utc("2024-01-01T09:00"), utc("2024-01-01T15:00"))
    assert hours(ahead.fire) == [15]
    back = due(HOURLY, ahead.watermark, utc("2024-01-01T10:00"))
    assert (back.fire, back.watermark) == ((), ahead.watermark)


def test_paused_or_disabled_schedules_fire_nothing_and_forget_nothing() -> None:
    """SCH-08, SCH-10."""
    mark, now = utc("2024-01-01T09:00"), utc("2024-01-01T12:00")
    for decision in (due(HOURLY, mark, now, paused=True), due(with_(HOURLY, enabled=False), mark, now)):
        assert (decision.fire, decision.watermark) == ((), mark)
    disabled = with_(HOURLY, enabled=False)
    assert next_wake(disabled, mark) is None
    assert next_run_time(disabled, mark) is None
    assert list(upcoming(disabled, mark)) == []


def test_resuming_without_catchup_fires_nothing_old_and_says_what_is_passed_over() -> None:
    """PEERS 21."""
    mark, now = utc("2024-01-01T09:00"), utc("2024-01-01T12:20")
    consequence = resume_consequence(HOURLY, mark, now)
    assert (consequence.fire, consequence.passed_over) == ((), 3)
    resumed = watermark_after_resume(HOURLY, mark, now)
    assert due(HOURLY, resumed, now).fire == ()
    assert hours(due(HOURLY, resumed, utc("2024-01-01T13:00")).fire) == [13]


def test_resuming_with_catchup_fires_just_what_was_shown_before() -> None:
    """SCH-10."""
    schedule, mark, now = with_(HOURLY, catchup=True), utc("2024-01-01T09:00"), utc("2024-01-01T12:20")
    shown = resume_consequence(schedule, mark, now)
    assert hours(shown.fire) == [10, 11, 12]
    assert due(schedule, watermark_after_resume(schedule, mark, now), now) == shown
    assert resume_consequence(schedule, mark, now, limit=1).more


def test_a_schedule_paused_before_it_ever_fired_resumes_from_now() -> None:
    now = utc("2024-01-01T12:20")
    assert watermark_after_resume(HOURLY, None, now) == now == initial_watermark(HOURLY, now)


@pytest.mark.parametrize("catchup", [False, True])
def test_editing_the_cron_fires_nothing_old(catchup: bool) -> None:
    """PEERS 21: slots the new cron would have had before the edit are not missed ones."""
    mark, now = utc("2024-01-01T02:00"), utc("2024-01-01T15:20")
    old, new = Schedule(cron="0 2 * * *", catchup=catchup), Schedule(cron="0 * * * *", catchup=catchup)
    edited = watermark_after_edit(old, new, mark, now)
    assert due(new, edited, now).fire == ()
    assert hours(due(new, edited, utc("2024-01-01T16:00")).fire) == [16]


def test_an_edit_while_slots_are_owed_still_catches_up() -> None:
    """SCH-07: what was owed is not lost by an edit made while the engine was down."""
    mark, now = utc("2024-01-01T02:00"), utc("2024-01-03T01:00")
    old, new = Schedule(cron="0 2 * * *", catchup=True), Schedule(cron="0 3 * * *", catchup=True)
    edited = watermark_after_edit(old, new, mark, now)
    assert due(new, edited, now).fire == (utc("2024-01-01T03:00"), utc("2024-01-02T03:00"))
    assert watermark_after_edit(old, with_(new, catchup=False), mark, now) == now
    assert watermark_after_edit(with_(old, catchup=False), new, mark, now) == now
    assert watermark_after_edit(HOURLY, HOURLY, mark, now) == mark
    assert watermark_after_edit(old, with_(new, catchup=False), None, now) == now


def test_a_slot_in_a_blackout_is_skipped_by_name_and_not_made_up_for() -> None:
    """SCH-04."""
    schedule = with_(HOURLY, blackout=(EVENING,), catchup=True)
    decision = due(schedule, utc("2024-01-01T20:00"), utc("2024-01-02T00:00"))
    assert hours(decision.fire) == [21, 0]
    assert [entry.sentence for entry in decision.blacked_out] == [
        "slot 2024-01-01T22:00:00Z is inside the blackout 22:00-23:30 and is skipped",
        "slot 2024-01-01T23:00:00Z is inside the blackout 22:00-23:30 and is skipped",
    ]
    latest = due(with_(schedule, catchup=False), utc("2024-01-01T20:00"), utc("2024-01-01T23:40"))
    assert (latest.fire, len(latest.blacked_out), latest.passed_over) == ((), 1, 2)


@pytest.mark.parametrize(
    ("blackout", "inside", "outside"),
    [
        (EVENING, ["22:00", "23:29"], ["21:59", "23:30", "00:00"]),
        (NIGHT, ["22:00", "00:00", "05:59"], ["21:59", "06:00"]),
        (Blackout(start=time(0), end=time(0)), ["00:00", "12:00"], []),
    ],
)
def test_blackouts_are_read_on_the_local_clock(blackout: Blackout, inside: list[str], outside: list[str]) -> None:
    """SCH-04: they may cross midnight."""
    schedule = Schedule(cron="@hourly", timezone="Asia/Kathmandu", blackout=(blackout,))  # UTC+05:45
    for texts, expected in ((inside, blackout), (outside, None)):
        for text in texts:
            local = utc(f"2024-01-01T{text}") - timedelta(hours=5, minutes=45)
            assert blackout_at(schedule, local) == expected


def test_the_next_run_is_the_next_slot_outside_blackouts() -> None:
    """SCH-10, SCH-04."""
    schedule = with_(HOURLY, cron="* * * * *", blackout=(NIGHT,))
    assert next_wake(schedule, utc("2024-01-01T21:59")) == utc("2024-01-01T22:00")
    assert next_run_time(schedule, utc("2024-01-01T21:59")) == utc("2024-01-02T06:00")
    assert next_run_time(with_(schedule, cron="0 23 * * *"), utc("2024-01-01")) is None


def test_upcoming_slots_tell_clock_changes_and_blackouts() -> None:
    """PEERS 22."""
    schedule = with_(NIGHTLY, cron="30 2,23 * * *", blackout=(Blackout(start=time(23), end=time(0)),))
    told = [
        (slot.note, slot.blackout is not None) for slot in islice(upcoming(schedule, utc("2024-03-30T12:00")), 3)
    ]
    assert told == [(None, True), ("moved from 02:30 by the clock change", False), (None, True)]


def test_a_data_interval_ends_at_the_slot_and_begins_at_the_fire_before() -> None:
    slot = utc("2024-03-31T01:00")  # 02:30 in Berlin, moved to the gap's end
    assert data_interval(NIGHTLY, slot) == (utc("2024-03-30T01:30"), slot)
    assert data_interval(NIGHTLY, utc("2024-04-01T00:30")) == (slot, utc("2024-04-01T00:30"))
    assert data_interval(NIGHTLY, utc("2024-01-05T17:00"))[0] == utc("2024-01-05T01:30")  # a run by hand


def test_data_intervals_cover_blacked_out_slots_without_a_hole() -> None:
    schedule = with_(HOURLY, blackout=(NIGHT,))
    slots = list(slots_between(schedule, utc("2024-01-01T00:00"), utc("2024-01-03T00:00")))
    assert hours(tuple(slots)) == [*range(6, 22), *range(6, 22)]
    assert all(data_interval(schedule, after) == (before, after) for before, after in pairwise(slots))
    never = with_(HOURLY, blackout=(Blackout(start=time(0), end=time(0)),))
    assert data_interval(never, utc("2024-01-01T05:00"))[0] == utc("2024-01-01T04:00")


def test_dates_become_instants_in_the_schedules_zone() -> None:
    """SCH-08: the last day counts in full."""
    assert bound_instant(date(2024, 7, 1), "Europe/Berlin") == utc("2024-06-30T22:00")
    assert bound_instant(date(2024, 7, 1), "Europe/Berlin", last=True) == utc("2024-07-01T22:00") - TICK
    naive = datetime(2024, 7, 1, 12, 0)
    assert bound_instant(naive, "Europe/Berlin") == utc("2024-07-01T10:00")
    assert bound_instant(utc("2024-07-01"), "Europe/Berlin", last=True) == utc("2024-07-01")


def test_a_scheduled_run_has_the_same_id_whoever_makes_it() -> None:
    """SCH-06."""
    slot = utc("2024-03-31T01:00")
    assert scheduled_run_id("orders_daily", slot) == "scheduled__orders_daily__20240331T010000Z"
    berlin = slot.astimezone(ZoneInfo("Europe/Berlin"))
    assert (
        scheduled_run_id("orders_daily", berlin, "postgres")
        == "scheduled__orders_daily__20240331T010000Z__postgres"
    )
    assert scheduled_run_id("p", slot, "a b") == "scheduled__p__20240331T010000Z__a-20b"


# ---------------- any history of an engine that comes and goes

SIMULATED = [
    ("*/20 * * * *", "Europe/Berlin", utc("2024-03-30T12:00")),
    ("30 2 * * *", "Europe/Berlin", utc("2024-10-26T00:00")),
    ("*/15 1-3 * * *", "Australia/Lord_Howe", utc("2024-04-06T00:00")),
    ("0 */3 * * *", "America/Havana", utc("2024-11-02T12:00")),
    ("45 23 28,29,1 2,3 *", "UTC", utc("2024-02-28T00:00")),
]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Schedule, Window, list[datetime]]:
    """A schedule, and the moments within three days at which an engine happens to look at it."""
    cron, name, start = draw(st.sampled_from(SIMULATED))
    looks = draw(st.lists(st.integers(0, 3 * 24 * 60 * 60), max_size=25).map(sorted))
    blackout = draw(st.sampled_from([(), (EVENING,), (Blackout(start=time(1), end=time(2, 40)), NIGHT)]))
    window = Window(name, start, start + timedelta(days=3))
    moments = [start + timedelta(seconds=second) for second in looks] + [window.end]
    return Schedule(cron=cron, timezone=name, blackout=blackout), window, moments


def expected_slots(schedule: Schedule, window: Window) -> list[datetime]:
    return [at for at in fires(schedule.cron, window) if at > window.start and blackout_at(schedule, at) is None]


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(1, 30))
def test_with_catchup_any_history_fires_every_slot_exactly_once(
    history: tuple[Schedule, Window, list[datetime]], limit: int
) -> None:
    """SCH-06, SCH-07, FAULTS 23 and 24: nothing lost, nothing double."""
    schedule, window, moments = history
    schedule = with_(schedule, catchup=True)
    fired: list[datetime] = []
    skipped: list[datetime] = []
    mark: datetime | None = window.start
    for now in moments:
        more = True
        while more:
            decision = due(schedule, mark, now, limit=limit)
            fired += decision.fire
            skipped += [entry.slot for entry in decision.blacked_out]
            mark, more = decision.watermark, decision.more
    assert fired == expected_slots(schedule, window)
    assert sorted(fired + skipped) == [at for at in fires(schedule.cron, window) if at > window.start]


@settings(max_examples=60, deadline=None)
@given(histories())
def test_without_catchup_any_history_fires_the_latest_only_and_never_twice(
    history: tuple[Schedule, Window, list[datetime]],
) -> None:
    """SCH-06, SCH-07, FAULTS 24: at every look, the one slot that is the latest by then."""
    schedule, window, moments = history
    every = [at for at in fires(schedule.cron, window) if at > window.start]
    mark: datetime | None = window.start
    for now in moments:
        fresh = [at for at in every if mark is not None and mark < at <= now]
        decision = due(schedule, mark, now)
        assert list(decision.fire) == [at for at in fresh[-1:] if blackout_at(schedule, at) is None]
        assert decision.passed_over == max(len(fresh) - 1, 0)
        assert decision.watermark == (fresh[-1] if fresh else mark)
        mark = decision.watermark


@settings(max_examples=60, deadline=None)
@given(histories())
def test_waking_at_every_next_wake_misses_nothing(history: tuple[Schedule, Window, list[datetime]]) -> None:
    """SCH-02: an engine that is up needs no catch-up."""
    schedule, window, _ = history
    fired: list[datetime] = []
    mark = window.start
    while (wake := next_wake(schedule, mark, until=window.end)) is not None:
        decision = due(schedule, mark, wake)
        assert decision.passed_over == 0
        assert decision.watermark == wake
        fired += decision.fire
        mark = wake
    assert fired == expected_slots(schedule, window)


@settings(max_examples=60, deadline=None)
@given(histories())
def test_next_run_and_data_intervals_follow_the_fires(history: tuple[Schedule, Window, list[datetime]]) -> None:
    """SCH-10: stepping from run to run sees the same slots, and each interval begins where the last one ended."""
    schedule, window, _ = history
    slots = expected_slots(schedule, window)
    for before, after in pairwise(slots):
        assert next_run_time(schedule, before) == after
        assert data_interval(schedule, after) == (before, after)
