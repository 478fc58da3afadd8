"""Who may start now, in which order, and why the others may not.

Law: what is free is derived from live attempts each time, never counted up and down, so a slot cannot leak. All
candidates are looked at in priority order, grouped by what they need: when the first of a group is refused, the
whole group is refused for the same reason and the next group is asked, so one busy pool starves nobody and a pass
costs no more than the groups plus what it admits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from engine.model.breaker import Breaker, BreakerState
from engine.model.workspace import Pool
from engine.rules.breaker import sentence as left_alone
from engine.rules.breaker import state_at
from engine.rules.rates import Bucket

Circuit = tuple[str, str | None]  # a connection and a profile
NO_BREAKERS: Mapping[Circuit, Breaker] = {}
_EPSILON = 1e-9  # 0.1 + 0.2 fits into 0.3
RESERVE_AFTER_SECONDS = 30.0  # a big task that waited so long for cpu or memory is not overtaken any more


@dataclass(frozen=True, slots=True)
class Needs:
    """What an execution holds while it runs. Executions with equal needs are one group."""

    pools: tuple[str, ...] = ()  # the task's pool, then its connections'
    cpu: float = 0.0
    memory_mb: int = 0
    worker: bool = True  # False: carried by the dispatcher itself
    circuits: tuple[Circuit, ...] = ()  # the connections it uses, each with its profile


Rank = tuple[int, float, float, int]  # -run priority, -seconds (or tasks) left below, queued since, order


@dataclass(frozen=True, slots=True)
class Candidate:
    """One execution that wants to start."""

    execution_id: str
    needs: Needs
    rank: Rank


@dataclass(frozen=True, slots=True)
class Holder:
    """One live attempt."""

    name: str  # run/task
    needs: Needs


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a group may not start now."""

    code: str  # NO_WORKER POOL_FULL RATE_LIMITED NO_CPU NO_MEMORY CIRCUIT DRAINING
    sentence: str
    holders: tuple[str, ...] = ()
    ask_again: datetime | None = None  # a rate frees itself by time alone
    about: str | None = None  # the connection or the pool it speaks of


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What this engine has to give."""

    workers: int
    cpu: float
    memory_mb: int
    pools: Mapping[str, Pool]


@dataclass(slots=True)
class Group:
    """Candidates with equal needs, best rank first; withdrawn ones are dropped when they come up."""

    needs: Needs
    heap: list[tuple[Rank, str]] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)  # members that have no verdict yet
    told: Refusal | None = None
    told_at: datetime | None = None
    refused_since: datetime | None = None


@dataclass(slots=True)
class Held:
    """What live attempts hold, with names."""

    workers: list[str] = field(default_factory=list)
    cpu: float = 0.0
    memory_mb: int = 0
    pools: dict[str, list[str]] = field(default_factory=dict)
    circuits: dict[Circuit, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, holders: Iterable[Holder]) -> Held:
        """Derive it from live rows."""
        held = cls()
        for holder in holders:
            held.add(holder)
        return held

    def add(self, holder: Holder) -> None:
        """One more live attempt."""
        if holder.needs.worker:
            self.workers.append(holder.name)
        self.cpu += holder.needs.cpu
        self.memory_mb += holder.needs.memory_mb
        for pool in holder.needs.pools:
            self.pools.setdefault(pool, []).append(holder.name)
        for circuit in holder.needs.circuits:
            self.circuits.setdefault(circuit, []).append(holder.name)


class WaitingRoom:
    """Every candidate of this engine, by group."""

    def __init__(self) -> None:
        self.groups: dict[Needs, Group] = {}
        self.members: dict[str, Candidate] = {}

    def __len__(self) -> int:
        return len(self.members)

    def add(self, candidate: Candidate) -> None:
        """One more that wants to start; a second time it only takes its new rank."""
        known = self.members.get(candidate.execution_id)
        self.members[candidate.execution_id] = candidate
        group = self.groups.setdefault(candidate.needs, Group(candidate.needs))
        heappush(group.heap, (candidate.rank, candidate.execution_id))
        if known is None or known.needs != candidate.needs:
            group.untold.append(candidate.execution_id)

    def withdraw(self, execution_id: str) -> None:
        """It does not want to start any more."""
        self.members.pop(execution_id, None)

    def best(self, group: Group) -> tuple[Rank, str] | None:
        """The first of a group that is still a member with this rank."""
        while group.heap:
            rank, execution_id = group.heap[0]
            member = self.members.get(execution_id)
            if member is not None and member.needs == group.needs and member.rank == rank:
                return group.heap[0]
            heappop(group.heap)
        return None


@dataclass(slots=True)
class Pass:
    """What one look at the waiting room decided."""

    admitted: list[str] = field(default_factory=list)
    refused: list[tuple[Group, Refusal]] = field(default_factory=list)


def admit(
    room: WaitingRoom,
    held: Held,
    capacity: Capacity,
    buckets: dict[str, Bucket],
    now: datetime,
    seconds: float,
    most: int | None = None,
    breakers: Mapping[Circuit, Breaker] = NO_BREAKERS,
) -> Pass:
    """Admit everything that fits. Admitted ones leave the room and are added to `held`; `buckets` (by pool) is
    brought up to date; `seconds` is the monotonic clock the buckets count in.

    A request that is `impossible` is let through and holds nothing: whoever starts it fails it with that sentence,
    where it would otherwise wait for ever and reserve what it can never have."""
    result = Pass()
    reserved: set[str] = set()
    order = _firsts(room, now)
    while order and (most is None or len(result.admitted) < most):
        _, execution_id, needs = heappop(order)
        group = room.groups[needs]
        possible = impossible(needs, capacity) is None
        refusal = (
            _left_alone(needs, held, breakers, now)
            or refuse(needs, held, capacity, buckets, now, seconds, reserved)
            if possible
            else None
        )
        if refusal is not None:
            _note(group, refusal, now)
            if _waited(group, now):
                reserved.update(_asked(needs))
            result.refused.append((group, refusal))
            continue
        heappop(group.heap)
        room.withdraw(execution_id)
        group.refused_since = None
        result.admitted.append(execution_id)
        if possible:
            held.add(Holder(execution_id, needs))
            for pool in needs.pools:
                if pool in buckets:
                    buckets[pool], _ = buckets[pool].take(seconds)
        following = room.best(group)
        if following is not None:
            heappush(order, (following[0], following[1], needs))
    return result


def _firsts(room: WaitingRoom, now: datetime) -> list[tuple[Rank, str, Needs]]:
    """The best of each group, as a heap; groups that nobody waits in any more are forgotten."""
    order: list[tuple[Rank, str, Needs]] = []
    for needs, group in list(room.groups.items()):
        first = room.best(group)
        if first is None:
            del room.groups[needs]
        else:
            order.append((_turn(group, first[0], now), first[1], needs))
    heapify(order)
    return order


def _turn(group: Group, rank: Rank, now: datetime) -> Rank:
    """Where a group stands in this pass: one that has waited too long comes first among equal run priorities."""
    return (rank[0], float("-inf"), rank[2], rank[3]) if _waited(group, now) else rank


def _note(group: Group, refusal: Refusal, now: datetime) -> None:
    """Count how long a group has been waiting for cpu or memory; a busy worker does not interrupt that wait."""
    if refusal.code in ("NO_CPU", "NO_MEMORY"):
        group.refused_since = group.refused_since or now
    elif refusal.code != "NO_WORKER":
        group.refused_since = None


def _asked(needs: Needs) -> set[str]:
    """Both are kept for whoever waits: given away one by one they would never be free together."""
    return {code for code, amount in (("NO_CPU", needs.cpu), ("NO_MEMORY", needs.memory_mb)) if amount}


def _waited(group: Group, now: datetime) -> bool:
    since = group.refused_since
    return since is not None and now - since >= timedelta(seconds=RESERVE_AFTER_SECONDS)


def _left_alone(needs: Needs, held: Held, breakers: Mapping[Circuit, Breaker], now: datetime) -> Refusal | None:
    """Why a connection may not be used now: its circuit is open, or half open with a probe under way."""
    for circuit in needs.circuits:
        breaker = breakers.get(circuit)
        if breaker is None or breaker.state is BreakerState.CLOSED:
            continue
        if state_at(breaker, now) is BreakerState.OPEN:
            return Refusal("CIRCUIT", left_alone(breaker, now), (), breaker.retry_at, about=circuit[0])
        users = held.circuits.get(circuit, [])
        if users:
            return Refusal("CIRCUIT", left_alone(breaker, now), _some(users), about=circuit[0])
    return None


def refuse(
    needs: Needs,
    held: Held,
    capacity: Capacity,
    buckets: Mapping[str, Bucket],
    now: datetime,
    seconds: float,
    reserved: set[str],
) -> Refusal | None:
    """Why these needs cannot be met now; the most lasting reason first."""
    for pool in needs.pools:
        limit = capacity.pools.get(pool)
        holders = held.pools.get(pool, [])
        if limit is not None and limit.slots is not None and len(holders) >= limit.slots:
            sentence = f"Pool '{pool}' is full: {len(holders)} of {limit.slots} slots are taken"
            return Refusal("POOL_FULL", sentence, _some(holders), about=pool)
    if needs.cpu and (held.cpu + needs.cpu > capacity.cpu + _EPSILON or "NO_CPU" in reserved):
        sentence = (
            f"It needs {needs.cpu:g} cpu and {max(0.0, capacity.cpu - held.cpu):g} of {capacity.cpu:g} are free"
        )
        return Refusal("NO_CPU", sentence, _some(held.workers))
    if needs.memory_mb and (held.memory_mb + needs.memory_mb > capacity.memory_mb or "NO_MEMORY" in reserved):
        free = max(0, capacity.memory_mb - held.memory_mb)
        sentence = f"It needs {needs.memory_mb} MB of memory and {free} of {capacity.memory_mb} are free"
        return Refusal("NO_MEMORY", sentence, _some(held.workers))
    if needs.worker and len(held.workers) >= capacity.workers:
        sentence = f"All {capacity.workers} workers are busy"
        return Refusal("NO_WORKER", sentence, _some(held.workers))
    for pool in needs.pools:
        wait = buckets[pool].wait(seconds) if pool in buckets else 0.0
        if wait > 0:
            limit = capacity.pools[pool]
            sentence = f"Pool '{pool}' lets {limit.per_second:g} a second start, {limit.burst} at once"
            return Refusal("RATE_LIMITED", sentence, (), now + timedelta(seconds=wait), about=pool)
    return None


def impossible(needs: Needs, capacity: Capacity) -> str | None:
    """A request that no limit here can ever hold, as a sentence."""
    if needs.cpu > capacity.cpu:
        return f"It asks for {needs.cpu:g} cpu; this engine has {capacity.cpu:g}. Lower resources.cpu"
    if needs.memory_mb > capacity.memory_mb:
        return (
            f"It asks for {needs.memory_mb} MB of memory; this engine gives {capacity.memory_mb} MB in all. "
            "Lower resources.memory_mb or raise limits.memory_mb"
        )
    for pool in needs.pools:
        limit = capacity.pools.get(pool)
        if limit is not None and limit.slots == 0:
            return f"Pool '{pool}' has no slots. Raise pools.{pool}.slots in penstock.yaml"
    return None


def _some(names: list[str], name: Callable[[str], str] = str) -> tuple[str, ...]:
    return tuple(name(item) for item in names[:5])
