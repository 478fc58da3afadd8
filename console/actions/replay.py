"""Actions of the replay. It looks at what was and changes nothing."""

from __future__ import annotations

from console.actions.action import Action

_SCOPE = ("replay",)

ACTIONS = (
    Action(
        id="replay.play", label="play", help="Play, or pause; at the end from the start again.", keys=("space",),
        scope=_SCOPE, footer=1,
    ),
    Action(
        id="replay.backward", label="back", help="To the change before.", keys=("left", "h"), scope=_SCOPE,
        footer=2,
    ),
    Action(
        id="replay.forward", label="on", help="To the next change.", keys=("right",), scope=_SCOPE, footer=3,
    ),
    Action(
        id="replay.leap-backward", label="leap back", help="Back by a tenth of the run.",
        keys=("shift+left", "pageup"), scope=_SCOPE,
    ),
    Action(
        id="replay.leap-forward", label="leap on", help="On by a tenth of the run.",
        keys=("shift+right", "pagedown"), scope=_SCOPE,
    ),
    Action(id="replay.first", label="start", help="To the start of the run.", keys=("home",), scope=_SCOPE),
    Action(id="replay.last", label="end", help="To the end of the run.", keys=("end", "G"), scope=_SCOPE),
    Action(id="replay.faster", label="faster", help="Play faster.", keys=("+", "="), scope=_SCOPE, footer=4),
    Action(id="replay.slower", label="slower", help="Play slower.", keys=("-",), scope=_SCOPE, footer=5),
    Action(
        id="replay.open", label="open", help="The run as it is now, at the selected task.", keys=("enter",),
        scope=_SCOPE, footer=6,
    ),
)  # fmt: skip
