"""The form in which letters are edited before they are run again.

Law: what stands in a field is a value as the command line writes it, in characters a terminal can be shown, and
left as it stands it means what the letter has. Checking asks the client in a thread and keeps the form open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as fields_of_record
from typing import Any

from textual import events

from console.present.redrive import written
from console.theme import Look
from console.widgets.dialog import Buttons
from console.widgets.form import Field, Form
from engine.client.scalars import value as read_value
from engine.model.pipeline import Jitter, Parameter, RetryPolicy
from engine.model.run import DeadLetter

Changes = dict[str, Any]
Check = Callable[[Changes, Callable[[Any], None], Callable[[str], None]], None]
"""Takes what was changed; calls one with what it comes to, or the other with what is wrong."""

_ABSENT = object()
_DIFFERS = "differs; empty keeps each"


def letter_fields(letters: Sequence[DeadLetter], declared: Sequence[Parameter]) -> list[Field]:
    """Parameters and config that all of them have."""
    by_name = {each.name: each for each in declared}
    found = []
    for root in ("parameters", "config"):
        for name in _common([getattr(each, root) for each in letters]):
            known = by_name.get(name) if root == "parameters" else None
            told = f"{known.type or ''} {known.description}".strip() if known is not None else ""
            found.append(_field(f"{root}.{name}", [getattr(each, root)[name] for each in letters], told))
    return found


def policy_fields(letters: Sequence[DeadLetter]) -> list[Field]:
    """Every key of a retry policy."""
    helps = {
        "max_attempts": "the first try counts",
        "max_total_seconds": "since the first start; empty: no limit",
        "jitter_type": ", ".join(each.value for each in Jitter),
        "retry_on_error_types": "a list; [*] means all",
    }
    found = []
    for each in fields_of_record(RetryPolicy):
        values = [letter.retry_policy.get(each.name) for letter in letters]
        found.append(_field(each.name, values, helps.get(each.name, "")))
    return found


def _common(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that every letter has; one with a dot or an equals sign cannot be named in a path."""
    first, *others = mappings
    return [name for name in first if "." not in name and "=" not in name and all(name in each for each in others)]


def _field(name: str, values: Sequence[Any], told: str) -> Field:
    same = all(_same(each, values[0]) for each in values)
    helps = told if same else f"{told} ({_DIFFERS})".strip()
    return Field(name=name, value=written(values[0]) or None if same else None, help=helps)


def _same(one: Any, other: Any) -> bool:
    """1 is neither True nor 1.0 here: what is sent is JSON."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


class EditForm(Form):
    """Answers what the check made of the changes, under the key `checked`."""

    def __init__(self, look: Look, title: str, fields: Sequence[Field], check_changes: Check) -> None:
        super().__init__(look, title, fields, confirm="Preview")
        self._check_changes = check_changes
        self._checking = False

    def changes(self, values: Mapping[str, Any]) -> Changes:
        """What is not as it was."""
        found: Changes = {}
        for each in self.fields:
            before = _ABSENT if each.value is None else read_value(each.value)
            given = values.get(each.name, _ABSENT)
            if given is not _ABSENT and (before is _ABSENT or not _same(given, before)):
                found[each.name] = given
        return found

    def on_buttons_taken(self, event: Buttons.Taken) -> None:
        """Left, or checked where the event loop does not wait."""
        event.stop()
        event.prevent_default()
        if not event.name:
            self.answer(None)
            return
        values = self.values()
        if values is None or self.guarded or self._checking:
            return
        changed = self.changes(values)
        if not changed:
            self._say("#wrong", "Nothing is changed. Change a value, or leave and requeue it as it is.")
            return
        self._checking = True
        self._check_changes(changed, self._accepted, self._refused)

    def _accepted(self, checked: Any) -> None:
        if self.is_attached:
            self.answer({"changed": self.changes(self.values() or {}), "checked": checked})

    def _refused(self, sentence: str) -> None:
        self._checking = False
        if self.is_attached:
            self._say("#wrong", sentence)

    def on_key(self, event: events.Key) -> None:
        """While it is being checked nothing is typed into it."""
        if self._checking and event.key != "escape":
            event.stop()
            event.prevent_default()
