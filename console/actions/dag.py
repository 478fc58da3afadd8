"""Actions of the live graph."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS = (
    Action(id="dag.left", label="upstream", help="To the neighbour upstream.", keys=("left", "h"), scope=("@dag",)),
    Action(
        id="dag.right", label="downstream", help="To the neighbour downstream.", keys=("right",), scope=("@dag",)
    ),
    Action(id="dag.up", label="up", help="Up in the same layer.", keys=("up", "k"), scope=("@dag",)),
    Action(id="dag.down", label="down", help="Down in the same layer.", keys=("down", "j"), scope=("@dag",)),
    Action(id="dag.sibling", label="sibling", help="To the next sibling.", keys=("tab",), scope=("@dag",)),
    Action(id="dag.failed", label="next failed", help="To the next failed task.", keys=("n",), scope=("@dag",)),
    Action(
        id="dag.critical",
        label="critical path",
        help="To the next task on the critical path.",
        keys=("p",),
        scope=("@dag",),
    ),
    Action(
        id="dag.upstream",
        label="upstream only",
        help="Light the ancestry alone; again: both.",
        keys=("U",),
        scope=("@dag",),
    ),
    Action(
        id="dag.downstream",
        label="downstream only",
        help="Light the descent alone; again: both.",
        keys=("D",),
        scope=("@dag",),
    ),
    Action(
        id="dag.fold",
        label="fold",
        help="Fold or unfold a group or a bundle of siblings.",
        keys=("f", "enter"),
        scope=("@dag",),
    ),
    Action(
        id="dag.levels",
        label="levels",
        help="One row per level with its progress; again: the graph.",
        keys=("z",),
        scope=("@dag",),
    ),
    Action(id="dag.page-down", label="page down", help="Half a page down.", keys=("pagedown",), scope=("@dag",)),
    Action(id="dag.page-up", label="page up", help="Half a page up.", keys=("pageup",), scope=("@dag",)),
    Action(
        id="dag.page-right",
        label="page right",
        help="Half a page to the right.",
        keys=("shift+right", "end"),
        scope=("@dag",),
    ),
    Action(
        id="dag.page-left",
        label="page left",
        help="Half a page to the left.",
        keys=("shift+left", "home"),
        scope=("@dag",),
    ),
)
