"""A view of a list, and beside it a card about what is selected.

Law: where there is room both are there, with a line between them that keys and mouse move and that is remembered
for each view; on a narrow terminal one of them is, the list first. The card comes and goes with one action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.widget import Widget

from console.place import Place
from console.screens.view import View
from console.widgets.card import Card
from console.widgets.divider import WIDTH, Divider, Rail
from console.widgets.table import Table

if TYPE_CHECKING:
    from console.app import Console

_STEP = 4  # columns by a key
_LEAST = 24  # columns of either side


class SplitView(View):
    """The list's side is `side`, its table `table`; what is beside is the one `Card` and a `Divider`."""

    CARD: ClassVar[int] = 54  # columns of the card until somebody moves the line
    ALONE: ClassVar[bool] = True  # whether the card can be there without the list
    DEFAULT_CSS = "SplitView #body { height: 1fr; }"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.details: bool | None = None  # whether the card is wanted; None: as there is room

    def on_mount(self) -> None:
        """Room decides what is there."""
        self.make_room()

    def on_resize(self) -> None:
        """Room decides what is there."""
        self.make_room()

    @property
    def table(self) -> Table[Any]:
        """The list."""
        return self.query_one(Table)

    @property
    def side(self) -> Widget:
        """What stands where the list stands."""
        return self.table

    @property
    def card(self) -> Card:
        """What stands beside it."""
        return self.query_one(Card)

    # ---- room

    def make_room(self) -> None:
        """As there is room."""
        card = self.wide if self.details is None or not self.ALONE else self.details
        whole = card and not self.wide
        self.card.display = card
        self.query_one(Divider).display = card and not whole
        self.card.styles.width = "1fr" if whole else self._card_width
        self.side.display = not whole

    @property
    def _card_width(self) -> int:
        return self._within(self.session.splits.get(self.NAME, self.CARD))

    def _within(self, width: int) -> int:
        return max(_LEAST, min(self.console.size.width - _LEAST, width))

    def resize_card(self, wider: bool) -> bool:
        if not (self.wide and self.card.display):
            return False
        self._move(self._card_width + (_STEP if wider else -_STEP), keep=True)
        return True

    def on_rail_dragged(self, event: Rail.Dragged) -> None:
        """The line follows the mouse."""
        event.stop()
        self._move(self.region.right - event.column - WIDTH, keep=event.done)

    def _move(self, width: int, *, keep: bool) -> None:
        self.session.splits[self.NAME] = self._within(width)
        self.make_room()
        if keep:
            self.keep_splits()

    def keep_splits(self) -> None:
        """Have the lines as they are remembered."""
        memory, splits = self.session.memory, dict(self.session.splits)
        self.ask("split", lambda client: memory.keep_splits(splits), lambda nothing: None)

    # ---- the card comes and goes

    def toggle_details(self) -> None:
        """The card, or no card."""
        self.details = not self.card.display
        self.make_room()
        self.focus_first()

    def focus_first(self) -> None:
        if not self.is_mounted:  # whoever shows it asks again
            return
        (self.focused_side() if self.side.display else self.card).focus()

    def focused_side(self) -> Widget:
        """What takes the focus where the list stands."""
        return self.table

    def escape(self) -> bool:
        if self.clear_marks():
            return True
        if self.details and not self.wide:
            self.toggle_details()
            return True
        if self.filter_text:
            self.filter_text = ""
            self.filter("")
            self.console.show_frame()
            return True
        return False

    def clear_marks(self) -> bool:
        """Take marks away; whether there were any."""
        return self.table.clear_marks()
