"""Actions of the log below a run, besides those of every log."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="logbelow.open",
        label="whole log",
        help="Open all of the log that is shown below.",
        keys=("enter",),
        scope=("@logbelow",),
        footer=8,
        twin="penstock logs RUN TASK",
    ),
)
