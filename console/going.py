"""Going places by name: `:`, `/`, and the palette.

Law: Enter runs exactly what is typed. A wrong name says what is near and keeps the line; a view that is given no
argument takes what is selected, else the latest run, else shows the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from console import screens
from console.actions import Action
from console.place import Place
from console.widgets.prompt import Complete, Prompt

if TYPE_CHECKING:
    from textual.widget import Widget

    from console.app import Console
    from engine.client import Client

Entered = Callable[[str], str | None]
"""Takes the line; a sentence keeps it open."""

_RUNS_OFFERED = 50


class Goer:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._entered: Entered | None = None
        self._typed: Callable[[str], object] | None = None
        self._left: Callable[[], object] | None = None
        self._focused: Widget | None = None  # what had the focus before the line took it
        self._runs: list[str] = []  # names a run may be given, newest first
        self._pipelines: list[str] = []

    # ---- the prompt

    @property
    def _prompt(self) -> Prompt:
        return self._console.screen_stack[0].query_one(Prompt)

    def open(
        self,
        sign: str,
        entered: Entered,
        *,
        text: str = "",
        hint: str = "",
        typed: Callable[[str], object] | None = None,
        left: Callable[[], object] | None = None,
        complete: Complete | None = None,
    ) -> None:
        """Ask for a line."""
        self._entered, self._typed, self._left = entered, typed, left
        self._focused = self._console.focused
        self._prompt.ask(sign, text, hint=hint, live=typed is not None, complete=complete)

    def entered(self, text: str) -> None:
        """Enter."""
        if self._entered is None:
            return
        refusal = self._entered(text)
        if refusal is None:
            self.close()
        else:
            self._prompt.say(refusal)

    def typed(self, text: str) -> None:
        """A live prompt changed."""
        if self._typed is not None:
            self._typed(text)

    def left(self) -> None:
        """Esc."""
        if self._left is not None:
            self._left()
        self.close()

    def close(self) -> None:
        """Back to the view, and to the pane that had the focus."""
        focused, view = self._focused, self._console.view
        self._entered = self._typed = self._left = self._focused = None
        self._prompt.close()
        if view.shown:  # one that was just gone to takes the focus when it is there
            if focused is not None and focused.focusable and view in focused.ancestors:
                focused.focus()
            else:
                view.focus_first()
        self._console.show_frame()

    # ---- `/`

    def ask_filter(self) -> None:
        """Filter what is shown, as it is typed; Esc takes the filter back."""
        view = self._console.view
        if not view.FILTER_HINT:
            self._console.say("There is nothing to filter here.")
            return
        before = view.filter_text

        def apply(text: str) -> str | None:
            refusal = view.filter(text)
            if refusal is None:
                view.filter_text = text
                self._console.show_frame()
            return refusal

        self.open("/", apply, text=before, hint=view.FILTER_HINT, typed=apply, left=lambda: apply(before))

    # ---- `:`

    def ask(self) -> None:
        """Go to anything by name."""
        self.open(":", self.run, complete=self.completions, hint="a view or an action; Tab takes the suggestion")
        self._console.questions.ask("names", _names, self._learn)

    def _learn(self, found: tuple[list[str], list[str]]) -> None:
        self._runs, self._pipelines = found

    def completions(self, text: str) -> Sequence[str]:
        """What the line may become."""
        word, blank, rest = text.partition(" ")
        if not blank:
            names = [*screens.VIEWS, *(each.command for each in self._commands())]
            return [each for each in dict.fromkeys(names) if each.startswith(word)]
        entry = screens.entry(word)
        if entry is None:
            return []
        if entry.takes in ("run", "task") and " " not in rest:
            known = ["last", *(f"last:{each}" for each in self._pipelines), *self._runs]
        elif entry.takes == "pipeline":
            known = self._pipelines
        elif entry.takes == "filter":
            head, _, rest = rest.rpartition(" ")
            known = [f"state:{each}" for each in ("failed", "running", "success", "pending", "cancelled")]
            known += [f"pipeline:{each}" for each in self._pipelines]
            word = f"{word} {head}".rstrip()
        else:
            known = []
        return [f"{word} {each}" for each in known if each.startswith(rest)]

    def _commands(self) -> list[Action]:
        """Actions that can be called by name here."""
        scopes = self._console.scopes
        rows = self._console.keymap.actions
        return [each for each in rows if any(scope in each.scope for scope in scopes) and each.id[:3] != "go."]

    def run(self, text: str) -> str | None:
        """What was typed after `:`; a sentence when there is no such thing."""
        word, _, rest = text.strip().partition(" ")
        if not word:
            return None
        entry = screens.entry(word)
        if entry is not None:
            return self._typed_place(entry, rest.strip())
        for action in self._commands():
            if action.command == word:
                self._console.call_after_refresh(self._console.perform, action)
                return None
        from engine.client.names import near

        known = [*screens.VIEWS, *(each.command for each in self._commands())]
        return f"There is nothing called '{word[:40]}'.{near(word, known)} ? lists what there is."

    def _typed_place(self, entry: screens.Entry, argument: str) -> str | None:
        if entry.takes not in ("run", "task") or not argument:
            self.go_to(entry.name, argument)
            return None
        self._resolve(entry, argument, lambda sentence: self._prompt.say(sentence), self.close)
        return "Looking" + self._console.session.look.ellipsis

    def go_to(self, view: str, argument: str = "") -> None:
        """A view; what it needs is taken from what is selected where nothing is given."""
        entry = screens.VIEWS[view]
        if entry.takes not in ("run", "task"):
            chosen = self._console.view.pipeline_argument if entry.takes == "pipeline" else ""
            self._console.go(Place(view, argument or chosen))
            return
        given = argument or self._console.view.run_argument or "last"
        self._resolve(entry, given, self._no_run, lambda: None)

    def _no_run(self, sentence: str) -> None:
        self._console.say(sentence, "bad")
        self._console.go(Place("runs"))

    def _resolve(
        self, entry: screens.Entry, argument: str, fail: Callable[[str], None], done: Callable[[], None]
    ) -> None:
        """The run is looked up before anything is left."""
        name, _, task = argument.partition(" ")

        def find(client: Client) -> str:
            run_id = client.run(name).run_id
            if task.strip():
                client.tasks(run_id, [task.strip()])
            return run_id

        def found(run_id: str) -> None:
            done()
            rest = f" {task.strip()}" if task.strip() else ""
            self._console.go(Place(entry.name, run_id + rest))

        self._console.questions.ask("resolve", find, found, about=(entry.name, argument), fail=fail)

    # ---- the palette

    def palette(self) -> None:
        """Search every action and view."""
        from console.widgets.chooser import Choice, Chooser

        console = self._console
        rows = [
            Choice(id=each.id, label=each.label, keys=" ".join(each.keys[:1]), help=each.help)
            for each in console.keymap.actions
            if any(scope in each.scope for scope in console.scopes) and each.id != "palette"
        ]
        by_id = {each.id: each for each in console.keymap.actions}

        def chosen(answer: str | None) -> None:
            if answer is not None:
                console.call_after_refresh(console.perform, by_id[answer])

        console.push_screen(Chooser(console.session.look, "Go to or do", rows), chosen)


def _names(client: Client) -> tuple[list[str], list[str]]:
    runs = client.queries.runs(limit=_RUNS_OFFERED)[0]
    pipelines = dict.fromkeys([*(each.pipeline_id for each in runs), *client.catalog.ids()])
    return [each.run_id for each in runs], sorted(pipelines)


def split_argument(argument: str) -> tuple[str, str | None]:
    """A place's argument as run and task."""
    run_id, _, task = argument.partition(" ")
    return run_id, task or None
