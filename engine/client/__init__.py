"""What consoles, the command line and an API use: reads, wishes and the feed, over ports that bootstrap fills.

`Client` is loaded when it is asked for: sanitising a line or telling the version must not cost its imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from engine.client.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
