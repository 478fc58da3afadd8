"""Actions of the frame: navigation, prompts, help, leaving."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(id="back", label="back", help="Back to where you came from.", keys=("escape", "backspace")),
    Action(id="history.back", label="back", help="Back in the history.", keys=("[",)),
    Action(id="history.forward", label="forward", help="Forward in the history.", keys=("]",)),
    Action(
        id="prompt.filter",
        label="filter",
        help="Filter what is shown: text, /regex/, state:failed, since:2h.",
        keys=("/",),
        name="filter",
        footer=91,
    ),
    Action(id="prompt.go", label="go to", help="Go to anything by name.", keys=(":",), footer=92),
    Action(
        id="help",
        label="help",
        help="What can be done here; Enter runs an entry.",
        keys=("?",),
        name="help-here",
        footer=93,
    ),
    Action(id="palette", label="palette", help="Search every action and view.", keys=("ctrl+p",)),
    Action(id="refresh", label="refresh", help="Read everything in view anew.", keys=("ctrl+r",)),
    Action(id="focus.next", label="next pane", help="Move the focus to the next pane.", keys=("tab", "f6")),
    Action(
        id="focus.previous",
        label="previous pane",
        help="Move the focus to the pane before.",
        keys=("shift+tab", "shift+f6"),
    ),
    Action(
        id="split.wider",
        label="wider card",
        help="Make the pane on the right wider; the mouse draws the line between them.",
        keys=("<",),
    ),
    Action(
        id="split.narrower",
        label="narrower card",
        help="Make the pane on the right narrower.",
        keys=(">",),
    ),
    Action(id="undo", label="undo", help="Take the last change back where that is possible.", keys=("u",)),
    Action(
        id="copy",
        label="copy",
        help="Copy what is selected to the clipboard (OSC 52), else to a file.",
        keys=("y",),
    ),
    Action(
        id="mouse", label="mouse", help="Switch the mouse on or off; off, the terminal selects text.", keys=("f2",)
    ),
    Action(
        id="engine.start",
        label="start engine",
        help="Start the background engine when nobody leads.",
        twin="penstock engine",
    ),
    Action(
        id="quit",
        label="quit",
        help="Close the console; with runs active it asks what becomes of them.",
        keys=("q", "ctrl+q"),
        name="quit",
    ),
)
