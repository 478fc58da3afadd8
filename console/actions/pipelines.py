"""Actions on pipelines."""

from __future__ import annotations

from console.actions.action import Action

_BOTH = ("pipelines", "pipeline")

ACTIONS = (
    Action(
        id="pipeline.trigger",
        label="trigger",
        help="Run it now: a form of its parameters, with the values given last.",
        keys=("t",),
        scope=_BOTH,
        name="trigger",
        sends=("run.trigger",),
        destructive=True,
        twin="penstock run PIPELINE -p NAME=VALUE --detach",
        undo="cancel the run",
        footer=1,
    ),
    Action(
        id="pipeline.pause",
        label="pause/resume",
        help="Let its schedule fire nothing, or again; what that does is shown first.",
        keys=("p",),
        scope=_BOTH,
        sends=("schedule.pause", "schedule.resume"),
        destructive=True,
        twin="penstock schedule pause|resume PIPELINE",
        undo="the other one of the two",
        footer=2,
    ),
    Action(
        id="pipeline.edit",
        label="edit",
        help="Open its definition in $EDITOR, and check it when that returns.",
        keys=("e",),
        scope=_BOTH,
        footer=3,
    ),
    Action(
        id="pipeline.validate",
        label="validate",
        help="Check its definition; every problem at once.",
        keys=("V",),
        scope=_BOTH,
        twin="penstock validate FILE",
        footer=4,
    ),
    Action(
        id="pipeline.graph",
        label="graph",
        help="Its tasks as a graph, with how each stands in the newest run.",
        keys=("g",),
        scope=_BOTH,
        twin="penstock graph PIPELINE",
        footer=5,
    ),
    Action(
        id="pipeline.runs",
        label="runs",
        help="Its runs, in the table of all runs.",
        keys=("o",),
        scope=_BOTH,
        twin="penstock runs --pipeline PIPELINE",
        footer=6,
    ),
    Action(
        id="pipeline.details",
        label="details",
        help="Show or hide the card.",
        keys=("d",),
        scope=_BOTH,
        footer=7,
    ),
)
