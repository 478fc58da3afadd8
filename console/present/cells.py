"""Cells: text with a tone, cut to a width of terminal cells.

Law: `cell` is the way in for text of others, and cleans it; nothing else here makes a cell of foreign text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style

from console.theme import Look, style
from engine.client.text import clean, clean_block
from engine.layout.cells import cell_width, clip, fit


class Cell(NamedTuple):
    """A piece of a line."""

    text: str
    tone: str = ""


Line = Sequence[Cell]
BLANK = Cell("")


def cell(text: object, tone: str = "") -> Cell:
    """Foreign text as one line, sanitised."""
    return Cell(clean("" if text is None else str(text)), tone)


def lines(text: str, tone: str = "") -> list[list[Cell]]:
    """Foreign text of several lines, sanitised."""
    return [[Cell(line, tone)] for line in clean_block(text).split("\n")]


def labelled(name: str, value: object, tone: str = "", *, width: int = 11) -> list[Cell]:
    """`name       value`, as cards show facts."""
    return [Cell(f"{clean(name):<{width}} ", "dim"), cell(value, tone)]


def labelled_lines(name: str, value: str, *, width: int = 11) -> list[list[Cell]]:
    """The same for a value of several lines, such as a script: the later ones stand below the first."""
    first, *more = clean_block(value.rstrip("\n")).split("\n")
    return [labelled(name, first, width=width), *(labelled("", line, width=width) for line in more)]


def cut(text: str, most: int) -> str:
    """Not more than so many characters of a value; how many are left out is said."""
    return text if len(text) <= most else f"{text[:most]} ({len(text) - most:,} more characters)"


def width_of(line: Iterable[Cell]) -> int:
    """Terminal cells a line takes."""
    return sum(cell_width(each.text) for each in line)


def fitted(text: str, width: int, look: Look, *, right: bool = False, middle: bool = False) -> str:
    """Exactly `width` cells: cut with an ellipsis or filled with blanks."""
    size = cell_width(text)
    if size > width:
        text = (fit if middle else clip)(text, width, look.chars)
        size = cell_width(text)
    blanks = " " * (width - size)
    return blanks + text if right else text + blanks


def segments(line: Iterable[Cell], over: Style | None = None) -> list[Segment]:
    """A line as Textual draws it, with a style laid over all of it."""
    return [Segment(text, style(tone) + over if over is not None else style(tone)) for text, tone in line if text]


def padded(line: Sequence[Cell], width: int) -> list[Cell]:
    """With blanks up to a width."""
    return [*line, Cell(" " * max(0, width - width_of(line)))]


def differing(old: Sequence[Cell], new: Sequence[Cell]) -> tuple[int, int] | None:
    """From where to where two lines of the same width look different; None when they look the same."""
    before, after = _glyphs(old), _glyphs(new)
    if before is None or after is None or len(before) != len(after):
        return 0, max(width_of(old), width_of(new))
    found = [x for x, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    return (found[0], found[-1] + 1) if found else None


def _glyphs(line: Sequence[Cell]) -> list[tuple[str, str]] | None:
    """Glyph by glyph; None where one takes two cells."""
    if any(cell_width(text) != len(text) for text, _ in line):
        return None
    return [(char, tone) for text, tone in line for char in text]


def clipped(line: Iterable[Cell], width: int, look: Look) -> list[Cell]:
    """At most `width` cells of a line, an ellipsis where something is left out."""
    out: list[Cell] = []
    left = width
    for each in line:
        size = cell_width(each.text)
        if size > left:
            out.append(Cell(clip(each.text, left, look.chars), each.tone))
            return out
        out.append(each)
        left -= size
    return out


def wrapped(line: Sequence[Cell], width: int, *, indent: int = 0) -> list[list[Cell]]:
    """A line folded at blanks where it can be; what follows is indented."""
    out: list[list[Cell]] = [[]]
    at = 0
    for text, tone in line:
        for word in _words(text):
            size = cell_width(word)
            if at + size > width and at > indent:
                out.append([Cell(" " * indent)] if indent else [])
                at = indent
                word = word.lstrip(" ")
                size = cell_width(word)
            while size > width - at and width - at > 0:
                head = _head(word, width - at)
                out[-1].append(Cell(head, tone))
                word = word[len(head) :]
                size = cell_width(word)
                out.append([Cell(" " * indent)] if indent else [])
                at = indent
            if word:
                out[-1].append(Cell(word, tone))
                at += size
    return out


def _words(text: str) -> list[str]:
    """Pieces that each begin with their blanks: ` two`, ` words`."""
    pieces: list[str] = []
    start = 0
    for i in range(1, len(text)):
        if text[i] == " " and text[i - 1] != " ":
            pieces.append(text[start:i])
            start = i
    if text:
        pieces.append(text[start:])
    return pieces


def _head(text: str, width: int) -> str:
    """As many characters as fit, at least one."""
    used = 0
    for i, char in enumerate(text):
        used += cell_width(char)
        if used > width:
            return text[: max(i, 1)]
    return text
