"""JSON read element by element: an array of a hundred gigabytes needs the memory of its largest element.

Law: the whole document is walked to its end: one that stops in the middle is torn, whatever came before. One
element may not be longer than a cap.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from engine.connectors.files.compression import Plain
from engine.connectors.files.names import shown
from engine.model.errors import DataQualityError

CHUNK = 1 << 20
LONGEST = 64 << 20  # characters of one element
_SPACE = re.compile(r"[ \t\r\n]*")
_STRUCTURE = re.compile(r'["{}\[\]]')
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)


class JsonText:
    """A window on the text of a document, moved forward."""

    def __init__(self, plain: Plain, name: str, encoding: str, exact: bool) -> None:
        self._plain, self._name = plain, name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
        self._json = json.JSONDecoder(parse_float=Decimal if exact else None)
        self._text, self._at, self._ended = "", 0, False

    def peek(self) -> str:
        """The next character that is no space; '' at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, wanted: str) -> None:
        """Go past one character."""
        if self.peek() != wanted:
            raise self._unexpected(f"'{wanted}'")
        self._at += 1

    def value(self) -> Any:
        """Go past one value, and hand it out."""
        self.peek()
        while True:
            try:
                found, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._broken(error):
                    raise self._unexpected("a value") from error
                if not self._more():
                    raise self._torn("a value") from error
                continue
            except RecursionError as error:
                raise DataQualityError(f"'{shown(self._name)}' is nested too deeply.") from error
            if end == len(self._text) and self._more():
                continue  # a number may go on in the next piece
            self._at = end
            return found

    def _broken(self, error: json.JSONDecodeError) -> bool:
        """Whether more text cannot help: the fault is well before the end of what is there."""
        waiting = error.msg.startswith(("Unterminated string", "Expecting", "Invalid"))
        return not waiting or (error.pos < len(self._text) - 16 and not error.msg.startswith("Unterminated"))

    def pass_over(self) -> None:
        """Go past one value of any length without keeping it."""
        if self.peek() not in "{[":
            self.value()
            return
        depth = 0
        while True:
            found = _STRUCTURE.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                if not self._more():
                    raise self._unexpected("the end of a list or object")
                continue
            self._at = found.end()
            if found.group() == '"':
                self._pass_string()
            else:
                depth += 1 if found.group() in "{[" else -1
                if depth == 0:
                    return

    def _pass_string(self) -> None:
        while (end := _STRING_END.match(self._text, self._at)) is None:
            if not self._more():
                raise self._unexpected("the end of a text")
        self._at = end.end()

    def finish(self) -> None:
        """Nothing but space may follow."""
        if self.peek():
            raise self._unexpected("the end")

    def _more(self) -> bool:
        if self._ended:
            return False
        if len(self._text) - self._at > LONGEST:
            raise DataQualityError(
                f"'{shown(self._name)}' has an element of more than {LONGEST >> 20} MB; name where the records are "
                "with `data_path`."
            )
        data = self._plain.read(CHUNK)
        try:
            piece = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            raise DataQualityError(f"'{shown(self._name)}' is not text in its `encoding`.") from error
        self._text, self._at = self._text[self._at :] + piece, 0
        self._ended = not data
        return bool(data)

    def _unexpected(self, wanted: str) -> DataQualityError:
        near = self._text[self._at : self._at + 40]
        if not near:
            return self._torn(wanted)
        return DataQualityError(f"'{shown(self._name)}' is no JSON: {wanted} was expected at: {shown(near, 60)}")

    def _torn(self, wanted: str) -> DataQualityError:
        return DataQualityError(
            f"'{shown(self._name)}' ends in the middle of its JSON: {wanted} was expected. Nothing of it is "
            "loaded; have it written again."
        )


def elements(text: JsonText, path: list[str], name: str) -> Iterator[Any]:
    """The records at a path: the elements of a list, or the one object that is there."""
    if path:
        yield from _member(text, path, name)
    elif text.peek() == "[":
        yield from _list(text)
    elif text.peek():
        yield text.value()


def _list(text: JsonText) -> Iterator[Any]:
    text.skip("[")
    if text.peek() != "]":
        yield text.value()
        while text.peek() == ",":
            text.skip(",")
            yield text.value()
    text.skip("]")


def _member(text: JsonText, path: list[str], name: str) -> Iterator[Any]:
    text.skip("{")
    found = False
    while text.peek() == '"':
        key = text.value()
        text.skip(":")
        if key == path[0] and not found:
            found = True
            yield from elements(text, path[1:], name)
        else:
            text.pass_over()
        if text.peek() != ",":
            break
        text.skip(",")
    text.skip("}")
    if not found:
        raise DataQualityError(f"'{shown(name)}' has no '{shown(path[0])}' where `data_path` looks for records.")
