"""Actions that begin with a run that was: run it again otherwise, compare it."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(
        id="run.again", label="again", help="Run it again with other parameters: a form with those it had.",
        keys=("a",), scope=("runs", "run"), name="again", sends=("run.trigger",), destructive=True,
        twin="penstock run PIPELINE -p NAME=VALUE --logical-date D", undo="cancel ends it", footer=10,
    ),
    Action(
        id="run.diff", label="diff", help="Compare two marked runs; one alone with its last success before.",
        keys=("=",), scope=("runs", "run"), name="compare", footer=11, twin="penstock show RUN --json",
    ),
    Action(
        id="diff.all", label="all", help="Show everything, or only what is different.", keys=("a",),
        scope=("diff",), footer=1,
    ),
)  # fmt: skip
