"""Actions on schedules."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="schedule.pause",
        label="pause",
        help="Fire nothing until it is resumed; the reason goes into the audit trail.",
        keys=("p",),
        scope=("schedules",),
        sends=("schedule.pause",),
        destructive=True,
        twin="penstock schedule pause PIPELINE --reason WHY",
        undo="resume it",
        footer=1,
    ),
    Action(
        id="schedule.resume",
        label="resume",
        help="Fire again; what that fires at once is shown first.",
        keys=("r",),
        scope=("schedules",),
        sends=("schedule.resume",),
        destructive=True,
        twin="penstock schedule resume PIPELINE",
        undo="pause it; what was fired goes on",
        footer=2,
    ),
    Action(
        id="schedule.run",
        label="run now",
        help="Make a run now, beside the schedule.",
        keys=("t",),
        scope=("schedules",),
        sends=("run.trigger",),
        destructive=True,
        twin="penstock run PIPELINE [-p NAME=VALUE...]",
        undo="cancel the run",
        footer=3,
    ),
    Action(
        id="schedule.what-if",
        label="what if",
        help="Type another expression or time zone and see what it would fire; nothing is saved.",
        keys=("e",),
        scope=("schedules",),
        name="what-if",
        twin="penstock schedule next PIPELINE --cron EXPRESSION",
        footer=4,
    ),
    Action(
        id="schedule.runs",
        label="runs",
        help="The runs of the pipeline.",
        keys=("o",),
        scope=("schedules",),
        twin="penstock runs --pipeline PIPELINE",
        footer=5,
    ),
    Action(
        id="schedule.details",
        label="details",
        help="Show or hide the card: next fires, the coming days, collisions.",
        keys=("d",),
        scope=("schedules",),
        twin="penstock schedule next PIPELINE",
        footer=6,
    ),
)
