"""Which action a key is, and who carries an action out.

Law: a key means what the keymap says and nothing else, except inside a dialog or a line that is being typed. Every
way to an action ends in `perform`, which is where a read-only console refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import events
from textual.widget import Widget

from console.actions import EVERYWHERE, Action
from console.everywhere import Everywhere
from console.keymap import pressed
from console.widgets.prompt import Prompt

if TYPE_CHECKING:
    from console.app import Console

_MOST_EARLY = 256


class Keyboard:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._everywhere = Everywhere(console)
        self._pending = ""  # keys of a sequence that has begun
        self._early: list[events.Key] | None = []  # typed before there was a view; None once there was one

    @property
    def scopes(self) -> list[str]:
        """Whose actions count, innermost first."""
        return [*(each.KIND for each in self._kinds()), self._console.history.here.view, EVERYWHERE]

    def _kinds(self) -> list[Any]:
        focused = self._console.screen_stack[0].focused
        if focused is None or self._console.shelf.front not in focused.ancestors_with_self:
            return []  # the focus is still where one was a moment ago
        return [each for each in focused.ancestors_with_self if isinstance(each, Widget) and hasattr(each, "KIND")]

    def take(self, event: events.Key) -> bool:
        """Carry out what the key is; False when it is not for the keymap."""
        console = self._console
        console.sweeper.key()
        if self._early is not None:
            if len(self._early) < _MOST_EARLY:
                self._early.append(event)
            return True
        if len(console.screen_stack) != 1 or _typed_in(console.focused) or console.shelf.front is None:
            self._pending = ""
            return False
        prompt = console.query_one(Prompt)
        if prompt.open:
            prompt.line.late(event)
            return True
        keys = f"{self._pending} {pressed(event.key, event.character)}".strip()
        self._pending = ""
        if console.keymap.begins(keys, self.scopes):
            self._pending = keys
            return True
        action = console.keymap.find(keys, self.scopes)
        if action is not None:
            self.perform(action)
        return True

    def begin(self) -> None:
        """There is a view to take keys now; what was typed ahead of it comes first, once the focus is there."""
        if self._early is not None:
            self._console.call_later(self._catch_up)

    def _catch_up(self) -> None:
        early, self._early = self._early or [], None
        for event in early:
            self.take(event)

    def perform(self, action: Action) -> bool:
        """Carry an action out, by whoever its scope says."""
        console = self._console
        if action.changes and console.session.read_only:
            console.say(f"`{action.label}` changes things, and this console is read-only.", "bad")
            return False
        if action.id.startswith("go."):
            console.goer.go_to(action.id.removeprefix("go."))
            return True
        targets = self._targets(action)
        for target in targets:
            method = getattr(target, action.method, None)
            if method is not None:
                method()
                return True
        if targets:
            console.say(f"`{action.label}` does nothing here.")
        return False

    def _targets(self, action: Action) -> list[object]:
        found: list[object] = [each for each in self._kinds() if each.KIND in action.scope]
        view = self._console.view
        if view.NAME in action.scope:
            if not view.is_mounted:  # it is still being put together: a key that came too early does nothing
                return []
            found.append(view)
        if EVERYWHERE in action.scope:
            found.append(self._everywhere)
        return found


def _typed_in(widget: Widget | None) -> bool:
    """Whether keys are text there. By name: importing TextArea costs more than the rest of the first paint."""
    return widget is not None and any(each.__name__ in ("Input", "TextArea") for each in type(widget).__mro__)
