"""A form made from typed fields, checked as it is filled in.

Law: values are read as the command line reads them (engine.client.scalars); what does not fit is said under its
field, and the form cannot be sent until everything fits. It answers the values that were given, or None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input

from console.present.cells import Cell, cell
from console.theme import Look
from console.widgets.dialog import Buttons, Dialog
from console.widgets.strips import Strips
from console.widgets.typed import TypedLine
from engine.client.scalars import value as read_value
from engine.model.errors import PenstockError, RequestError
from engine.model.pipeline import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a form."""

    name: str
    type: str | None = None  # string integer number boolean array object date datetime; None: anything
    value: Any = None  # what stands there at first
    required: bool = False
    help: str = ""
    enum: Sequence[Any] = field(default_factory=tuple)


def fields_of(parameters: Sequence[Parameter], last: Mapping[str, Any]) -> list[Field]:
    """Fields for declared parameters; values of the last time are offered again."""
    return [
        Field(
            name=each.name,
            type=each.type,
            value=last.get(each.name, each.default),
            required=each.required,
            help=each.description,
            enum=tuple(each.schema.get("enum", ())),
        )
        for each in parameters
    ]


def written(value: Any) -> str:
    """A value as it is typed."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read(field: Field, text: str) -> Any:
    """What was typed, as a value of the field's type. RequestError says what does not fit."""
    if field.type in ("string", "date", "datetime"):
        found: Any = text
    else:
        found = read_value(text)
    if not text.strip() and field.type != "string":
        if field.required:
            raise RequestError("A value is needed.")
        return None
    if field.required and found == "":
        raise RequestError("A value is needed.")
    if field.type is not None and not _fits(field.type, found):
        raise RequestError(f"This is no {field.type}.")
    if field.enum and found not in field.enum:
        raise RequestError("One of " + ", ".join(written(each) for each in field.enum) + ".")
    return found


def _fits(kind: str, found: Any) -> bool:
    number = isinstance(found, int | float) and not isinstance(found, bool)
    match kind:
        case "integer":
            return number and (isinstance(found, int) or float(found).is_integer())
        case "number":
            return number
        case "boolean":
            return isinstance(found, bool)
        case "array":
            return isinstance(found, list)
        case "object":
            return isinstance(found, dict)
        case "date":
            return _parses(date.fromisoformat, found)
        case "datetime":
            return _parses(datetime.fromisoformat, found)
        case _:
            return isinstance(found, str)


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


class Form(Dialog[dict[str, Any] | None]):
    """Fields, and the buttons to send or leave it. `check` sees all values together and may refuse them."""

    DEFAULT_CSS = """
    Form VerticalScroll { height: auto; max-height: 60vh; }
    Form Input { border: none; height: 1; padding: 0; margin: 0 0 0 2; }
    Form Input:focus { text-style: underline; }
    """

    def __init__(
        self,
        look: Look,
        title: str,
        fields: Sequence[Field],
        *,
        confirm: str = "OK",
        check: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        super().__init__(look, title)
        self.fields = list(fields)
        self._confirm = confirm
        self._check = check

    def content(self) -> ComposeResult:
        with VerticalScroll():
            for i, each in enumerate(self.fields):
                yield Strips(self.look, id=f"label-{i}")
                yield TypedLine(written(each.value), id=f"field-{i}", compact=True, select_on_focus=False)
                yield Strips(self.look, id=f"wrong-{i}")
        yield Strips(self.look, id="wrong")
        yield Buttons([("", "Cancel"), ("yes", self._confirm)], id="buttons")

    def on_mount(self) -> None:
        """The first field has the focus."""
        for i, each in enumerate(self.fields):
            needed = " (needed)" if each.required else ""
            kind = f" {each.type}" if each.type else ""
            label = [cell(each.name, "strong"), Cell(kind + needed, "dim"), Cell("  "), cell(each.help, "dim")]
            self.query_one(f"#label-{i}", Strips).show([label])
            self.query_one(f"#wrong-{i}", Strips).display = False
        self.query_one("#wrong", Strips).display = False
        first = self.query(Input)
        (first.first() if first else self.query_one(Buttons)).focus()

    def values(self) -> dict[str, Any] | None:
        """What was given; None while something does not fit, which is then said."""
        found: dict[str, Any] = {}
        wrong = False
        for i, each in enumerate(self.fields):
            try:
                value = read(each, self.query_one(f"#field-{i}", Input).value)
                self._say(f"#wrong-{i}", "")
            except PenstockError as error:
                self._say(f"#wrong-{i}", str(error))
                wrong = True
                continue
            if value is not None or each.value is not None:
                found[each.name] = value
        return None if wrong else found

    def on_input_changed(self, event: Input.Changed) -> None:
        """Checked as it is typed."""
        event.stop()
        if self.is_mounted:
            self.values()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """On to the next field."""
        event.stop()
        self.focus_next()

    def on_buttons_taken(self, event: Buttons.Taken) -> None:
        """Sent, or left."""
        event.stop()
        if not event.name:
            self.answer(None)
            return
        found = self.values()
        if found is None or self.guarded:
            return
        try:
            if self._check is not None:
                self._check(found)
        except PenstockError as error:
            self._say("#wrong", str(error))
            return
        self.answer(found)

    def on_key(self, event: events.Key) -> None:
        """Up and down walk through it."""
        if event.key in ("down", "up"):
            event.stop()
            (self.focus_next if event.key == "down" else self.focus_previous)()

    def _say(self, where: str, sentence: str) -> None:
        strip = self.query_one(where, Strips)
        strip.display = bool(sentence)
        strip.show([[Cell("  "), cell(sentence, "bad")]])
