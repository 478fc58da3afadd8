"""Runs that would overlap, and runs that wait for the one before (SCH-05, SCH-09, C-40)."""

from __future__ import annotations

import pytest

from engine.model.schedule import OverlapPolicy
from engine.rules.schedule_overlap import CancelThenFire, Fire, Queue, Skip, overlap, past_check


@pytest.mark.parametrize("policy", OverlapPolicy)
@pytest.mark.parametrize(("active", "most"), [(0, 1), (2, 3), (7, None)])
def test_every_policy_fires_while_there_is_room(policy: OverlapPolicy, active: int, most: int | None) -> None:
    """SCH-09."""
    assert overlap(policy, active, most) == Fire()


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (OverlapPolicy.ALLOW_CONCURRENT, Fire),
        (OverlapPolicy.SKIP_ON_RUNNING, Skip),
        (OverlapPolicy.CANCEL_PREVIOUS, CancelThenFire),
        (OverlapPolicy.QUEUE_SEQUENTIAL, Queue),
    ],
)
def test_the_policy_decides_what_happens_when_max_active_runs_is_reached(policy: OverlapPolicy, kind: type) -> None:
    """SCH-05, C-40."""
    decision = overlap(policy, 1, 1)
    assert isinstance(decision, kind)
    assert isinstance(decision, Fire) or decision.reason.startswith("1 of at most 1 runs are active")


def test_only_as_many_are_cancelled_as_make_room() -> None:
    """SCH-05."""
    decision = overlap(OverlapPolicy.CANCEL_PREVIOUS, 5, 3)
    assert isinstance(decision, CancelThenFire)
    assert decision.cancel == 3


@pytest.mark.parametrize("policy", [OverlapPolicy.SKIP_ON_RUNNING, OverlapPolicy.CANCEL_PREVIOUS])
def test_missed_slots_do_not_do_away_with_one_another(policy: OverlapPolicy) -> None:
    """SCH-07: a catch-up runs one by one."""
    assert isinstance(overlap(policy, 1, 1, catching_up=True), Queue)


@pytest.mark.parametrize(
    ("state", "met"),
    [
        (None, True),
        ("SUCCESS", True),
        ("FAILED", False),
        ("CANCELLED", False),
        ("RUNNING", False),
        ("PENDING", False),
    ],
)
def test_depends_on_past_waits_for_the_success_of_the_run_before(state: str | None, met: bool) -> None:
    """SCH-09."""
    check = past_check(True, state)
    assert check.met is met
    assert met is (check.reason is None)
    assert past_check(False, state).met
