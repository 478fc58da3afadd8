"""Circuit breakers as cells: whether a connection is used, how its calls went, when it is tried again.

Law: pure. The state is the one of the moment it is drawn, since an open circuit comes to its end by itself. Reasons
are what other systems said: they pass through `cell`.
"""

from __future__ import annotations

from datetime import datetime

from console.present.cells import Cell, Line, cell, labelled
from console.present.times import ago, moment, stamp
from console.theme import Look
from engine.client.circuits import failures, state_at
from engine.model.breaker import Breaker, BreakerState

OFF = "off"
_SHOWN = {
    BreakerState.CLOSED: ("SUCCESS", "closed", "dim"),
    BreakerState.OPEN: ("FAILED", "open", "bad"),
    BreakerState.HALF_OPEN: ("RETRYING", "half open", "warn"),
}


def word(guarded: bool, breaker: Breaker | None, now: datetime) -> str:
    """`off` where a connection has no breaker."""
    if not guarded:
        return OFF
    return _SHOWN[state_at(breaker, now)][1] if breaker is not None else "closed"


def state(guarded: bool, breaker: Breaker | None, now: datetime, look: Look) -> Cell:
    """A glyph and a word before it is a colour."""
    if not guarded:
        return Cell(OFF, "dim")
    glyph, name, tone = _SHOWN[state_at(breaker, now) if breaker is not None else BreakerState.CLOSED]
    return Cell(f"{look.chars.state(glyph)} {name}", tone)


def is_open(breaker: Breaker | None, now: datetime) -> bool:
    """Open or half open: there is something to close."""
    return breaker is not None and state_at(breaker, now) is not BreakerState.CLOSED


def calls(breaker: Breaker | None) -> str:
    """`2 of 5`: how many of the calls it remembers failed."""
    return f"{failures(breaker)} of {len(breaker.calls)}" if breaker is not None and breaker.calls else ""


def again(breaker: Breaker | None, now: datetime) -> str:
    """When it is tried again, for a narrow column."""
    if breaker is None or not is_open(breaker, now):
        return ""
    if state_at(breaker, now) is BreakerState.OPEN:
        return ago(breaker.retry_at, now)
    return "next task" if breaker.state is BreakerState.OPEN else "being tried"


def until(breaker: Breaker, now: datetime) -> str:
    """Until when it is left alone, or how it comes back."""
    if state_at(breaker, now) is BreakerState.OPEN:
        at = moment(breaker.retry_at, now)
        return f"left alone until {at} UTC" if at else "left alone until it is closed by hand"
    return "the next task tries it" if breaker.state is BreakerState.OPEN else "tried by one task at a time"


def told(breaker: Breaker, now: datetime) -> tuple[Cell, ...]:
    """Until when and why, in one line; the count comes last, it is what a narrow line can spare."""
    count = f"  {calls(breaker)} calls failed" if breaker.calls else ""
    return (Cell(f"{until(breaker, now)}  ", "warn"), cell(breaker.reason), Cell(count, "dim"))


def card(guarded: bool, breaker: Breaker | None, now: datetime, look: Look) -> list[Line]:
    """Its lines on the card of a connection."""
    out: list[Line] = [[Cell(f"{'circuit':<11} ", "dim"), state(guarded, breaker, now, look)]]
    if breaker is None or not guarded:
        return out
    if breaker.calls:
        out.append(labelled("failed", f"{calls(breaker)} calls"))
    if is_open(breaker, now):
        out += [
            labelled("retry", until(breaker, now), "warn"),
            labelled("opened", stamp(breaker.opened_at)),
            labelled("because", breaker.reason),
            [Cell("c closes it: used again at once, by all that waits.", "dim")],
        ]
    return out
