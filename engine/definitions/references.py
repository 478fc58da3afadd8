"""Which names a template refers to, without rendering it.

Law: parsing only. Nothing is compiled, folded or run, so this is safe in the engine for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.definitions.environment import environment, with_defaults
from engine.definitions.problems import Path, printable
from engine.definitions.schema import has_markup

_SIMPLE = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}")
_WORDS = frozenset(
    [
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "if",
        "else",
        "and",
        "or",
        "not",
        "in",
        "is",
        "recursive",
        "loop",
        "self",
        "super",
    ]
)
_NAMESPACES = frozenset({"upstream", "params", "env"})
_OPTIONAL_TESTS = frozenset({"defined", "undefined"})
_OPTIONAL_FILTERS = frozenset({"default", "d"})


class TemplateFault(ValueError):
    """The text is no template; says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name a template needs; `member` is what it takes from upstream, params or env."""

    name: str
    member: str | None = None
    optional: bool = False  # stands under `default` or `is defined`


@lru_cache(maxsize=4096)
def references(text: str) -> frozenset[Reference]:
    """Every free name of one string. Raises TemplateFault."""
    names = _SIMPLE.findall(text)
    rest = _SIMPLE.sub("", text)
    if not has_markup(rest) and "}}" not in rest and _WORDS.isdisjoint(name.split(".")[0] for name in names):
        return frozenset(_from_dotted(name) for name in names)
    return frozenset(_parsed(text))


def strings_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string with markup inside a JSON value, with its path."""
    if isinstance(value, str):
        if has_markup(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from strings_in(one, (*path, key))
    elif isinstance(value, (list, tuple)):
        for at, one in enumerate(value):
            yield from strings_in(one, (*path, at))


def _from_dotted(dotted: str) -> Reference:
    parts = dotted.split(".")
    member = parts[1] if len(parts) > 1 and parts[0] in _NAMESPACES else None
    return Reference(parts[0], member)


def _parsed(text: str) -> set[Reference]:
    from jinja2 import TemplateError

    try:
        tree = environment().parse(with_defaults(text))
        free = _free_names(tree)
        return _walk(tree, free)
    except TemplateError as error:
        raise TemplateFault(printable(str(error.message or error))[:200]) from error
    except RecursionError as error:
        raise TemplateFault("it is nested too deeply") from error


def _free_names(tree: Any) -> frozenset[str]:
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(tree)) - environment().globals.keys()


def _walk(tree: Any, free: frozenset[str]) -> set[Reference]:
    """Names with the member taken from them; iterative, since templates nest as their authors like."""
    from jinja2 import nodes

    found: set[Reference] = set()
    pending: list[tuple[Any, bool]] = [(tree, False)]
    while pending:
        node, optional = pending.pop()
        if isinstance(node, nodes.Filter) and node.name in _OPTIONAL_FILTERS and node.node is not None:
            pending.append((node.node, True))
            pending.extend((child, optional) for child in node.iter_child_nodes(exclude=["node"]))
            continue
        if isinstance(node, nodes.Test) and node.name in _OPTIONAL_TESTS:
            pending.append((node.node, True))
            continue
        member = _member_of(node)
        if member is not None and member[0] in free:
            found.add(Reference(member[0], member[1], optional))
            continue
        if isinstance(node, nodes.Name) and node.name in free:
            found.add(Reference(node.name, None, optional))
        pending.extend((child, optional) for child in node.iter_child_nodes())
    return found


def _member_of(node: Any) -> tuple[str, str] | None:
    """`upstream.task` and `upstream['task']` as (upstream, task)."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        name, member = node.node.name, node.attr
    elif (
        isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and isinstance(node.arg, nodes.Const)
    ):
        name, member = node.node.name, node.arg.value
    else:
        return None
    return (name, member) if name in _NAMESPACES and isinstance(member, str) else None
