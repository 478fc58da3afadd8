"""What a place must be able to do to be written to: the part of engine.ports.destination.Destination that differs
between a folder and an object store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.ports.destination import Loaded, Order
from engine.ports.stream import Stream


class Target(Protocol):
    """See Destination for each of these."""

    def create(self, target: str) -> None: ...

    def ledger(self, token: str, target: str) -> Loaded | None: ...

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None: ...

    def load(self, stream: Stream, order: Order) -> Loaded: ...

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]: ...

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded: ...

    def undo(self, staged: Mapping[str, Any], order: Order) -> None: ...

    def discard(self, staged: Mapping[str, Any]) -> None: ...
