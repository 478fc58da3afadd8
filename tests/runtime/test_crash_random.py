"""kill -9 of engine, zygote and attempts at seeded moments nobody chose (FAULTS 1, 2, 3, 6)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.runtime.crash_checks import check, check_by_hand
from tests.runtime.crash_engine import EngineProcess, Stage, children, stage, zygotes
from tests.runtime.crash_workspace import MIXTURE, SETTINGS, make

SETTINGS_FOR_KILLS = SETTINGS.replace("attempts: 6", "attempts: 100").replace("losses: 10", "losses: 100")


def live_through(root: Path, seed: int, rounds: int, *, by_hand: bool = False) -> None:
    """Trigger, kill somebody a little later, again; then let an engine finish, and look."""
    chance = random.Random(seed)
    with stage(make(root, settings=SETTINGS_FOR_KILLS)) as one:
        engine: EngineProcess | None = None
        for _ in range(rounds):
            one.trigger(*chance.sample(MIXTURE, 4))
            if engine is None or engine.ended:
                engine = one.engine()
                if chance.random() < 0.7:
                    engine.leads()  # otherwise it may die while it starts
            time.sleep(chance.uniform(0.0, 0.6))  # the moment is the experiment
            if by_hand:
                lay_hands_on(one, chance)
            kill_somebody(one, engine, chance)
        if engine is None or engine.ended:
            engine = one.engine()
        engine.leads()
        one.wait_until_done(engine)
        assert engine.terminate() == 0, engine.words
        one.no_orphans()
        (check_by_hand if by_hand else check)(one)


def lay_hands_on(one: Stage, chance: random.Random) -> None:
    """Operators who cancel, retry, mark and requeue whatever they see, sensible or not."""
    runs = one.runs()
    for run in chance.sample(runs, min(4, len(runs))):
        rows = one.workspace.queries.executions(run.run_id)
        task = chance.choice(rows).task_id
        letters = [letter.id for letter in one.workspace.queries.letters()[0] if letter.run_id == run.run_id]
        match chance.choice(["cancel", "cancel task", "retry", "retry task", "mark", "mark", "requeue"]):
            case "cancel":
                one.send("run.cancel", run_id=run.run_id)
            case "cancel task":
                one.send("task.cancel", run_id=run.run_id, tasks=[task])
            case "retry":
                one.send("run.retry", run_id=run.run_id, tasks=[], downstream=False, fresh=False)
            case "retry task":
                downstream = chance.random() < 0.5  # not fresh: a checkpoint that is dropped cannot be watched
                one.send("run.retry", run_id=run.run_id, tasks=[task], downstream=downstream, fresh=False)
            case "mark":
                state = chance.choice(["success", "failed"])
                one.send("task.mark", run_id=run.run_id, task=task, state=state, reason="seen with own eyes")
            case "requeue" if letters:
                one.send("letter.requeue", letter_ids=letters, set={}, retry_policy=None)


def kill_somebody(one: Stage, engine: EngineProcess, chance: random.Random) -> None:
    """Half of the time the engine, else its zygote, a living attempt, or several at once."""
    nursery = zygotes(one.root)
    attempts = [attempt for zygote in nursery for attempt in children(zygote)]
    victims = {
        "engine": [engine.pid],
        "zygote": nursery[:1],
        "attempt": attempts[:1],
        "attempts": attempts,
        "both": [*nursery, engine.pid],
    }
    kind = chance.choices(list(victims), weights=(4, 2, 2, 1, 1))[0]
    for pid in victims[kind]:
        if pid != engine.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself in the meantime
    if engine.pid in victims[kind] and not engine.ended:
        engine.kill()


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(seed: int, tmp_path: Path) -> None:
    """Invariants A, B, D, E."""
    live_through(tmp_path / "ws", seed, rounds=4)


@pytest.mark.parametrize("seed", [21, 22])
def test_operators_among_the_kills_are_answered_once_and_everything_adds_up(seed: int, tmp_path: Path) -> None:
    """DLQ-05, invariant G."""
    live_through(tmp_path / "ws", seed, rounds=5, by_hand=True)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2000, 2200))
def test_many_operators_among_many_kills(seed: int, tmp_path: Path) -> None:
    live_through(tmp_path / "ws", seed, rounds=12, by_hand=True)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_kills_at_random_moments(seed: int, tmp_path: Path) -> None:
    live_through(tmp_path / "ws", seed, rounds=12)
