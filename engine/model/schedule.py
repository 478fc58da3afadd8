"""When a pipeline runs by itself: the values, and nothing that computes with them.

A `Schedule` is the canonical form of a pipeline's `schedule:` block. It is part of the definition, so it never
carries what changes at run time: whether it is paused, and the watermark (the last slot decided), are state and
live in the store. What the values mean is decided in `engine/rules/schedule.py` and `engine/rules/cron.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum


class OverlapPolicy(StrEnum):
    """What a slot does when `max_active_runs` runs of its pipeline are active already (SCH-05, C-40)."""

    ALLOW_CONCURRENT = "ALLOW_CONCURRENT"  # starts all the same
    SKIP_ON_RUNNING = "SKIP_ON_RUNNING"  # makes no run, and the skip is named
    CANCEL_PREVIOUS = "CANCEL_PREVIOUS"  # cancels the oldest active runs, then starts
    QUEUE_SEQUENTIAL = "QUEUE_SEQUENTIAL"  # makes the run, which waits for the active ones to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """A daily stretch of local time in which no slot fires: `start` included, `end` not.

    An `end` before `start` crosses midnight; equal ones mean the whole day.
    """

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The time-based trigger of one pipeline."""

    cron: str  # 5 fields, 6 with seconds last, or a preset such as @daily
    timezone: str = "UTC"  # an IANA name; cron fields and blackouts are read in it
    start_date: datetime | None = None  # aware UTC; the first instant a slot may have
    end_date: datetime | None = None  # aware UTC; the last instant a slot may have
    catchup: bool = False  # after downtime: every missed slot one by one, or the latest alone
    policy: OverlapPolicy = OverlapPolicy.SKIP_ON_RUNNING
    blackout: tuple[Blackout, ...] = ()
    enabled: bool = True
