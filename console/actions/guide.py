"""Actions of the help."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="help.all",
        label="all",
        help="All actions of the console, or only those of the view.",
        keys=("a",),
        scope=("help",),
        footer=1,
    ),
)
