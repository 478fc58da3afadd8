"""Patience: how often and how soon a web service is asked (SRC-10, FAULTS 30).

Law: the connection's rate is kept with every request, over all processes of a workspace; where it has one, what a
server asks one of them to wait they all wait. Too many requests (429), 500, 502, 503, 504 and a broken network are
asked again, after what the server asks for or 1, 2, 4 ... seconds, a bounded number of times; nothing else is. A
server that wants a longer wait than an attempt should sit through gets its way from the retry policy of the task.
PENSTOCK_TIME_SCALE shortens all waits.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Protocol

from engine.connectors.rest.rate import LONGEST_HOLD, Rate
from engine.model.errors import NetworkError, RateLimited, TaskFailure, TimeoutFailure
from engine.ports.connector import Fetched
from engine.rules.web import failure_of_status

RETRIES = 5
FIRST_WAIT = 1.0
LONGEST_WAIT = LONGEST_HOLD  # an attempt holds a worker while it waits; what is longer is the retry policy's
AGAIN = frozenset({429, 500, 502, 503, 504})


class Accept(Protocol):
    """Looks at an answer; the failure it stands for, or None."""

    def __call__(self, fetched: Fetched) -> TaskFailure | None: ...


class Patience:
    """For one connector, for one thread at a time."""

    def __init__(
        self,
        *,
        rate: Rate | None = None,
        retries: int = RETRIES,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._monotonic, self._sleep, self._chance = monotonic, sleep, chance
        self._scale = float(os.environ.get("PENSTOCK_TIME_SCALE") or 1.0)
        self._retries = retries
        self._rate = rate

    def ask(self, once: Callable[[], Fetched], where: str, accept: Accept | None = None) -> Fetched:
        """The answer, when it is one; else what is wrong, after all tries."""
        tried = 0
        while True:
            answer = self._try(once, where, accept)
            if isinstance(answer, Fetched):
                return answer
            failure, again = answer
            wait = self._wait(failure, tried) if again and tried < self._retries else None
            if wait is None:
                raise failure
            if self._rate is not None and failure.retry_after is not None:
                self._rate.hold(self._now() + wait, self._now())
            self._sleep(wait * self._scale)
            tried += 1

    def _try(
        self, once: Callable[[], Fetched], where: str, accept: Accept | None
    ) -> Fetched | tuple[TaskFailure, bool]:
        """The answer; or what is wrong, and whether asking again may help."""
        self.keep_rate()
        try:
            fetched = once()
        except (NetworkError, TimeoutFailure, RateLimited) as error:
            return error, True
        failure = accept(fetched) if accept is not None else None
        if failure is None and not (accept is not None and fetched.status == 304):
            failure = failure_of_status(fetched.status, where, retry_after=fetched.retry_after)
        if failure is None:
            return fetched
        return failure, fetched.status in AGAIN or isinstance(failure, RateLimited)

    def keep_rate(self) -> None:
        """Wait until the connection's rate allows one more request."""
        while self._rate is not None:
            wait = self._rate.wait(self._now())
            if wait <= 0:
                return
            self._sleep(wait * self._scale)

    def _now(self) -> float:
        return self._monotonic() / self._scale if self._scale > 0 else self._monotonic()

    def _wait(self, failure: TaskFailure, tried: int) -> float | None:
        """Seconds until the next try; None where the server wants more than an attempt waits."""
        if failure.retry_after is not None and failure.retry_after >= 0:
            return failure.retry_after if failure.retry_after <= LONGEST_WAIT else None
        # Up to a quarter more, so that many who failed at once do not come back at once.
        return min(FIRST_WAIT * 2.0**tried * (1 + self._chance() / 4), LONGEST_WAIT)
