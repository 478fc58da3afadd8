"""A store that fails at random, with its work not done or done (FAULTS 8, 9): nothing is lost, nothing is twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.runtime.crash_checks import check
from tests.runtime.crash_engine import DONE_WITHIN, EngineProcess, Stage, eventually, stage
from tests.runtime.crash_workspace import MIXTURE, SETTINGS, make

OFTEN_LOST = SETTINGS.replace("max_losses: 10", "max_losses: 1000").replace("max_attempts: 6", "max_attempts: 100")


def faulty(one: Stage, seed: int, *, before: float, after: float, worse: float = 0.0) -> EngineProcess:
    """An engine with such a store; the seed is in the words of a test that fails."""
    print(f"seed {seed}, before {before}, after {after}, worse {worse}")
    shares = (str(seed), str(before), str(after), str(worse))
    engine = EngineProcess(one.root, command=shares, module="tests.runtime.faulty_engine")
    one.engines.append(engine)
    return engine


def live_with_errors(one: Stage, seed: int, rounds: int) -> None:
    """One engine bears it all: every failure is one after which the same may be tried again."""
    engine = faulty(one, seed, before=0.08, after=0.10).leads()
    for _ in range(rounds):
        one.trigger(*MIXTURE)
    one.wait_until_done(engine, DONE_WITHIN * max(1, rounds // 4))
    assert engine.terminate() == 0, engine.words
    assert "StoreBusy before" in engine.words
    assert "StoreBusy after" in engine.words
    one.no_orphans()
    check(one)


def live_with_worse(one: Stage, seed: int, rounds: int) -> None:
    """Some failures end an engine, before or after its work was done; the next one goes on."""
    chance, ended = random.Random(seed), 0
    engine = faulty(one, seed, before=0.08, after=0.10, worse=0.3)
    for _ in range(rounds):
        one.trigger(*MIXTURE)
        eventually(lambda engine=engine: engine.ended or one.done(), DONE_WITHIN, "it ends, or has no more to do")
        if engine.ended:
            ended += 1
            assert "made to fail" in engine.words
            one.no_orphans()
            engine = faulty(one, chance.randrange(10**6), before=0.08, after=0.10, worse=0.3)
    if not engine.ended:
        engine.kill()
    assert ended
    last = faulty(one, seed, before=0.08, after=0.10).leads()
    one.wait_until_done(last)
    assert last.terminate() == 0, last.words
    one.no_orphans()
    check(one)


@pytest.mark.parametrize("seed", [31, 32])
def test_commits_that_fail_or_lose_their_reply_are_made_once(seed: int, tmp_path: Path) -> None:
    """STM-01; invariants A, B."""
    with stage(make(tmp_path / "ws")) as one:
        live_with_errors(one, seed, rounds=2)


def test_an_engine_ended_by_its_store_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    """Invariants A, B, E."""
    with stage(make(tmp_path / "ws", settings=OFTEN_LOST)) as one:
        live_with_worse(one, 41, rounds=4)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3000, 3050))
def test_many_faulty_stores(seed: int, tmp_path: Path) -> None:
    with stage(make(tmp_path / "ws", settings=OFTEN_LOST)) as one:
        (live_with_errors if seed % 2 else live_with_worse)(one, seed, rounds=6)
