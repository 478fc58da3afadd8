"""Text measured in terminal cells, and the guard that keeps hostile labels out of every output.

A label comes from a definition somebody else wrote: what is not printable never passes, so it cannot move the
cursor, reorder the line or hide text.
"""

from __future__ import annotations

import unicodedata

from engine.layout.glyphs import CharSet

_MAX_MARKS = 2  # combining marks kept per base character; more only serves to smear over other rows


def char_width(char: str) -> int:
    """Cells one character takes: 0 for combining marks, 2 for East Asian wide, else 1."""
    if char.isascii():
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cell_width(text: str) -> int:
    """Cells the text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def clean(text: str, chars: CharSet) -> str:
    """The text with everything unprintable replaced, one cell each; pure ASCII for the ASCII set."""
    if text.isascii() and text.isprintable():
        return text
    if chars.ascii:
        return "".join(c if c.isascii() and c.isprintable() else chars.blocked for c in text)
    out: list[str] = []
    marks = _MAX_MARKS  # a mark with no base before it has nothing to sit on
    for c in text:
        if not c.isprintable():
            c, marks = chars.blocked, 0
        elif "\ufe00" <= c <= "\ufe0f":
            continue  # variation selectors change a width behind our back
        elif char_width(c):
            marks = 0
        elif marks >= _MAX_MARKS:
            continue
        else:
            marks += 1
        out.append(c)
    return "".join(out)


def fit(text: str, width: int, chars: CharSet) -> str:
    """At most `width` cells, cut in the middle: names differ at both ends."""
    if cell_width(text) <= width:
        return text
    if width <= 1:
        return chars.ellipsis[: max(width, 0)]
    head = _take(text, width // 2)
    tail = _take_back(text, (width - 1) // 2)
    return head + chars.ellipsis + tail


def clip(text: str, width: int, chars: CharSet) -> str:
    """At most `width` cells, cut at the end: for sentences and counts, which begin with what matters."""
    if cell_width(text) <= width:
        return text
    return _take(text, width - 1) + chars.ellipsis if width > 0 else ""


def _take(text: str, width: int) -> str:
    used = 0
    for i, c in enumerate(text):
        used += char_width(c)
        if used > width:
            return text[:i]
    return text


def _take_back(text: str, width: int) -> str:
    used = 0
    start = len(text)
    for i in range(len(text) - 1, -1, -1):
        size = char_width(text[i])
        used += size
        if used > width:
            break
        if size:  # a tail never begins with a mark torn from its base
            start = i
    return text[start:]
