"""A terminal's screen as text: what an application that paints on it left there.

Law: it knows the sequences that Textual's own driver and compositor send, and notes every other one as strange,
as it notes C1 and bidirectional control characters. So what looks right here was also painted by nobody else.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[(?P<given>[0-9;:<=>?]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b(?P<string>[\]PX^_])(?P<body>[^\x07\x1b]*)(?P<end>\x07|\x1b\\)"
    r"|\x1b(?P<escape>[ -/]*[0-OQ-WYZ`-~\\])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
)
_MODES = {"7", "25", "1000", "1003", "1004", "1006", "1015", "1016", "1049", "2004", "2026", "2048"}
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_POINTER = re.compile("\x1b\\]22;[a-z-]+\x07")
_MOST = 4_096  # bytes an unfinished sequence may have


class Screen:
    """Fed with what an application writes."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.modes: set[str] = {"25"}  # private modes that are on: the cursor is shown at first
        self.ever: set[str] = set()  # modes that were on at some time
        self.colours: set[str] = set()  # parameters of every style that was sent
        self.strange: list[str] = []  # what nobody has a reason to send
        self.asked: list[str] = []  # questions to the terminal
        self.keyboard = 0  # how many times the keyboard protocol was switched on and not off
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._left = ""
        self._x = self._y = 0
        self._clear()

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def feed(self, data: bytes) -> None:
        """Take what was written."""
        text = self._left + self._decode(data)
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                if len(text) - at < _MOST:
                    break  # the rest of it is still to come
                self.strange.append(text[at : at + 40])
                at += 1
                continue
            at = match.end()
            self._take(match)
        self._left = text[at:]

    def _clear(self) -> None:
        self._lines = [[" "] * self.columns for _ in range(self.rows)]

    def _take(self, match: re.Match[str]) -> None:
        if match["text"] is not None:
            self._put(match["text"])
        elif match["final"] is not None:
            self._control(match["given"], match["between"], match["final"], match.group())
        elif match["body"] is not None and _POINTER.match(match.group()):
            pass  # the shape of the mouse pointer, by its name
        elif match["control"] == "\r":
            self._x = 0
        elif match["control"] == "\n":
            self._y = min(self._y + 1, self.rows - 1)
        else:
            self.strange.append(match.group())

    def _put(self, text: str) -> None:
        if _BIDI.search(text):
            self.strange.append(text)
        line = self._lines[self._y]
        for char in text:
            width = cell_len(char)
            if width == 0:
                continue
            if self._x + width <= self.columns:
                line[self._x] = char
                if width == 2:
                    line[self._x + 1] = ""
            self._x += width

    def _control(self, given: str, between: str, final: str, whole: str) -> None:
        known: dict[str, Callable[[str], None]] = {"m": self._style, "H": self._move, "h": self._on, "l": self._off}
        if between == "$" and final == "p":
            self.asked.append(given)
        elif between:
            self.strange.append(whole)
        elif final == "u" and given[:1] in (">", "<"):
            self.keyboard += 1 if given[0] == ">" else -1
        elif final in known:
            known[final](given)
        else:
            self.strange.append(whole)

    def _style(self, given: str) -> None:
        self.colours.add(given)

    def _move(self, given: str) -> None:
        row, _, column = given.partition(";")
        self._y = min(max(int(row or 1), 1), self.rows) - 1
        self._x = max(int(column or 1), 1) - 1

    def _on(self, given: str) -> None:
        mode = given.removeprefix("?")
        self.modes.add(mode)
        self.ever.add(mode)
        if mode not in _MODES:
            self.strange.append(f"\x1b[{given}h")
        if mode == "1049":
            self._clear()

    def _off(self, given: str) -> None:
        self.modes.discard(given.removeprefix("?"))
        if given.removeprefix("?") not in _MODES:
            self.strange.append(f"\x1b[{given}l")
        if given == "?1049":
            self._clear()
            self._x = self._y = 0
