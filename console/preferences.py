"""What a user chose: `console.toml` in the configuration folder, and what the terminal can do.

Law: a broken file costs its choices and one sentence, never the console. Reading only; the console writes
its own memory (splits, last values) to another file, so a hand-written one is never rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.theme import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """keymap, theme, mouse, ascii and single keys."""

    keymap: str = "default"
    theme: str = "penstock"
    mouse: bool = True
    ascii: bool | None = None  # None: by the terminal's encoding
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # action id -> keys
    complaint: str | None = None


def folder(environment: Mapping[str, str]) -> Path:
    """~/.config/penstock, or where XDG says."""
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "penstock"


def read(environment: Mapping[str, str] | None = None) -> Preferences:
    """The user's choices; defaults where there are none."""
    path = folder(os.environ if environment is None else environment) / "console.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError) as error:
        return Preferences(complaint=f"{path} cannot be read ({error}); the defaults hold.")
    import tomllib  # few have such a file, and all wait for the first paint

    try:
        return _chosen(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        return Preferences(complaint=f"{path}: {error}; the defaults hold.")


def _chosen(document: Mapping[str, object]) -> Preferences:
    keys = document.get("keys", {})
    if not isinstance(keys, Mapping):
        raise TypeError("[keys] maps an action to its keys")
    ascii_only = document.get("ascii")
    return Preferences(
        keymap=_text(document, "keymap", "default"),
        theme=_text(document, "theme", "penstock"),
        mouse=document.get("mouse", True) is True,
        ascii=ascii_only if isinstance(ascii_only, bool) else None,
        keys={str(action): _keys(given) for action, given in keys.items()},
    )


def _text(document: Mapping[str, object], name: str, default: str) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise TypeError(f"{name} is a name")
    return value


def _keys(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return tuple(given)
    raise TypeError('a key is text such as "ctrl+r", or a list of such')


def look(preferences: Preferences, environment: Mapping[str, str], encoding: str | None) -> Look:
    """What this terminal can show."""
    if preferences.ascii is not None:
        return Look(preferences.ascii)
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "C.UTF-8"
    utf8 = (encoding or "utf-8").lower().replace("-", "") == "utf8" and locale not in ("C", "POSIX")
    return Look(not utf8)
