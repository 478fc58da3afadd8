"""Help: what can be done in the view one came from; Enter runs an entry there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from console import screens
from console.actions import EVERYWHERE, Action
from console.keymap import shown
from console.place import Place
from console.present.cells import Cell
from console.present.columns import Column
from console.present.filters import Facts
from console.screens.view import View
from console.widgets.table import Table
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console

FIELDS = ("key", "action", "what", "where")
_KINDS = {
    "@table": "in lists",
    "@card": "in cards",
    "@log": "in logs",
    "@logbelow": "in the log below",
    "@dag": "in the graph",
    EVERYWHERE: "everywhere",
}


class HelpView(View):
    """The action table as a table."""

    NAME = "help"
    FILTER_HINT = "text, key:ctrl*, where:everywhere"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._all = False

    def compose(self) -> ComposeResult:
        plain = self.looks.plain
        columns: list[Column[Action]] = [
            Column(
                name="key",
                title="key",
                width=14,
                cell=lambda a, _: Cell("  ".join(shown(each, plain=plain) for each in a.keys), "key"),
            ),
            Column(name="action", title="action", width=17, cell=lambda a, _: Cell(a.label, "strong")),
            Column(name="what", title="what it does", width=30, grow=4, cell=lambda a, _: Cell(_told(a))),
            Column(
                name="where", title="where", width=12, rank=6, cell=lambda a, _: Cell(_where(a), "dim"), sort=_where
            ),
            Column(name="name", title="after :", width=14, rank=7, cell=lambda a, _: Cell(a.command, "dim")),
            Column(
                name="twin", title="command line", width=18, grow=2, rank=9, cell=lambda a, _: Cell(a.twin, "dim")
            ),
        ]
        yield Table(
            columns,
            key=lambda a: a.id,
            natural=self._natural,
            look=self.looks,
            now=self.now,
            empty="No action matches. Esc takes the filter away.",
        )

    @property
    def table(self) -> Table[Action]:
        """The table."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        entry = screens.entry(self.place.argument)
        return ["Help", "everything" if self._all or entry is None else entry.title]

    def look(self) -> None:
        """All rows, or those that hold where one came from."""
        rows = self.console.keymap.actions
        wanted = {self.place.argument, EVERYWHERE, *self.console.kinds_in(self.place.argument)}
        if not self._all and self.place.argument:
            rows = tuple(each for each in rows if wanted & set(each.scope))
        self.table.replace(rows)
        self.console.show_frame()

    def _natural(self, action: Action) -> tuple[int, int]:
        """The view's own first, then those of its widgets, then the rest, in the table's order."""
        rank = 0 if self.place.argument in action.scope else 2 if EVERYWHERE in action.scope else 1
        return rank, next(i for i, each in enumerate(self.console.keymap.actions) if each.id == action.id)

    def filter(self, text: str) -> str | None:
        try:
            keep: Callable[[Facts], bool] | None = self.parsed(text, FIELDS)
        except RequestError as error:
            return str(error)
        self.table.filter_rows(None if keep is None else lambda action: keep((_facts(action), None)))
        return None

    def escape(self) -> bool:
        if not self.filter_text:
            return False
        self.filter_text = ""
        self.filter("")
        self.console.show_frame()
        return True

    def copied(self) -> str:
        action = self.table.selected
        return action.twin if action is not None else ""

    def on_table_opened(self, event: Table.Opened) -> None:
        """Back to where one came from, and do it there."""
        event.stop()
        action = self.table.selected
        if action is not None and self.console.step(-1):
            self.console.call_after_refresh(self.console.perform, action)

    def do_help_all(self) -> None:
        self._all = not self._all
        self.look()


def _told(action: Action) -> str:
    return action.help + (f" To take it back: {action.undo}." if action.undo else "")


def _where(action: Action) -> str:
    return ", ".join(_KINDS.get(each, each) for each in action.scope)


def _facts(action: Action) -> dict[str, str]:
    return {
        "key": " ".join(action.keys),
        "action": f"{action.label} {action.id}",
        "what": action.help,
        "where": _where(action),
    }
