"""PostgreSQL under the state is restarted, and crashes, again and again in mid-run (FAULTS 11)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.errors import StoreBusy
from tests.contract.logical_server import Server, restartable
from tests.runtime.crash_checks import check
from tests.runtime.crash_engine import DONE_WITHIN, EngineProcess, Stage, eventually, stage
from tests.runtime.crash_workspace import MIXTURE, SETTINGS, Made, make

LOST_AND_RETRIED = SETTINGS.replace("attempts: 6", "attempts: 100").replace("losses: 10", "losses: 1000")


def as_soon_as_it_answers(act: Callable[[], object]) -> None:
    """What an operator does: once more, until the database is there."""

    def tried() -> bool:
        try:
            act()
        except StoreBusy:
            return False
        return True

    eventually(tried, DONE_WITHIN, "the database answers")


def everything_ends(one: Stage, engine: EngineProcess) -> None:
    """Whatever is asked while the database is away is asked again."""

    def ended() -> bool:
        try:
            return one.done() or engine.ended
        except StoreBusy:
            return False

    eventually(ended, 2 * DONE_WITHIN, "every run ends")
    assert not engine.ended, f"the engine ended ({engine.process.returncode}): {engine.words[-2000:]}"


def made(root: Path, server: Server) -> Made:
    """A workspace whose state is there."""
    return make(root, settings=f"{LOST_AND_RETRIED}state: {server.url}\n")


def live_through(root: Path, server: Server, seed: int, restarts: int) -> None:
    """One engine all the time; the database goes and comes back."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    with stage(made(root, server)) as one:
        engine = one.engine().leads()
        for _ in range(restarts):
            one.trigger(*MIXTURE)
            time.sleep(chance.uniform(0.0, 1.0))  # the moment is the experiment
            server.restart(chance.choice(("fast", "immediate")))
            as_soon_as_it_answers(one.runs)
        everything_ends(one, engine)
        assert engine.terminate() == 0, engine.words
        assert "Traceback" not in engine.words, engine.words
        one.no_orphans()
        check(one)


def test_an_engine_outlives_restarts_and_crashes_of_its_database(tmp_path: Path) -> None:
    """FAULTS 11: nothing is lost, nothing is done twice, and nobody has to start the engine again."""
    with restartable() as server:
        live_through(tmp_path / "ws", server, seed=11, restarts=3)


def test_an_engine_told_to_stop_while_its_database_is_away_leaves_and_the_next_goes_on(tmp_path: Path) -> None:
    """FAULTS 11: it does not wait until the database comes back."""
    with restartable() as server, stage(made(tmp_path / "ws", server)) as one:
        engine = one.engine().leads()
        one.trigger(*MIXTURE, "long")
        eventually(lambda: one.tokens(), DONE_WITHIN, "attempts have begun")
        server.stop("immediate")
        assert engine.terminate() == 1
        assert "Traceback" not in engine.words and "The state" in engine.words, engine.words
        server.start()
        as_soon_as_it_answers(one.runs)
        one.no_orphans()
        following = one.engine().leads()
        everything_ends(one, following)
        assert following.terminate() == 0, following.words
        check(one)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_an_engine_outlives_many_of_them(tmp_path: Path, seed: int) -> None:
    """FAULTS 11."""
    with restartable() as server:
        live_through(tmp_path / "ws", server, seed, restarts=10)
