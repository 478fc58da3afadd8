"""YAML text into JSON values with the line of every path; the only place where a user's YAML is parsed.

Law: no tag is executed and no bomb goes off. The stream of events is weighed first and reading stops at the
first event past a cap: 1 MiB of text, 64 levels, 100,000 nodes and 4 Mi characters, each alias counted with the
size of what it stands for. Only what passed is parsed again and built. Keys are text as written; a key given
twice is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.definitions.problems import Path, printable, quote
from engine.rules.scalars import Scalar, plain

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_CHARACTERS = 4 << 20

_STRING = "tag:yaml.org,2002:str"
_STANDARD_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)
_MERGE = "<<"
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, slower, where libyaml is missing


class Unreadable(Exception):
    """The text is no YAML that can be used; `faults` are (line, message), at least one."""

    def __init__(self, *faults: tuple[int | None, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(message for _, message in faults))


@dataclass(frozen=True, slots=True)
class Source:
    """One document and where its parts stand."""

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest thing that contains it."""
        for end in range(len(path), -1, -1):
            found = self.lines.get(path[:end])
            if found is not None:
                return found
        return None


def read_yaml(data: bytes | str) -> Source:
    """The one document of a file; raises Unreadable."""
    text = _decode(data)
    _parsed(text, _weigh)
    source: Source = _parsed(text, lambda parser: _Builder(parser).build())
    return source


def _decode(data: bytes | str) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable(
            (None, "the file is larger than 1 MiB; split it, or build the tasks in a Python definition")
        )
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable((line, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")) from error


def _parsed(text: str, use: Callable[[Any], Any]) -> Any:
    """What `use` makes of a parser of this text, with YAML's own errors turned into ours."""
    try:
        parser = _PARSER(text)
        try:
            return use(parser)
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        column = f", column {mark.column + 1}" if mark else ""
        line = mark.line + 1 if mark else None
        raise Unreadable((line, f"this is not YAML: {' '.join(parts)}{column}"[:300])) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise Unreadable((None, f"this is not YAML: {printable(str(error).splitlines()[0])[:200]}")) from error


def _weigh(parser: Any) -> None:
    """Walk the events and keep none of them; raises Unreadable at the first one past a cap."""
    nodes = characters = 0
    opened: list[tuple[str | None, int, int]] = []  # anchor, and the totals when it was opened
    anchors: dict[str | None, tuple[int, int]] = {}
    next_event = parser.get_event
    while (event := next_event()) is not None:
        cls = event.__class__
        if cls is yaml.ScalarEvent:
            nodes += 1
            characters += len(event.value)
            if event.anchor is not None:
                anchors[event.anchor] = (1, len(event.value))
        elif cls is yaml.MappingStartEvent or cls is yaml.SequenceStartEvent:
            if len(opened) == MAX_DEPTH:
                raise Unreadable((_line(event), f"this is nested deeper than {MAX_DEPTH} levels; flatten it"))
            opened.append((event.anchor, nodes, characters))
            nodes += 1
        elif cls is yaml.MappingEndEvent or cls is yaml.SequenceEndEvent:
            anchor, nodes_before, characters_before = opened.pop()
            if anchor is not None:
                anchors[anchor] = (nodes - nodes_before, characters - characters_before)
        elif cls is yaml.AliasEvent:
            more = anchors.get(event.anchor)
            if more is None:
                raise Unreadable(
                    (_line(event), f"alias {quote('*' + event.anchor)} stands for nothing written before it")
                )
            nodes += more[0]
            characters += more[1]
        if nodes > MAX_NODES or characters > MAX_CHARACTERS:
            raise Unreadable((_line(event), _too_much(nodes)))


def _too_much(nodes: int) -> str:
    cap = f"{MAX_NODES:,} values" if nodes > MAX_NODES else f"{MAX_CHARACTERS >> 20} Mi characters"
    return f"with its aliases expanded the file has more than {cap}; split it, or use a Python definition"


class _Builder:
    """Events that have been weighed, into values. Faults are gathered, so that all are told at once."""

    def __init__(self, parser: Any) -> None:
        self.next_event: Callable[[], Any] = parser.get_event
        self.lines: dict[Path, int] = {}
        self.anchors: dict[str, Any] = {}
        self.faults: list[tuple[int | None, str]] = []

    def build(self) -> Source:
        value: Any = None
        documents = 0
        while (event := self.next_event()) is not None:
            if event.__class__ is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.faults.append(
                        (_line(event), "a file holds one document; put the second in a file of its own")
                    )
                    break
                value = self._node(self.next_event(), ())
        if self.faults:
            raise Unreadable(*self.faults)
        return Source(value, self.lines)

    def _node(self, event: Any, path: Path) -> Any:
        cls = event.__class__
        anchor: str | None = event.anchor
        self.lines[path] = event.start_mark.line + 1
        if cls is yaml.ScalarEvent:
            value = self._scalar(event)
            if anchor is not None:
                self.anchors[anchor] = value
            return value
        if cls is yaml.AliasEvent:
            if anchor is None or anchor not in self.anchors:
                self.faults.append((_line(event), f"alias {quote(f'*{anchor}')} stands inside its own anchor"))
            return self.anchors.get(anchor or "")
        self._check_tag(event)
        built = self._mapping(path) if cls is yaml.MappingStartEvent else self._sequence(path)
        if anchor is not None:
            self.anchors[anchor] = built
        return built

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while (event := self.next_event()).__class__ is not yaml.SequenceEndEvent:
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: list[Any] = []
        seen: dict[str, int] = {}
        while (event := self.next_event()).__class__ is not yaml.MappingEndEvent:
            key = self._key(event, path)
            line = event.start_mark.line + 1
            value = self._node(self.next_event(), (*path, key))
            if key == _MERGE and event.__class__ is yaml.ScalarEvent and event.implicit[0]:
                merged.extend(value if isinstance(value, list) else [value])
                continue
            if key in seen:
                self.faults.append(
                    (line, f"key {quote(key)} is given twice, in lines {seen[key]} and {line}; keep one")
                )
            seen[key] = line
            self.lines[(*path, key)] = line
            built[key] = value
        for source in merged:
            if not isinstance(source, dict):
                self.faults.append((self.lines[path], "'<<' merges mappings; this is something else"))
                continue
            built = {**source, **built}
        return built

    def _key(self, event: Any, path: Path) -> str:
        if event.__class__ is yaml.ScalarEvent:
            if event.anchor is not None:
                self.anchors[event.anchor] = self._scalar(event)
            return str(event.value)
        if event.__class__ is yaml.AliasEvent and isinstance(meant := self.anchors.get(str(event.anchor)), str):
            return meant
        self.faults.append((_line(event), "a key has to be text, not a list or a mapping"))
        self._node(event, (*path, "?"))
        return "?"

    def _scalar(self, event: Any) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            return plain(event.value) if event.implicit[0] and not event.style else str(event.value)
        self._check_tag(event)
        return str(event.value) if tag == _STRING else plain(event.value)

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!" and event.tag not in _STANDARD_TAGS:
            self.faults.append((_line(event), f"tag {quote(event.tag)} is not used here; write the plain value"))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
