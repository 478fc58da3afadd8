"""Actions of the log."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(id="log.down", label="down", help="One line down.", keys=("down", "j"), scope=("@log",)),
    Action(id="log.up", label="up", help="One line up.", keys=("up", "k"), scope=("@log",)),
    Action(
        id="log.page-down", label="page down", help="One page down.", keys=("pagedown", "space"), scope=("@log",)
    ),
    Action(id="log.page-up", label="page up", help="One page up.", keys=("pageup",), scope=("@log",)),
    Action(id="log.first", label="first", help="To the first line.", keys=("home",), scope=("@log",)),
    Action(id="log.last", label="last", help="To the end, and follow.", keys=("end", "G"), scope=("@log",)),
    Action(id="log.left", label="left", help="Half a page to the left.", keys=("left",), scope=("@log",)),
    Action(id="log.right", label="right", help="Half a page to the right.", keys=("right",), scope=("@log",)),
    Action(
        id="log.follow",
        label="follow",
        help="Follow what is written, or stop following.",
        keys=("F",),
        scope=("@log",),
        footer=1,
    ),
    Action(
        id="log.search",
        label="search",
        help="Search; n and N go on. /text/ is a regular expression.",
        keys=("/",),
        scope=("@log",),
        name="search",
        footer=2,
    ),
    Action(id="log.next", label="next", help="The next match.", keys=("n",), scope=("@log",), footer=3),
    Action(id="log.previous", label="previous", help="The match before.", keys=("N",), scope=("@log",)),
    Action(id="log.error", label="first error", help="To the first error.", keys=("E",), scope=("@log",), footer=4),
    Action(
        id="log.level",
        label="level",
        help="Show everything, from warnings on, or errors only.",
        keys=("e",),
        scope=("@log",),
        footer=5,
    ),
    Action(
        id="log.wrap", label="wrap", help="Wrap long lines, or cut them.", keys=("W",), scope=("@log",), footer=6
    ),
    Action(
        id="log.times",
        label="times",
        help="Times absolute, relative to the first line, or none.",
        keys=("t",),
        scope=("@log",),
        footer=7,
    ),
    Action(
        id="log.save", label="save", help="Save the log, sanitised, to a file.", keys=("ctrl+s",), scope=("logs",)
    ),
    Action(
        id="log.attempt",
        label="attempt",
        help="Only the next attempt; after the last one all of them.",
        keys=("a",),
        scope=("logs",),
        footer=8,
    ),
)
