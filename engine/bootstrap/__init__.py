"""The composition roots. Only here are adapters named; here rooms are handed to each other as ports.

Law: importing this is cheap and opens nothing. `engine.bootstrap.host` builds an engine and brings all of the
runtime along, so only who hosts or spawns one imports it; `attempt` is the inside of one attempt.
"""

from __future__ import annotations

from engine.bootstrap.workspace import Workspace, engine_leads, open_workspace

__all__ = ["Workspace", "engine_leads", "open_workspace"]
