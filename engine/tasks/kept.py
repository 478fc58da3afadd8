"""What a task keeps in its checkpoint from one attempt to the next.

Law: it belongs to one load token. A success that is run again has another token and finds nothing: it does its work
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.ports.tasktype import TaskContext


def kept(ctx: TaskContext) -> dict[str, Any]:
    """What earlier attempts at this work have kept; empty when there was none."""
    saved = ctx.checkpoint.load()
    return saved if isinstance(saved, dict) and saved.get("token") == ctx.load_token else {}


def keep(ctx: TaskContext, what: Mapping[str, Any]) -> None:
    """Keep this instead; on return it is committed."""
    ctx.checkpoint.save({**what, "token": ctx.load_token})
