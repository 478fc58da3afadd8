"""Which key does what: presets as data, single keys of the user on top.

Law: a key means one action per scope, and an inner scope hides an outer one. A sequence is written with spaces
(`g g`). Presets change keys of actions, never actions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from console.actions import ACTIONS, Action, available

PRESETS = ("default", "vim", "tmux-safe")

_SHOWN = {
    "escape": "Esc", "backspace": "⌫", "enter": "Enter", "space": "Space", "tab": "Tab", "pagedown": "PgDn",
    "pageup": "PgUp", "home": "Home", "end": "End", "up": "↑", "down": "↓", "left": "←", "right": "→",
}  # fmt: skip
_NAMES = {
    "left_square_bracket": "[", "right_square_bracket": "]", "slash": "/", "colon": ":", "question_mark": "?",
    "asterisk": "*", "full_stop": ".", "comma": ",", "minus": "-", "plus": "+", "semicolon": ";",
    "circumflex_accent": "^", "dollar_sign": "$", "number_sign": "#", "percent_sign": "%", "tilde": "~",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keymap:
    """The action table with the keys that hold."""

    actions: tuple[Action, ...]
    complaint: str | None = None

    def find(self, keys: str, scopes: Sequence[str]) -> Action | None:
        """What these keys do, the innermost scope first."""
        for scope in scopes:
            for each in self.actions:
                if keys in each.keys and scope in each.scope:
                    return each
        return None

    def offered(self, scopes: Sequence[str], hidden: Collection[str] = ()) -> list[Action]:
        """What the footer names: by scope, the innermost first, and rank; not what its key does not do here."""
        named = [each for each in available(self.actions, scopes) if each.footer and each.id not in hidden]
        meant = [each for each in named if each.keys and self.find(each.keys[0], scopes) is each]
        return sorted(
            meant, key=lambda each: (min(i for i, one in enumerate(scopes) if one in each.scope), each.footer)
        )

    def begins(self, keys: str, scopes: Sequence[str]) -> bool:
        """Whether a longer sequence begins with these."""
        start = keys + " "
        return any(
            key.startswith(start)
            for each in self.actions
            if any(scope in each.scope for scope in scopes)
            for key in each.keys
        )


def keymap(preset: str, chosen: Mapping[str, tuple[str, ...]], actions: Iterable[Action] = ACTIONS) -> Keymap:
    """A preset with the user's own keys on top; what does not exist is said, not guessed."""
    complaints = []
    if preset not in PRESETS:
        complaints.append(f"There is no keymap '{preset[:40]}'; there are {', '.join(PRESETS)}.")
        preset = "default"
    changed = {**_preset(preset), **chosen}
    rows = tuple(replace(each, keys=changed.get(each.id, each.keys)) for each in actions)
    unknown = sorted(set(chosen) - {each.id for each in rows})
    if unknown:
        complaints.append(f"[keys] of console.toml names '{unknown[0][:40]}', which is no action.")
    return Keymap(rows, " ".join(complaints) or None)


@cache
def _preset(name: str) -> Mapping[str, tuple[str, ...]]:
    if name == "default":
        return {}
    text = resources.files("console").joinpath("keymaps", f"{name}.json").read_text(encoding="utf-8")
    return {action: tuple(keys) for action, keys in json.loads(text).items()}


def pressed(key: str, character: str | None) -> str:
    """A key as keymaps write it: the character where it is one, else the terminal's name of it."""
    if character is not None and len(character) == 1 and character.isprintable() and character != " ":
        return character
    return _NAMES.get(key, key)


def shown(key: str, *, plain: bool = False) -> str:
    """A key as people read it."""
    parts = []
    for one in key.split(" "):
        name = _SHOWN.get(one, one) if not plain else one.capitalize() if len(one) > 1 else one
        parts.append(name.replace("ctrl+", "^").replace("shift+", "⇧" if not plain else "Shift+"))
    return " ".join(parts)
