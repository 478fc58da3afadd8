"""Who may start now, in which order, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.workspace import Pool
from engine.rules.admission import (
    RESERVE_AFTER_SECONDS,
    Candidate,
    Capacity,
    Held,
    Holder,
    Needs,
    Pass,
    WaitingRoom,
    admit,
    impossible,
)
from engine.rules.rates import Bucket
from tests.rules.stage import EPOCH

PLAIN = Needs()


class Desk:
    """A waiting room, what is held, and a clock."""

    def __init__(
        self, workers: int = 100, cpu: float = 4.0, memory_mb: int = 1000, pools: Mapping[str, Pool] | None = None
    ) -> None:
        self.room = WaitingRoom()
        self.live: dict[str, Holder] = {}
        self.capacity = Capacity(workers=workers, cpu=cpu, memory_mb=memory_mb, pools=pools or {})
        self.seconds = 0.0
        self.order = count()
        self.buckets = {
            pool.name: Bucket.full(pool.per_second, pool.burst, 0.0)
            for pool in self.capacity.pools.values()
            if pool.per_second
        }

    def wants(self, name: str, needs: Needs = PLAIN, priority: int = 0, urgency: float = 0.0) -> None:
        rank = (-priority, -urgency, 0.0, next(self.order))
        self.room.add(Candidate(name, needs, rank))
        self.needs = {**getattr(self, "needs", {}), name: needs}

    def look(self, most: int | None = None) -> Pass:
        held = Held.of(self.live.values())
        now = EPOCH + timedelta(seconds=self.seconds)
        result = admit(self.room, held, self.capacity, self.buckets, now, self.seconds, most)
        for name in result.admitted:
            self.live[name] = Holder(name, self.needs[name])
        return result

    def starts(self) -> list[str]:
        return self.look().admitted

    def ends(self, *names: str) -> None:
        for name in names:
            del self.live[name]


def pool(name: str, slots: int | None = None, per_second: float | None = None, burst: int = 1) -> dict[str, Pool]:
    return {name: Pool(name=name, slots=slots, per_second=per_second, burst=burst)}


def codes(result: Pass) -> dict[str, str]:
    """First member of each refused group -> why."""
    return {group.heap[0][1]: refusal.code for group, refusal in result.refused}


def test_the_most_urgent_of_the_most_important_run_starts_first() -> None:
    """Run priority, then critical path, then who came first."""
    desk = Desk(workers=1)
    desk.wants("late")
    desk.wants("later")
    desk.wants("critical", urgency=90.0)
    desk.wants("important", priority=5)
    started = []
    while len(desk.room):
        (name,) = desk.starts()
        started.append(name)
        desk.ends(name)
    assert started == ["important", "critical", "late", "later"]


def test_whoever_is_refused_learns_by_what_and_by_whom() -> None:
    desk = Desk(workers=2, pools=pool("db", slots=1))
    desk.wants("a", Needs(pools=("db",)))
    desk.wants("b", Needs(pools=("db",)))
    desk.wants("c")
    desk.wants("d")
    result = desk.look()
    assert result.admitted == ["a", "c"]
    assert codes(result) == {"b": "POOL_FULL", "d": "NO_WORKER"}
    refusals = {refusal.code: refusal for _, refusal in result.refused}
    assert refusals["POOL_FULL"].holders == ("a",)
    assert "Pool 'db' is full: 1 of 1" in refusals["POOL_FULL"].sentence
    assert set(refusals["NO_WORKER"].holders) == {"a", "c"}


def test_one_busy_pool_starves_nobody() -> None:
    """DESIGN 4: all candidates are looked at, however many wait for a pool before them."""
    desk = Desk(workers=10, pools={**pool("busy", slots=1), **pool("free", slots=2)})
    for number in range(500):
        desk.wants(f"b{number}", Needs(pools=("busy",)), priority=9, urgency=1000.0)
    desk.wants("f", Needs(pools=("free",)))
    desk.wants("plain")
    assert desk.starts() == ["b0", "f", "plain"]


def test_a_pass_looks_at_groups_not_at_every_candidate() -> None:
    desk = Desk(pools=pool("busy", slots=1))
    for number in range(1000):
        desk.wants(f"b{number}", Needs(pools=("busy",)))
    result = desk.look()
    assert len(result.refused) == 1
    assert len(result.refused[0][0].heap) == 999


def test_a_pool_without_a_limit_limits_nothing() -> None:
    desk = Desk(pools=pool("wide"))
    for number in range(20):
        desk.wants(f"w{number}", Needs(pools=("wide", "unknown")))
    assert len(desk.starts()) == 20


def test_a_task_holds_all_its_pools_or_none() -> None:
    desk = Desk(pools={**pool("p", slots=1), **pool("q", slots=1)})
    desk.wants("q1", Needs(pools=("q",)), priority=1)
    desk.wants("both", Needs(pools=("p", "q")))
    desk.wants("p1", Needs(pools=("p",)))
    assert desk.starts() == ["q1", "p1"], "who cannot start holds nothing meanwhile"
    desk.ends("q1", "p1")
    assert desk.starts() == ["both"]


def test_what_the_dispatcher_carries_takes_no_worker() -> None:
    desk = Desk(workers=1)
    desk.wants("a")
    desk.wants("run", Needs(worker=False))
    assert desk.starts() == ["a", "run"]


def test_cpu_and_memory_are_shared_out() -> None:
    """RES: as resources."""
    desk = Desk(cpu=2.0, memory_mb=600)
    for name, needs in {
        "c1": Needs(cpu=1.5),
        "c2": Needs(cpu=1.0),
        "m1": Needs(memory_mb=400),
        "m2": Needs(memory_mb=300),
        "c3": Needs(cpu=0.5, memory_mb=200),
    }.items():
        desk.wants(name, needs)
    result = desk.look()
    assert result.admitted == ["c1", "m1", "c3"]
    assert codes(result) == {"c2": "NO_CPU", "m2": "NO_MEMORY"}
    assert "needs 1 cpu and 0.5 of 2 are free" in result.refused[0][1].sentence


def test_shares_that_make_a_whole_fit_into_it() -> None:
    desk = Desk(cpu=0.3)
    for number, share in enumerate((0.1, 0.2)):
        desk.wants(f"c{number}", Needs(cpu=share))
    assert len(desk.starts()) == 2


def test_a_rate_lets_a_burst_start_and_says_when_to_ask_again() -> None:
    desk = Desk(pools=pool("api", per_second=2.0, burst=3))
    for number in range(5):
        desk.wants(f"a{number}", Needs(pools=("api",)))
    result = desk.look()
    assert result.admitted == ["a0", "a1", "a2"]
    assert codes(result) == {"a3": "RATE_LIMITED"}
    again = result.refused[0][1].ask_again
    assert again == EPOCH + timedelta(seconds=0.5)
    desk.seconds = 0.5
    assert desk.starts() == ["a3"]
    desk.seconds = 0.75
    assert desk.starts() == []


def test_a_full_pool_does_not_use_up_its_rate() -> None:
    desk = Desk(pools=pool("api", slots=1, per_second=1.0, burst=2))
    for number in range(2):
        desk.wants(f"a{number}", Needs(pools=("api",)))
    assert desk.starts() == ["a0"]
    assert codes(desk.look()) == {"a1": "POOL_FULL"}
    desk.ends("a0")
    assert desk.starts() == ["a1"]


def test_withdrawn_candidates_never_start_and_new_ranks_count() -> None:
    desk = Desk(workers=1)
    for name in ("a", "b", "c"):
        desk.wants(name)
    desk.room.withdraw("a")
    desk.wants("c", priority=1)
    assert len(desk.room) == 2
    assert desk.starts() == ["c"]
    desk.ends("c")
    assert desk.starts() == ["b"]
    desk.ends("b")
    assert desk.starts() == []


def test_changed_needs_move_a_candidate_to_its_new_group() -> None:
    desk = Desk(pools=pool("p", slots=1))
    desk.wants("a", Needs(pools=("p",)))
    desk.wants("a", Needs(cpu=1.0))
    assert desk.starts() == ["a"]
    assert len(desk.room) == 0


def test_a_pass_may_be_bounded() -> None:
    desk = Desk()
    for number in range(5):
        desk.wants(f"a{number}")
    assert desk.look(most=2).admitted == ["a0", "a1"]
    assert desk.starts() == ["a2", "a3", "a4"]


# -- big tasks -------------------------------------------------------------------


def stream(desk: Desk, seconds: int, urgency: float, needs: Needs) -> list[str]:
    """Small tasks keep coming and overlap, so that cpu never becomes free as a whole; who started."""
    started: list[str] = []
    for moment in range(seconds):
        desk.seconds = float(moment)
        desk.wants(f"s{moment}", needs, urgency=urgency)
        desk.ends(*[name for name in desk.live if name == f"s{moment - 3}"])
        started += desk.starts()
    return started


@pytest.mark.parametrize("urgency", [0.0, 500.0])
@pytest.mark.parametrize(
    ("big", "small"),
    [
        (Needs(cpu=4.0), Needs(cpu=1.0)),
        (Needs(memory_mb=1000), Needs(memory_mb=200)),
        (Needs(cpu=4.0, memory_mb=900), Needs(cpu=1.0, memory_mb=100)),
    ],
)
def test_a_big_task_is_not_overtaken_for_ever(urgency: float, big: Needs, small: Needs) -> None:
    """Not even by tasks on a longer path: after 30 s cpu and memory are kept for it."""
    desk = Desk(cpu=4.0, memory_mb=1000)
    stream(desk, 4, 0.0, small)
    desk.wants("big", big)
    started = stream(desk, int(RESERVE_AFTER_SECONDS) + 20, urgency, small)
    assert "big" in started
    assert f"s{int(RESERVE_AFTER_SECONDS) - 2}" in started[: started.index("big")], "until then others may"


def test_a_more_important_run_goes_before_a_reservation() -> None:
    desk = Desk(cpu=4.0)
    desk.wants("now", Needs(cpu=1.0))
    desk.starts()
    desk.wants("big", Needs(cpu=4.0))
    desk.look()
    desk.seconds = RESERVE_AFTER_SECONDS + 1
    desk.wants("small", Needs(cpu=1.0))
    desk.wants("vip", Needs(cpu=1.0), priority=1)
    result = desk.look()
    assert result.admitted == ["vip"]
    assert codes(result) == {"big": "NO_CPU", "small": "NO_CPU"}
    desk.wants("free", Needs(memory_mb=10))
    assert desk.starts() == ["free"], "nothing is kept that it does not ask for"


def test_waiting_for_a_pool_reserves_no_cpu() -> None:
    desk = Desk(cpu=4.0, pools=pool("p", slots=1))
    desk.wants("holder", Needs(pools=("p",), cpu=1.0))
    desk.starts()
    desk.wants("big", Needs(pools=("p",), cpu=4.0))
    desk.look()
    desk.seconds = RESERVE_AFTER_SECONDS * 10
    desk.look()
    desk.wants("small", Needs(cpu=1.0))
    assert desk.starts() == ["small"]


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(cpu=4.5), "4.5 cpu"),
        (Needs(memory_mb=1001), "1001 MB"),
        (Needs(pools=("shut",)), "no slots"),
    ],
)
def test_what_no_limit_can_hold_is_let_through_to_fail(needs: Needs, said: str) -> None:
    """DESIGN 4: a request that no limit can ever hold is a ConfigurationError, not a wait, and blocks nobody."""
    desk = Desk(pools=pool("shut", slots=0))
    sentence = impossible(needs, desk.capacity)
    assert sentence is not None
    assert said in sentence
    desk.wants("absurd", needs)
    desk.wants("whole", Needs(cpu=4.0, memory_mb=1000))
    assert desk.starts() == ["absurd", "whole"]


def test_what_just_fits_is_possible() -> None:
    desk = Desk(pools=pool("p", slots=1))
    assert impossible(Needs(cpu=4.0, memory_mb=1000, pools=("p", "unknown")), desk.capacity) is None


# -- never too much --------------------------------------------------------------

needs_strategy = st.builds(
    Needs,
    pools=st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("r",), ("a", "r")]),
    cpu=st.sampled_from([0.0, 0.1, 0.7, 1.0, 3.0]),
    memory_mb=st.sampled_from([0, 100, 400, 900]),
    worker=st.booleans(),
)


@given(
    wanted=st.lists(st.tuples(needs_strategy, st.integers(0, 2), st.integers(0, 5)), max_size=40),
    workers=st.integers(1, 6),
    slots=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_nothing_is_ever_given_twice_and_everybody_gets_a_turn(
    wanted: list[tuple[Needs, int, int]], workers: int, slots: int, seed: int
) -> None:
    """Property: never over capacity; and when things end, everything starts in the end."""
    pools = {**pool("a", slots=slots), **pool("b", slots=1), **pool("r", per_second=0.5, burst=2)}
    desk, dice, started = Desk(workers=workers, cpu=3.0, memory_mb=1000, pools=pools), Random(seed), set[str]()
    for number, (needs, priority, urgency) in enumerate(wanted):
        desk.wants(f"t{number}", needs, priority, urgency)
    for _ in range(40 * len(wanted) + 1):
        fresh = desk.starts()
        assert started.isdisjoint(fresh)
        started.update(fresh)
        held = [holder.needs for holder in desk.live.values()]
        assert sum(needs.worker for needs in held) <= workers
        assert sum(needs.cpu for needs in held) <= 3.0 + 1e-6
        assert sum(needs.memory_mb for needs in held) <= 1000
        assert sum("a" in needs.pools for needs in held) <= slots
        assert sum("b" in needs.pools for needs in held) <= 1
        assert sum("r" in desk.needs[name].pools for name in started) <= 2 + 0.5 * desk.seconds + 1e-6
        desk.seconds += 1.0
        desk.ends(*[name for name in list(desk.live) if dice.random() < 0.5])
        if not desk.room.members and not desk.live:
            break
    assert len(started) == len(wanted)
