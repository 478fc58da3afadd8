"""Actions of every table and card."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(id="cursor.down", label="down", help="One row down.", keys=("down", "j"), scope=("@table", "@card")),
    Action(id="cursor.up", label="up", help="One row up.", keys=("up", "k"), scope=("@table", "@card")),
    Action(
        id="page.down",
        label="page down",
        help="One page down.",
        keys=("pagedown", "ctrl+f"),
        scope=("@table", "@card"),
    ),
    Action(
        id="page.up", label="page up", help="One page up.", keys=("pageup", "ctrl+b"), scope=("@table", "@card")
    ),
    Action(id="cursor.first", label="first", help="To the first row.", keys=("home",), scope=("@table", "@card")),
    Action(id="cursor.last", label="last", help="To the last row.", keys=("end", "G"), scope=("@table", "@card")),
    Action(id="row.open", label="open", help="Open the row.", keys=("enter", "right"), scope=("@table",)),
    Action(
        id="mark", label="mark", help="Mark the row, or take its mark away.", keys=("space",), scope=("@table",)
    ),
    Action(
        id="mark.range",
        label="mark range",
        help="Begin a range that moving extends; again to end it.",
        keys=("v",),
        scope=("@table",),
    ),
    Action(
        id="mark.all",
        label="mark all",
        help="Mark all that match the filter; again to unmark.",
        keys=("*",),
        scope=("@table",),
    ),
    Action(id="sort.next", label="sort", help="Sort by the next column.", keys=("s",), scope=("@table",)),
    Action(id="sort.reverse", label="reverse", help="Reverse the order.", keys=("S",), scope=("@table",)),
)
