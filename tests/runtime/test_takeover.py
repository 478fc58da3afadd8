"""Several engines on one store: one leads, the others wait, and who was deposed writes nothing (FAULTS 5, 7)."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.bootstrap import engine_leads
from engine.bootstrap.host import host
from engine.model.run import AttemptState
from engine.runtime import engine as runtime_engine
from engine.runtime.engine import DEPOSED_EXIT, kill_old
from engine.runtime.lease import holder_gone, started_at
from engine.stores.writer import SqlStateStore
from tests.runtime.crash_checks import check, effects
from tests.runtime.crash_engine import (
    DONE_WITHIN,
    TAKEN_OVER_WITHIN,
    EngineProcess,
    Stage,
    eventually,
    stage,
    zygotes,
)
from tests.runtime.crash_workspace import MIXTURE, SETTINGS, hold, make, write


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stage]:
    with stage(make(tmp_path / "ws", slots=2)) as made:
        yield made


def running(one: Stage, run_id: str, task: str) -> None:
    eventually(lambda: one.task_state(run_id, task) == "RUNNING", DONE_WITHIN, f"{run_id}/{task} runs")


def process_runs(one: Stage, run_id: str) -> None:
    """Its code has begun, not only its process."""
    eventually(
        lambda: any(line["run"] == run_id and line["what"] == "start" for line in effects(one)),
        DONE_WITHIN,
        f"{run_id} has begun",
    )


def stop_between_writes(one: Stage, engine: EngineProcess) -> None:
    """SIGSTOP it while it holds no lock of the state: a sleeper with the lock keeps everybody out by itself."""
    for _ in range(1000):
        engine.process.send_signal(signal.SIGSTOP)
        eventually(lambda: stopped(engine.pid), DONE_WITHIN, "it stops")
        with closing(sqlite3.connect(one.root / ".penstock" / "state.db", timeout=0)) as look:
            try:
                look.execute("BEGIN IMMEDIATE").close()
                look.rollback()
                return
            except sqlite3.OperationalError:
                engine.process.send_signal(signal.SIGCONT)
    pytest.fail("it was never without the lock")


def test_a_standby_takes_over_when_the_leader_is_killed(one: Stage) -> None:
    first = one.engine().leads()
    second = one.engine().stands_by()
    (long, *_) = one.trigger("long", *MIXTURE)
    process_runs(one, long)
    first.kill()
    second.leads()
    one.wait_until_done(second)
    assert second.terminate() == 0
    one.no_orphans()
    check(one)
    assert [row.state for row in one.workspace.queries.attempts(long)] == [AttemptState.LOST, AttemptState.SUCCESS]


def test_a_run_whose_own_host_is_killed_is_carried_on_by_the_next_engine(one: Stage) -> None:
    """`penstock run` hosts an engine of its own while another stands by."""
    hold(one.root, "long")
    alone = EngineProcess(one.root, command=("run", "long"))
    one.engines.append(alone)
    eventually(lambda: effects(one), DONE_WITHIN, "its task has begun")
    (run,) = one.runs()
    one.triggered[run.run_id] = "long"
    second = one.engine().stands_by()
    alone.kill()
    second.leads()
    (one.root / "go").touch()
    one.wait_until_done(second)
    assert second.terminate() == 0
    one.no_orphans()
    check(one)


def test_of_five_engines_exactly_one_leads_and_exactly_one_follows_it(one: Stage) -> None:
    engines = [one.engine() for _ in range(5)]
    one.trigger(*MIXTURE)
    leader = the_leader(one, engines)
    leader.kill()
    rest = [engine for engine in engines if engine is not leader]
    follower = the_leader(one, rest)
    one.wait_until_done(follower)
    assert sum("The engine leads" in engine.words for engine in engines) == 2
    for engine in rest:
        assert engine.terminate() == 0, engine.words
    one.no_orphans()
    check(one)


def the_leader(one: Stage, engines: list[EngineProcess]) -> EngineProcess:
    eventually(lambda: any("The engine leads" in each.words for each in engines), TAKEN_OVER_WITHIN, "one leads")
    (leader,) = [each for each in engines if "The engine leads" in each.words]
    held = engine_leads(one.workspace)
    assert held is not None
    assert held.pid == leader.pid
    return leader


def test_a_leader_that_stopped_past_its_lease_is_ended_and_replaced(one: Stage) -> None:
    first = one.engine().leads()
    (long,) = one.trigger("long")
    process_runs(one, long)
    second = one.engine().stands_by()
    first.process.send_signal(signal.SIGSTOP)
    second.leads()
    assert first.dies() == -signal.SIGKILL
    one.wait_until_done(second)
    assert second.terminate() == 0
    one.no_orphans()
    check(one)


class Ahead:
    """A clock that is wrong by so much: to it, every lease has run out."""

    def __init__(self, clock: object, by: timedelta) -> None:
        self._clock = clock
        self._by = by

    def now(self) -> datetime:
        return self._clock.now() + self._by  # type: ignore[attr-defined]  # a Clock

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)


def test_a_deposed_leader_that_wakes_up_writes_nothing_and_ends(
    one: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant D. It still trusts its lease when it wakes: only the epoch in the transaction can stop it."""
    first = one.engine().leads()
    (long, *_) = one.trigger("long", "linear")
    process_runs(one, long)
    stop_between_writes(one, first)
    one.trigger("diamond")
    other = host(one.workspace, "command")
    monkeypatch.setattr(one.workspace, "clock", Ahead(one.workspace.clock, timedelta(seconds=60)))
    keeper = other.engine.keeper
    monkeypatch.setattr(keeper, "_clock", one.workspace.clock)
    monkeypatch.setattr(keeper, "_kill_old", lambda _lease: None)  # as if it were another user's
    assert other.acquire()
    other.stop()
    before = one.workspace.queries.events(0, 100_000)
    first.process.send_signal(signal.SIGCONT)
    assert first.dies(TAKEN_OVER_WITHIN) == DEPOSED_EXIT, first.words
    assert "another engine leads" in first.words
    assert one.workspace.queries.events(0, 100_000) == before
    one.no_orphans()
    monkeypatch.undo()
    last = one.engine().leads()
    one.wait_until_done(last)
    assert last.terminate() == 0
    check(one)


def test_a_leader_that_slept_past_its_lease_acts_on_nothing_it_decided(
    one: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 5. It stops between commit and act; another leads, may not end it, and does the work."""
    one.trigger(*MIXTURE)
    first = one.engine("dispatch.committed:2", PENSTOCK_FAILPOINT_SIGNAL="SIGSTOP")
    eventually(lambda: stopped(first.pid), DONE_WITHIN, "it stops there")
    other = host(one.workspace, "engine")
    monkeypatch.setattr(other.engine.keeper, "_kill_old", lambda _lease: None)
    allowed: list[bool] = []
    allow = SqlStateStore.allow_checkpoints
    monkeypatch.setattr(
        SqlStateStore, "allow_checkpoints", lambda self, yes: (allowed.append(yes), allow(self, yes))
    )
    assert other.engine.stand_by(TAKEN_OVER_WITHIN)
    assert stopped(first.pid)
    assert allowed[-1] is False, "two processes have the file open: one of them must not checkpoint it"
    other.start()
    try:
        first.process.send_signal(signal.SIGCONT)
        assert first.dies(TAKEN_OVER_WITHIN) == DEPOSED_EXIT, first.words
        eventually(one.done, DONE_WITHIN, "every run ends")
        eventually(lambda: allowed[-1] is True, DONE_WITHIN, "it checkpoints again")
    finally:
        other.stop()
    one.no_orphans()
    check(one)


def stopped(pid: int) -> bool:
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rfind(")") + 2] == "T"


def test_what_was_ordered_from_a_sleeping_zygote_does_not_run_beside_its_repetition(one: Stage) -> None:
    """Invariant B. The order lies in the zygote's socket when the engine dies; the zygote wakes up much later."""
    first = one.engine().leads()
    eventually(lambda: zygotes(one.root), DONE_WITHIN, "the zygote is there")
    (zygote,) = zygotes(one.root)
    os.kill(zygote, signal.SIGSTOP)
    try:
        (run_id,) = one.trigger("linear")
        running(one, run_id, "a")
        first.kill()
        second = one.engine().leads()
        assert zygote not in zygotes(one.root), "the next engine ends it before it repeats anything"
        one.wait_until_done(second)
    finally:
        try:
            os.kill(zygote, signal.SIGCONT)
        except ProcessLookupError:
            pass  # as it should be
    assert second.terminate() == 0
    one.no_orphans()
    check(one)
    starts = [line for line in effects(one) if (line["run"], line["task"], line["what"]) == (run_id, "a", "start")]
    assert len(starts) == 1


def test_a_store_that_is_locked_delays_a_take_over_and_an_engine_and_ends_neither(one: Stage) -> None:
    """FAULTS 10; invariants A and E."""
    first = one.engine().leads()
    first.kill()
    locked = sqlite3.connect(one.root / ".penstock" / "state.db", isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    second = one.engine()
    eventually(lambda: holds(one, second), TAKEN_OVER_WITHIN, "it has the lease")
    one.trigger(*MIXTURE)
    endures(second, 3.0)
    locked.execute("ROLLBACK")
    second.leads()
    locked.execute("BEGIN IMMEDIATE")
    one.trigger("linear")
    endures(second, 3.0)
    locked.close()
    one.wait_until_done(second)
    assert second.terminate() == 0
    check(one)


def holds(one: Stage, engine: EngineProcess) -> bool:
    lease = one.workspace.mailbox.lease()
    return lease is not None and lease.pid == engine.pid


def endures(engine: EngineProcess, seconds: float) -> None:
    """So long the fault lasts: more than the two seconds that one wait for the lock takes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not engine.ended, engine.words
        time.sleep(0.05)


STUBBORN = """tasks:
  - id: stubborn
    name: stubborn
    type: shell
    config: {command: "trap '' TERM; echo here >> here; while [ ! -e go ]; do sleep 0.05; done"}
"""


def test_a_stopped_engine_cancels_nothing_and_uses_up_no_attempt(tmp_path: Path) -> None:
    """TERM: exit 0 within 10 s, attempts end as losses, the next engine goes on; one attempt is all they have."""
    settings = SETTINGS.replace("max_attempts: 6", "max_attempts: 1")
    with stage(make(tmp_path / "ws", slots=0, settings=settings)) as one:
        write(one.root, "stubborn", STUBBORN)
        hold(one.root, "long")
        first = one.engine().leads()
        long, stubborn = one.trigger("long", "stubborn")
        process_runs(one, long)
        eventually((one.root / "here").exists, DONE_WITHIN, "the stubborn one has begun")
        assert first.terminate() == 0, first.words
        one.no_orphans()
        for run_id in (long, stubborn):
            (attempt,) = one.workspace.queries.attempts(run_id)
            assert attempt.state is AttemptState.LOST
        assert one.workspace.mailbox.lease() is None
        (one.root / "go").touch()
        second = one.engine().leads()
        one.wait_until_done(second)
        for run_id in (long, stubborn):
            (row,) = one.workspace.queries.executions(run_id)
            assert (row.state.value, row.failures, row.attempt_count) == ("SUCCESS", 0, 2)
        assert second.terminate() == 0


def test_nobody_elses_process_is_taken_for_an_old_leader(monkeypatch: pytest.MonkeyPatch, one: Stage) -> None:
    """A pid of another machine, or one that has been given again, is left alone."""
    engine = one.engine().leads()
    held = one.workspace.mailbox.lease()
    assert held is not None
    kill_old(replace(held, host="elsewhere.example"))
    kill_old(replace(held, pid_started=held.pid_started - 100))
    kill_old(replace(held, boot_id="another boot"))
    assert not engine.ended
    assert started_at(engine.pid) == held.pid_started
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock set to 1970 makes no leader gone
    assert not holder_gone(held)
    assert runtime_engine.holder_gone(replace(held, pid_started=held.pid_started - 100))
    kill_old(held)
    assert started_at(engine.pid) is None
