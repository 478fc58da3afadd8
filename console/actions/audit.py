"""Actions on the audit trail."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="audit.verify",
        label="verify",
        help="Walk the whole trail and say whether its hash chain holds.",
        keys=("V",),
        scope=("audit",),
        name="verify",
        twin="penstock audit --verify",
        footer=1,
    ),
    Action(
        id="audit.open",
        label="open run",
        help="Go to the run that the entry is about.",
        keys=("o",),
        scope=("audit",),
        footer=2,
    ),
    Action(
        id="audit.details",
        label="details",
        help="Show or hide everything about the entry.",
        keys=("d",),
        scope=("audit",),
        twin="penstock audit --json",
        footer=3,
    ),
)
