"""Actions of the first view."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="pulse.seen",
        label="seen",
        help="Count everything that failed so far as seen; again: as new.",
        keys=("x",),
        scope=("pulse",),
        footer=6,
    ),
)
