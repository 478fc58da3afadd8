"""Secrets by reference: ${env:NAME}, ${env:NAME:-default}, ${file:PATH}, ${keyring:SERVICE/NAME}, ${service:NAME}.

Law: resolved at the last moment, never stored, never logged, never on a command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.model.workspace import Connection


class Secrets(Protocol):
    """Thread-safe."""

    def resolve(self, connection: Connection) -> tuple[Connection, Sequence[str]]:
        """The connection with references replaced, and the secret values (to be masked).
        ConfigurationError names the reference that has no value, never a value."""

    def resolve_text(self, text: str) -> tuple[str, Sequence[str]]:
        """One string with references."""

    def hidden_variables(self) -> frozenset[str]:
        """Environment variables that a ${env:} secret names: attempts do not inherit them."""

    def environment(self) -> Mapping[str, str]:
        """The engine's environment with .env (mode 0600) laid under it."""

    def mask(self, value: Any) -> Any:
        """JSON with every known secret value replaced by ***."""
