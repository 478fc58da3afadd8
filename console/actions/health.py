"""Actions on the health view."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="health.checks",
        label="checks",
        help="Every check with its figures and what it said before.",
        keys=("1",),
        scope=("health",),
        twin="penstock health",
        footer=3,
    ),
    Action(
        id="health.processes",
        label="processes",
        help="Live attempts and engines: pid, memory, CPU, age.",
        keys=("2",),
        scope=("health",),
        footer=4,
    ),
    Action(
        id="health.slots",
        label="slots",
        help="Workers and pools, and who holds their slots.",
        keys=("3",),
        scope=("health",),
        footer=5,
    ),
    Action(
        id="health.connections",
        label="connections",
        help="Connections: whether they answer, and whether tasks use them.",
        keys=("4",),
        scope=("health",),
        twin="penstock connections",
        footer=6,
    ),
    Action(
        id="health.test",
        label="test",
        help="Try the selected or marked connections, or all of them from elsewhere in the view.",
        keys=("t",),
        scope=("health",),
        name="test-connection",
        twin="penstock connections test [CONNECTION]",
        footer=2,
    ),
    Action(
        id="health.close",
        label="close circuit",
        help="Use the selected or marked connections again at once, without waiting until they are tried.",
        keys=("c",),
        scope=("health",),
        name="close-circuit",
        sends=("connection.close",),
        twin="penstock connections close CONNECTION",
        destructive=True,
        footer=1,
    ),
    Action(
        id="health.details",
        label="details",
        help="Show or hide the card of the selected row.",
        keys=("d",),
        scope=("health",),
        footer=7,
    ),
)
