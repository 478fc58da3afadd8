"""Circuit breakers: when a connection is left alone, and how it comes back (CBR-01 to CBR-04)."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.model.breaker import Breaker, BreakerConfig, BreakerState
from engine.model.errors import ErrorKind, TaskError
from engine.rules.admission import Candidate, Capacity, Held, Holder, Needs, WaitingRoom, admit
from engine.rules.breaker import blamed, failed, sentence, state_at, succeeded
from tests.rules.stage import EPOCH

CONFIG = BreakerConfig()
FRESH = Breaker(connection="shop", updated_at=EPOCH)
NETWORK = TaskError(type="NetworkError", kind=ErrorKind.NETWORK, message="Connection 'shop': no route")


def tripped(times: int = 5) -> Breaker:
    breaker = FRESH
    for _ in range(times):
        breaker = failed(breaker, CONFIG, "no route", EPOCH)
    return breaker


def test_it_opens_at_the_threshold_and_not_before() -> None:
    """CBR-02: failure_threshold 5."""
    assert tripped(4).state is BreakerState.CLOSED
    opened = tripped(5)
    assert opened.state is BreakerState.OPEN
    assert opened.retry_at == EPOCH + timedelta(seconds=60)


def test_half_of_all_calls_failing_opens_it_though_never_twice_in_a_row() -> None:
    """REQUIREMENTS 3.4: a count that successes take back would never open here."""
    breaker = FRESH
    for _ in range(5):
        breaker = succeeded(failed(breaker, CONFIG, "no route", EPOCH), CONFIG, EPOCH)
    assert breaker.state is BreakerState.OPEN


def test_failures_that_have_left_the_window_do_not_count() -> None:
    config = BreakerConfig(window_size=10)
    breaker = FRESH
    for _ in range(4):
        breaker = failed(breaker, config, "no route", EPOCH)
    for _ in range(10):
        breaker = succeeded(breaker, config, EPOCH)
    assert failed(breaker, config, "no route", EPOCH).state is BreakerState.CLOSED


def test_good_probes_close_it_and_forget_what_was() -> None:
    """CBR-03: success_threshold 3."""
    later = EPOCH + timedelta(seconds=60)
    breaker = tripped()
    assert state_at(breaker, later) is BreakerState.HALF_OPEN
    for expected in (BreakerState.HALF_OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED):
        breaker = succeeded(breaker, CONFIG, later)
        assert breaker.state is expected
    assert breaker.calls == "" and breaker.open_seconds == 0


def test_a_bad_probe_opens_it_for_twice_as_long_up_to_five_minutes() -> None:
    """C-23."""
    breaker, now, spans = tripped(), EPOCH, []
    for _ in range(5):
        assert breaker.retry_at is not None
        now = breaker.retry_at
        breaker = failed(breaker, CONFIG, "no route", now)
        spans.append(breaker.open_seconds)
    assert spans == [120, 240, 300, 300, 300]


def test_what_ends_while_it_is_open_proves_nothing() -> None:
    breaker = tripped()
    assert succeeded(breaker, CONFIG, EPOCH) is breaker
    assert failed(breaker, CONFIG, "late", EPOCH) is breaker


def test_it_stays_open_as_long_as_the_other_side_asks_within_bounds() -> None:
    """FAULTS 30."""
    almost = tripped(4)
    assert failed(almost, CONFIG, "429", EPOCH, wait=90).open_seconds == 90
    assert failed(almost, CONFIG, "429", EPOCH, wait=10**9).open_seconds == 300


def test_only_an_unwell_system_is_blamed_and_only_the_one_that_is_named() -> None:
    wrong = TaskError(type="x", kind=ErrorKind.CONFIGURATION, message="Connection 'shop': no such table")
    assert blamed(wrong, ["shop"]) is None
    assert blamed(NETWORK, ["shop"]) == "shop"
    assert blamed(NETWORK, ["shop", "warehouse"]) == "shop"
    assert blamed(TaskError(type="x", kind=ErrorKind.NETWORK, message="gone"), ["shop", "warehouse"]) is None


def test_a_hundred_callers_are_one_probe() -> None:
    """FAULTS 31: no stampede on a half open circuit."""
    needs = Needs(circuits=(("shop", None),))
    room = WaitingRoom()
    for number in range(100):
        room.add(Candidate(f"task-{number}", needs, (0, 0.0, 0.0, number)))
    capacity = Capacity(workers=1000, cpu=100, memory_mb=1000, pools={})
    breakers = {("shop", None): tripped()}
    early = admit(room, Held(), capacity, {}, EPOCH, 0.0, breakers=breakers)
    assert early.admitted == []
    assert [refusal.code for _, refusal in early.refused] == ["CIRCUIT"]
    assert early.refused[0][1].about == "shop"
    assert early.refused[0][1].ask_again == EPOCH + timedelta(seconds=60)
    later = EPOCH + timedelta(seconds=61)
    first = admit(room, Held(), capacity, {}, later, 61.0, breakers=breakers)
    assert first.admitted == ["task-0"]
    under_way = Held.of([Holder("run/task-0", needs)])
    again = admit(room, under_way, capacity, {}, later, 61.0, breakers=breakers)
    assert again.admitted == []
    assert again.refused[0][1].holders == ("run/task-0",)


def test_another_profile_is_another_system() -> None:
    room = WaitingRoom()
    room.add(Candidate("task", Needs(circuits=(("shop", "postgres"),)), (0, 0.0, 0.0, 0)))
    capacity = Capacity(workers=1, cpu=1, memory_mb=1, pools={})
    found = admit(room, Held(), capacity, {}, EPOCH, 0.0, breakers={("shop", None): tripped()})
    assert found.admitted == ["task"]


def test_the_sentence_says_which_connection_until_when_and_why() -> None:
    said = sentence(tripped(), EPOCH)
    assert "'shop'" in said and "5 of its last 5 calls failed" in said and "no route" in said


@given(st.lists(st.tuples(st.booleans(), st.floats(min_value=0, max_value=400)), max_size=200))
def test_whatever_happens_it_is_bounded_and_an_open_one_has_an_end(calls: list[tuple[bool, float]]) -> None:
    breaker, now = FRESH, EPOCH
    for good, seconds in calls:
        now += timedelta(seconds=seconds)
        breaker = succeeded(breaker, CONFIG, now) if good else failed(breaker, CONFIG, "x", now)
        assert len(breaker.calls) <= CONFIG.window_size
        assert breaker.open_seconds <= CONFIG.max_timeout_seconds
        if breaker.state is BreakerState.OPEN:
            assert breaker.retry_at is not None and breaker.retry_at <= now + timedelta(seconds=300)
