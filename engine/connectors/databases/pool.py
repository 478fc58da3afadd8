"""Connections kept open within a process, so many and no more.

Law: a connection is asked whether it lives before it is lent again. Who finds all of them lent waits a while and is
then told. Whatever was opened is closed when the last who uses the pool lets go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from engine.model.errors import ResourceExhaustion

SIZE = 4
PATIENCE = 30.0  # seconds until the error


class Lendable(Protocol):
    """What a pool keeps."""

    def alive(self) -> bool:
        """Whether the other side still answers."""

    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=Lendable)


class Pool(Generic[Kept]):
    """Connections to one system with one login."""

    def __init__(self, name: str, size: int, opened: Callable[[], Kept]) -> None:
        self._name, self._size, self._open = name, size, opened
        self._idle: list[Kept] = []
        self._lent = 0
        self._changed = threading.Condition()
        self.users = 0

    def take(self) -> Kept:
        """A connection that answers."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._lent < self._size, PATIENCE):
                raise ResourceExhaustion(
                    f"Connection '{self._name}': all {self._size} connections of this task are in use; raise "
                    "`pool_size` on the connection."
                )
            self._lent += 1
        try:
            return self._living() or self._open()
        except BaseException:
            self._returned()
            raise

    def _living(self) -> Kept | None:
        while True:
            with self._changed:
                if not self._idle:
                    return None
                kept = self._idle.pop()
            if kept.alive():
                return kept
            kept.close()

    def give(self, kept: Kept) -> None:
        """Hand a connection back."""
        with self._changed:
            wanted = self.users > 0 and len(self._idle) < self._size
            if wanted:
                self._idle.append(kept)
        if not wanted:
            kept.close()
        self._returned()

    def _returned(self) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify()

    def empty(self) -> None:
        """Close what is not lent."""
        with self._changed:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()


class Pools(Generic[Kept]):
    """The pools of one kind of system in this process."""

    def __init__(self) -> None:
        self._pools: dict[object, Pool[Kept]] = {}
        self._lock = threading.Lock()

    def join(self, key: object, name: str, size: int, opened: Callable[[], Kept]) -> Pool[Kept]:
        """The pool of this key; let go of with `leave`."""
        with self._lock:
            pool = self._pools.setdefault(key, Pool(name, size, opened))
            pool.users += 1
            return pool

    def leave(self, key: object, pool: Pool[Kept]) -> None:
        """One user less."""
        with self._lock:
            pool.users -= 1
            last = pool.users == 0
            if last:
                self._pools.pop(key, None)
        if last:
            pool.empty()
