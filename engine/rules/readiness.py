"""Trigger rules over counted upstream ends.

Law: a task's readiness depends on four numbers only, so a completion touches just the neighbours below it. An
upstream counts as failed when FAILED, CANCELLED, or SKIPPED because of a failure above it; as skipped when
SKIPPED for any other reason. Each item of a mapped task counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from engine.model.pipeline import TriggerRule
from engine.model.run import Reason, TaskExecution, TaskState


class Readiness(Enum):
    """What a trigger rule says now."""

    WAIT = auto()
    READY = auto()
    NEVER = auto()


@dataclass(slots=True)
class Tally:
    """How a task's upstream executions ended so far."""

    total: int = 0
    success: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def done(self) -> int:
        return self.success + self.failed + self.skipped

    def copy(self) -> Tally:
        return Tally(self.total, self.success, self.failed, self.skipped)

    def count(self, execution: TaskExecution, by: int = 1) -> None:
        """Count one upstream end (or, with -1, take it back)."""
        if not execution.state.terminal:
            return
        if execution.state is TaskState.SUCCESS:
            self.success += by
        elif counts_as_failed(execution):
            self.failed += by
        else:
            self.skipped += by


def counts_as_failed(execution: TaskExecution) -> bool:
    """Whether tasks below see a failure."""
    if execution.state in (TaskState.FAILED, TaskState.CANCELLED):
        return True
    return execution.state is TaskState.SKIPPED and execution.reason is Reason.UPSTREAM_FAILED


def readiness(rule: TriggerRule, tally: Tally) -> Readiness:
    """READY as soon as the rule is met, NEVER as soon as it can no longer be."""
    if tally.total == 0 or rule is TriggerRule.ALWAYS:
        return Readiness.READY
    everything = tally.done == tally.total
    met, lost = _judge(rule, tally, everything)
    if met:
        return Readiness.READY
    return Readiness.NEVER if lost or everything else Readiness.WAIT


def _judge(rule: TriggerRule, t: Tally, everything: bool) -> tuple[bool, bool]:
    match rule:
        case TriggerRule.ALL_SUCCESS:
            return t.success == t.total, t.failed + t.skipped > 0
        case TriggerRule.ALL_DONE:
            return everything, False
        case TriggerRule.ALL_FAILED:
            return t.failed == t.total, t.success + t.skipped > 0
        case TriggerRule.ONE_SUCCESS:
            return t.success > 0, False
        case TriggerRule.ONE_FAILED:
            return t.failed > 0, False
        case TriggerRule.NONE_FAILED:
            return everything and t.failed == 0, t.failed > 0
        case TriggerRule.NONE_SKIPPED:
            return everything and t.skipped == 0, t.skipped > 0
        case _:  # NONE_FAILED_MIN_ONE_SUCCESS; ALWAYS was answered before
            return everything and t.failed == 0 and t.success > 0, t.failed > 0


_WANTS_FAILURE = frozenset({TriggerRule.ONE_FAILED, TriggerRule.ALL_FAILED})
_BEARS_FAILURE = frozenset(
    {TriggerRule.ONE_FAILED, TriggerRule.ALL_FAILED, TriggerRule.ALL_DONE, TriggerRule.ALWAYS}
)


def skip_reason(rule: TriggerRule, tally: Tally) -> Reason:
    """Why a rule that can no longer be met skips its task: because of a failure above, or not."""
    if rule in _WANTS_FAILURE:
        return Reason.RULE_NOT_MET
    if rule is TriggerRule.NONE_SKIPPED:
        return Reason.UPSTREAM_SKIPPED
    return Reason.UPSTREAM_FAILED if tally.failed else Reason.UPSTREAM_SKIPPED


def bears_failure(rule: TriggerRule) -> bool:
    """Whether a failure above can still let the task start: such handlers survive fail_fast."""
    return rule in _BEARS_FAILURE
