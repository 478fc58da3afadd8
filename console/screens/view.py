"""What every view has: a place, questions to the client, actions, and a life of being shown and hidden.

Law: a hidden view asks nothing and paints nothing; shown again it looks anew if anything happened meanwhile.
Actions of the table whose scope is the view are its methods `do_<id>`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.widget import Widget

from console.asking import Question, Questions
from console.messages import Batch
from console.place import Place
from console.present.filters import Facts, parse
from console.session import Session
from console.state import State
from console.theme import Look

if TYPE_CHECKING:
    from console.app import Console
    from console.widgets.preview import Confirmed, Preview
    from engine.client.commands import Answer

T = TypeVar("T")


class View(Widget):
    """One view in the frame."""

    NAME: ClassVar[str] = ""
    FILTER_HINT: ClassVar[str] = ""  # empty: it has nothing to filter
    DEFAULT_CSS = "View { height: 1fr; width: 1fr; layout: vertical; }"

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__()
        self.console = console
        self.place = place
        self.filter_text = ""
        self.shown = False
        self.stale = True  # whether something happened since it looked
        self._questions = Questions(self, console.client, self.complain)

    # ---- what a view gives; override what applies

    @property
    def crumbs(self) -> list[str]:
        """Breadcrumbs, outermost first; cleaned by the frame."""
        return [self.NAME]

    @property
    def run_argument(self) -> str:
        """What `:run`, `:why` or `:logs` without an argument mean here: `RUN` or `RUN TASK`, or nothing."""
        return ""

    @property
    def pipeline_argument(self) -> str:
        """What `:pipeline` without an argument means here, or nothing."""
        return ""

    def look(self) -> None:
        """Ask for everything the view shows."""

    def take(self, batch: Batch) -> None:
        """Events came in; called only while it is shown."""

    def tick(self, now: datetime) -> None:
        """A second went by; repaint what moves with the time, and only that."""

    def vitals(self, state: State) -> None:
        """The vital signs changed."""

    def filter(self, text: str) -> str | None:
        """Filter by what was typed; a sentence when it cannot be understood."""
        return "There is nothing to filter here."

    def parsed(self, text: str, fields: Sequence[str]) -> Callable[[Facts], bool] | None:
        """A test made of a filter; RequestError says what is wrong with it."""
        return parse(text, fields, self.now(), self.complain)

    def escape(self) -> bool:
        """Esc: take back what lies on top (marks, a filter); False when nothing does, and Esc means back."""
        return False

    def resize_card(self, wider: bool) -> bool:
        """Move the line between the panes; False where there is none."""
        return False

    def kinds(self) -> list[str]:
        """Kinds of widgets in it: whose actions its help tells."""
        return sorted({each.KIND for each in self.query("*").results(Widget) if hasattr(each, "KIND")})

    def copied(self) -> str:
        """What `copy` takes."""
        return ""

    def focus_first(self) -> None:
        """Put the focus where keys are wanted."""
        for child in self.query("*").results(Widget):
            if child.focusable:
                child.focus()
                return

    # ---- what a view has

    @property
    def session(self) -> Session:
        """What the console was handed."""
        return self.console.session

    @property
    def looks(self) -> Look:
        """What the terminal can show."""
        return self.console.session.look

    @property
    def wide(self) -> bool:
        """Whether there is room for panes side by side."""
        return self.console.size.width >= 120

    def now(self) -> datetime:
        """The console's clock."""
        return self.console.now()

    def ask(
        self,
        what: str,
        question: Question[T],
        then: Callable[[T], None],
        *,
        about: Hashable = None,
        fail: Callable[[str], None] | None = None,
        restless: bool = False,
    ) -> None:
        """Ask the client in a thread; see console.asking."""
        self._questions.ask(what, question, then, about=about, fail=fail, restless=restless)

    @property
    def quiet(self) -> bool:
        """Whether no question is on its way."""
        return self._questions.quiet

    def complain(self, sentence: str) -> None:
        """Something did not work."""
        self.console.say(sentence, "bad")

    def go(self, view: str, argument: str = "") -> None:
        """Go to another place."""
        self.console.go(Place(view, argument))

    def send(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        then: Callable[[Answer], None] | None = None,
        undo: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Send a command in a thread; the answer, or the engine's reason to refuse, is shown."""
        self.console.send(command, arguments, then=then, undo=undo)

    def preview(self, preview: Preview, then: Callable[[Confirmed], None]) -> None:
        """Show what would be touched; `then` is called when it was confirmed."""
        self.console.preview(preview, then)

    def on_descendant_focus(self) -> None:
        """Other keys count now."""
        if self.shown:
            self.console.show_frame()

    # ---- shown and hidden, called by the frame

    def appear(self) -> None:
        """It is in front."""
        self.shown = True
        self.display = True
        if self.stale:
            self.stale = False
            self.look()
        self.tick(self.now())

    def vanish(self) -> None:
        """It is behind."""
        self.shown = False
        self.display = False

    def happened(self, batch: Batch) -> None:
        """Events, whether it is shown or not."""
        if self.shown:
            self.take(batch)
        else:
            self.stale = True
