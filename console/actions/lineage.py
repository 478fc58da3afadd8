"""Actions on datasets and their lineage."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="lineage.more", label="more hops", help="One hop more, upstream and downstream.", keys=("+", "="),
        scope=("lineage",), footer=2,
    ),
    Action(
        id="lineage.fewer", label="fewer hops", help="One hop less.", keys=("-",), scope=("lineage",), footer=3,
    ),
    Action(
        id="lineage.left", label="left", help="To the column on the left; Tab goes on to the right.",
        keys=("left", "h"), scope=("lineage",),
    ),
    Action(
        id="lineage.run", label="last run", help="The run that wrote the selected dataset last.", keys=("o",),
        scope=("lineage",), footer=4,
    ),
    Action(
        id="lineage.data", label="data", help="The dataset itself: who writes and reads it, and its last writes.",
        keys=("d",), scope=("lineage", "data"), footer=5, name="dataset",
    ),
    Action(
        id="lineage.show", label="lineage", help="The lineage of the selected dataset.", keys=("L",),
        scope=("lineage", "data"), footer=6, name="lineage-of",
    ),
)  # fmt: skip
