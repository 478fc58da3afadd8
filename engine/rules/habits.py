"""How invented tasks behave: how long they take, how they fail, what they put out.

Law: pure; chance comes in as a die. A task has a temper that follows from its name alone, so that two histories
agree on which tasks are slow and which one is the troublemaker. The night of the samples has habits of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Task
from engine.model.run import Outcome, Reason, TaskExecution
from engine.rules.story import Fate

Dice = Callable[[], float]
K = ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """One way to fail. `{n}` becomes a number that differs every time."""

    kind: ErrorKind
    type: str
    message: str
    exit_code: int | None = 1
    signal: int | None = None


MISHAPS: Mapping[ErrorKind, tuple[Mishap, ...]] = {
    K.NETWORK: (
        Mishap(kind=K.NETWORK, type="NetworkError", message="503 from rates.bank.example after {n} ms"),
        Mishap(kind=K.NETWORK, type="ConnectionResetError", message="connection reset by 10.4.0.17:{n}"),
    ),
    K.TIMEOUT: (Mishap(kind=K.TIMEOUT, type="TimeoutError", message="no answer from gdansk within {n} s"),),
    K.RATE_LIMITED: (Mishap(kind=K.RATE_LIMITED, type="RateLimited", message="429: {n} requests in a minute"),),
    K.RESOURCE: (
        Mishap(
            kind=K.RESOURCE, type="MemoryError", message="out of memory at {n} MB", exit_code=None, signal=9
        ),
    ),
    K.PERMISSION: (
        Mishap(kind=K.PERMISSION, type="PermissionError", message="'/srv/archive/{n}.csv': permission denied"),
    ),
    K.CONFIGURATION: (
        Mishap(kind=K.CONFIGURATION, type="ConfigurationError", message="the environment has no SHOP_DB_PASSWORD"),
    ),
    K.DATA_QUALITY: (
        Mishap(kind=K.DATA_QUALITY, type="DataQualityError", message="line {n}: amount '1O4.50' is no number"),
        Mishap(kind=K.DATA_QUALITY, type="DataQualityError", message="{n} orders have no customer; at most 0 may"),
    ),
    K.LOGIC: (
        Mishap(kind=K.LOGIC, type="KeyError", message="'sku_{n}'"),
        Mishap(kind=K.LOGIC, type="ZeroDivisionError", message="division by zero"),
    ),
}  # fmt: skip
_WEIGHTS = (
    (K.NETWORK, 34), (K.TIMEOUT, 18), (K.RATE_LIMITED, 8), (K.RESOURCE, 6), (K.PERMISSION, 5), (K.CONFIGURATION, 5),
    (K.DATA_QUALITY, 14), (K.LOGIC, 10),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What a task of the samples is known for."""

    chance: float  # that an attempt fails so
    kind: ErrorKind | None  # None: it has nothing to do and ends SKIPPED
    first_only: bool = False  # later attempts get through
    skip: Reason = Reason.EXIT_CODE


HABITS: Mapping[tuple[str, str], Habit] = {
    ("exchange_rates", "fetch_rates"): Habit(chance=0.55, kind=K.NETWORK),
    ("till_takings", "load_gdansk"): Habit(chance=0.3, kind=K.DATA_QUALITY),
    ("parcel_tracking", "ask_northpost"): Habit(chance=0.6, kind=K.NETWORK, first_only=True),
    ("parcel_tracking", "ask_fjordpak"): Habit(chance=0.45, kind=None),
    ("partner_feed", "send_prices"): Habit(chance=0.12, kind=K.LOGIC),
    ("product_index", "rebuild"): Habit(chance=0.1, kind=K.RESOURCE),
}


@dataclass(frozen=True, slots=True)
class Temper:
    """What a task's name says of it."""

    seconds: float  # it usually takes
    drift: float  # part by which that changes a week
    rows: int  # it usually moves
    memory_mb: float


def temper(pipeline_id: str, task: Task) -> Temper:
    """The same for the same name, whatever the seed."""
    digest = hashlib.sha256(f"{pipeline_id}/{task.id}".encode()).digest()
    slow, drift, rows, memory = (byte / 255 for byte in digest[:4])
    if task.type == "notify":
        return Temper(0.3 + slow, 0.0, 0, 30.0)
    return Temper(3.0 + 240.0 * slow**3, 0.06 * (drift - 0.35), int(10 ** (2 + 3.5 * rows)), 40 + 300 * memory**2)


def seconds_on(usual: Temper, weeks: float, at: datetime, dice: Dice) -> float:
    """How long it takes this time: trend, weekday and luck."""
    weekend = 0.7 if at.weekday() >= 5 else 1.0
    luck = math.exp(0.22 * (dice() + dice() + dice() + dice() - 2.0) * 1.73)
    return max(0.05, usual.seconds * max(0.2, 1.0 + usual.drift * weeks) * weekend * luck)


def mishap(kind: ErrorKind, dice: Dice) -> tuple[TaskError, Mishap]:
    """A failure of this kind."""
    ways = MISHAPS[kind]
    way = ways[int(dice() * len(ways))]
    message = way.message.format(n=2 + int(dice() * 900))
    place = f'  File "loads/shop.py", line {12 + int(dice() * 60)}'
    trace = f"Traceback (most recent call last):\n{place}\n{way.type}: {message}"
    return TaskError(type=way.type, kind=kind, message=message, traceback=trace), way


def some_kind(dice: Dice) -> ErrorKind:
    """What usually goes wrong."""
    mark = dice() * sum(weight for _, weight in _WEIGHTS)
    for kind, weight in _WEIGHTS:
        mark -= weight
        if mark < 0:
            return kind
    return K.NETWORK


def failing(kind: ErrorKind, seconds: float, usual: Temper, dice: Dice) -> Fate:
    """An attempt that fails so, somewhere on its way."""
    error, way = mishap(kind, dice)
    spent = seconds * (0.1 + 0.8 * dice())
    return Fate(
        seconds=spent,
        outcome=Outcome(result="failed", error=error),
        exit_code=way.exit_code,
        signal=way.signal,
        cpu_seconds=round(spent * 0.4, 3),
        peak_mb=round(usual.memory_mb * (0.8 + 0.6 * dice()), 1),
    )


def passing(task: Task, seconds: float, usual: Temper, dice: Dice) -> Fate:
    """An attempt that does what it is for."""
    rows = int(usual.rows * (0.8 + 0.4 * dice()))
    metrics = {"rows": float(rows)} if rows and task.type == "python" else {}
    outputs: dict[str, Any] = {"rows": rows} if rows else {}
    return Fate(
        seconds=seconds,
        outcome=Outcome(result="success", outputs=outputs, metrics=metrics),
        exit_code=0,
        cpu_seconds=round(seconds * (0.2 + 0.6 * dice()), 3),
        peak_mb=round(usual.memory_mb * (0.9 + 0.2 * dice()), 1),
    )


def skipping(reason: Reason, seconds: float) -> Fate:
    """There was nothing to do."""
    return Fate(seconds=seconds, outcome=Outcome(result="skipped", reason=reason), exit_code=99)


def sensing(task: Task, dice: Dice) -> Fate:
    """A sensor's wait: now and then it is in vain."""
    interval = float(task.config.get("interval_seconds", 60.0))
    most = task.config.get("timeout_seconds")
    if most is not None and dice() < 0.02:
        seconds = float(most)
        return Fate(
            seconds=seconds, outcome=Outcome(result="not_yet"), pokes=int(seconds / interval), out_of_time=seconds
        )
    pokes = 1 + int(dice() * 7)
    seen = Outcome(result="success", outputs={"pokes": pokes})
    return Fate(seconds=max(1.0, (pokes - 1) * interval), outcome=seen, pokes=pokes, exit_code=0, cpu_seconds=0.02)


def habitual(pipeline_id: str, task: Task, execution: TaskExecution, dice: Dice) -> Habit | None:
    """Whether it falls into its habit this time."""
    habit = HABITS.get((pipeline_id, task.id))
    if habit is None or (habit.first_only and execution.attempt_count > 1) or execution.sequence > 0:
        return None
    return habit if dice() < habit.chance else None
