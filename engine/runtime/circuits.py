"""Circuit breakers of connections, as the dispatcher keeps them.

Law: what an attempt's end says of a connection is committed with that end. A breaker that was open when an engine
died is open for the next. Only tasks that name a connection in their config are counted and held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.model.breaker import Breaker, BreakerConfig, BreakerState
from engine.model.errors import NotFound, Refused
from engine.model.run import Outcome
from engine.rules.admission import Circuit
from engine.rules.breaker import blamed, failed, sentence, state_at, succeeded
from engine.runtime.desk import Desk


class Circuits:
    """Every breaker that has something to remember."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.known: dict[Circuit, Breaker] = {}

    def take_over(self) -> None:
        """Remember what an earlier engine knew."""
        self.known = {(each.connection, each.profile): each for each in self.desk.tools.store.breakers()}

    def ended(self, circuits: Sequence[Circuit], outcome: Outcome) -> None:
        """An attempt that used these connections has ended by itself."""
        names = [connection for connection, _ in circuits]
        bad = blamed(outcome.error, names)
        if bad is None and outcome.error is not None and blamed(outcome.error, names[:1]) is not None:
            return  # one of several is not well, and nobody can say which
        for circuit in circuits:
            config = self._config(circuit)
            if config is None:
                continue
            before = self.known.get(circuit)
            if before is None and circuit[0] != bad:
                continue  # all is well, and was: nothing to remember
            held = before or Breaker(connection=circuit[0], profile=circuit[1], updated_at=self.desk.now)
            if circuit[0] == bad and outcome.error is not None:
                message = f"{outcome.error.kind.value}: {outcome.error.message}"
                wait = outcome.error.retry_after or 0.0
                self._keep(held, failed(held, config, message, self.desk.now, wait))
            elif bad is None:
                self._keep(held, succeeded(held, config, self.desk.now))

    def probing(self, circuits: Sequence[Circuit]) -> None:
        """An attempt is let through to connections that were left alone."""
        for circuit in circuits:
            breaker = self.known.get(circuit)
            if breaker is not None and breaker.state is BreakerState.OPEN:
                half_open = replace(breaker, state=BreakerState.HALF_OPEN, successes=0, updated_at=self.desk.now)
                self._keep(breaker, half_open)

    def close(self, connection: str, profile: str | None) -> str:
        """By hand: use it again at once."""
        catalog = self.desk.tools.catalog.connections(profile)
        if connection not in catalog:
            raise NotFound(f"There is no connection '{connection[:80]}'")
        breaker = self.known.get((connection, profile))
        if breaker is None or state_at(breaker, self.desk.now) is BreakerState.CLOSED:
            raise Refused(f"The circuit of connection '{connection}' is closed; it is in use already")
        self._keep(breaker, Breaker(connection=connection, profile=profile, updated_at=self.desk.now))
        return f"Connection '{connection}' is used again"

    def _config(self, circuit: Circuit) -> BreakerConfig | None:
        found = self.desk.tools.catalog.connections(circuit[1]).get(circuit[0])
        return found.breaker if found is not None else None

    def _keep(self, before: Breaker, after: Breaker) -> None:
        if after is before:
            return
        circuit = (after.connection, after.profile)
        self.known[circuit] = after
        self.desk.batch.changes.breakers[circuit] = after
        if after.state is not before.state:
            self.desk.event(
                f"circuit.{after.state.value}",
                connection=after.connection,
                profile=after.profile,
                reason=sentence(after, self.desk.now) if after.state is BreakerState.OPEN else "",
            )
