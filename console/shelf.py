"""The views: the one in front, and those kept as they are behind it.

Law: a view is made when it is first gone to and kept while it is among the last few. Only the one in front is told
of the time, and what is asked of a view that is not put together yet waits until it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import screens
from console.messages import Batch
from console.place import Place
from console.widgets.prompt import Prompt

if TYPE_CHECKING:
    from console.app import Console
    from console.screens.view import View

_KEPT = 6  # views kept as they are behind the one shown


class Shelf:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._views: dict[Place, View] = {}  # the newest is last

    @property
    def front(self) -> View | None:
        """The view in front; None before the first."""
        return self._views.get(self._console.history.here)

    def show(self, place: Place) -> None:
        """Bring a view to the front."""
        view = self._views.pop(place, None)
        if view is None:
            view = screens.VIEWS[place.view].load()(self._console, place)
            self._views[place] = view
            self._console.query_one("#views").mount(view)
            view.call_after_refresh(self._appear, view)
        else:
            self._views[place] = view
            self._appear(view)
        for old in [each for each in self._views if each != place][: -_KEPT or None]:
            self._views.pop(old).remove()

    def _appear(self, view: View) -> None:
        if view.place != self._console.history.here or not view.is_attached:
            return
        if not view.is_mounted:  # attached, but its children are not there yet
            view.call_after_refresh(self._appear, view)
            return
        view.appear()
        if not self._console.query_one(Prompt).open:
            view.focus_first()
        self._console.show_frame()
        self._console.keyboard.begin()

    def happened(self, batch: Batch) -> None:
        """Events, for all of them."""
        for view in list(self._views.values()):
            view.happened(batch)

    def kinds_in(self, name: str) -> list[str]:
        """Kinds of widgets in the open view of that name: whose actions its help tells."""
        for view in reversed(self._views.values()):
            if name == view.NAME:
                return view.kinds()
        return []
