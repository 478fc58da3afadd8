"""Thousands of seeded histories through the run rules.

PENSTOCK_SIMULATION_SEEDS says which: a number of them ("20000"), or a range ("5000:6000"; one seed: "17:18").
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from engine.model.run import RunState
from tests.rules.simulation import History, live_through

BATCHES = 8


def seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last)) if last else range(int(first))


# Read while tests are collected: the fixtures give every test an environment without PENSTOCK_*.
SEEDS = seeds(os.environ.get("PENSTOCK_SIMULATION_SEEDS", "4000"))


def live(seed: int) -> History:
    try:
        return live_through(seed)
    except Exception as problem:
        again = f"PENSTOCK_SIMULATION_SEEDS={seed}:{seed + 1}"
        problem.add_note(f"the history of this seed again: {again} pytest tests/rules/test_simulation.py")
        raise


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_history_keeps_the_invariants_and_ends(batch: int) -> None:
    """STM-03..STM-14, RTY-04; FAULTS A, D, E: whatever crashes, comes late or is ordered by hand."""
    for seed in SEEDS[batch::BATCHES]:
        live(seed)


def test_the_histories_meet_what_they_are_for() -> None:
    """A simulation in which nothing crashes, nobody cancels and every run succeeds would prove nothing."""
    lived = [live_through(seed) for seed in range(200)]
    assert set(Counter(history.ended for history in lived)) == {
        RunState.SUCCESS,
        RunState.FAILED,
        RunState.CANCELLED,
    }
    assert sum(history.crashed > 0 for history in lived) > 20
    assert sum(history.strays > 0 for history in lived) > 20
    assert max(history.commits for history in lived) > 40


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("batch", range(20))
def test_a_hundred_thousand_histories(batch: int) -> None:
    """FAULTS, figures to aim for: 100,000 seeded simulated histories."""
    for seed in range(1_000_000 + batch * 5_000, 1_000_000 + (batch + 1) * 5_000):
        live(seed)
