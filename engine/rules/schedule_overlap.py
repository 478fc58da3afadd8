"""Whether a due slot may have its run while others are still at it: overlap policy and depends_on_past.

Answers are values; the dispatcher carries them out. `max_active_runs` says how many runs of a pipeline may be
active; the policy says what happens to a slot that would be one too many (C-40).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.schedule import OverlapPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """Make the run and let it start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Make no run; the slot is decided, and the reason is told."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelThenFire:
    """Cancel this many of the active runs, oldest first, then make the run."""

    cancel: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Make the run; it stays PENDING until there is room, first come first served."""

    reason: str


Overlap = Fire | Skip | CancelThenFire | Queue


def overlap(
    policy: OverlapPolicy, active_runs: int, max_active_runs: int | None = 1, *, catching_up: bool = False
) -> Overlap:
    """What to do with a due slot (SCH-05, SCH-09); `max_active_runs` None means any number.

    A slot of a catch-up (`DueSlots.catching_up`) is queued where the policy would skip it or cancel for it: its
    siblings were all asked for, and would otherwise do away with one another.
    """
    if policy is OverlapPolicy.ALLOW_CONCURRENT or max_active_runs is None or active_runs < max_active_runs:
        return Fire()
    full = f"{active_runs} of at most {max_active_runs} runs are active"
    if policy is OverlapPolicy.QUEUE_SEQUENTIAL:
        return Queue(reason=f"{full}; it starts when one of them ends")
    if catching_up:
        return Queue(reason=f"{full}; missed slots are caught up one after the other")
    if policy is OverlapPolicy.SKIP_ON_RUNNING:
        return Skip(reason=f"{full} and the policy is {policy}")
    return CancelThenFire(cancel=active_runs - max_active_runs + 1, reason=f"{full} and the policy is {policy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCheck:
    """Whether the run of the slot before lets this one start, and if not, what would."""

    met: bool
    reason: str | None = None


def past_check(depends_on_past: bool, previous_state: str | None) -> PastCheck:
    """`depends_on_past` (SCH-09): the run of the slot before has to have ended SUCCESS.

    `previous_state` is that run's state; None when no such run was ever made, which holds nobody back: the first
    run of a pipeline could not start otherwise.
    """
    if not depends_on_past or previous_state in (None, "SUCCESS"):
        return PastCheck(met=True)
    if previous_state in ("FAILED", "CANCELLED"):
        return PastCheck(
            met=False,
            reason=f"depends_on_past: the previous scheduled run is {previous_state}; "
            "retry it or mark its tasks success",
        )
    return PastCheck(met=False, reason=f"depends_on_past: the previous scheduled run is still {previous_state}")
