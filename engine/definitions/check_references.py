"""Templates: that they parse, and that every name in them will mean something when the task runs (VAL-10).

Law: parsed, never rendered. A name under `default` or `is defined` may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from engine.definitions.environment import RESERVED, SYSTEM, environment, own_names
from engine.definitions.problems import Findings, Path, quote
from engine.definitions.references import Reference, TemplateFault, references, strings_in
from engine.model.pipeline import Parameter

_BARE_DEFAULT = re.compile(r"\{\{[-+]?\s*[\w.]+\s*\|\s*([a-z_]{3,30})\s*[|}]")


def check_texts(value: Any, path: Path, findings: Findings) -> None:
    """Only that templates parse: the engine adds names of its own to those of hooks."""
    for where, text in strings_in(value):
        _names((*path, *where), text, findings)


def check_task_references(
    at: int,
    task: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    upstream: Mapping[str, Sequence[str]],
    findings: Findings,
) -> None:
    """Every template of one task: config, `when` and `foreach`."""
    scope: _Scope | None = None
    for key in ("when", "foreach", "config"):
        for where, text in strings_in(task.get(key)):
            scope = scope or _Scope(task, parameters, upstream, findings)
            path = ("tasks", at, key, *where)
            for reference in _names(path, text, findings):
                scope.check(reference, path, key)


def _names(path: Path, text: str, findings: Findings) -> frozenset[Reference]:
    try:
        found = references(text)
    except TemplateFault as error:
        findings.error(path, f"{quote(text)} is no valid template: {error}")
        return frozenset()
    for word in _BARE_DEFAULT.findall(text):
        _check_bare_default(word, path, findings)
    return found


def _check_bare_default(word: str, path: Path, findings: Findings) -> None:
    filters = environment().filters
    near = get_close_matches(word, filters, n=1, cutoff=0.8) if word not in filters else []
    if near:
        message = f"'{word}' is taken as a default value; if a filter was meant, it is called '{near[0]}'"
        findings.suggest(path, message, near[0])


class _Scope:
    """The names in reach of one task's templates."""

    def __init__(
        self,
        task: Mapping[str, Any],
        parameters: Mapping[str, Parameter],
        upstream: Mapping[str, Sequence[str]],
        findings: Findings,
    ) -> None:
        config = task.get("config")
        self.task = task
        self.own = own_names(config) if isinstance(config, Mapping) else {}
        self.parameters = parameters
        self.upstream = upstream
        self.findings = findings

    def check(self, reference: Reference, path: Path, key: str) -> None:
        name = reference.name
        if reference.optional:
            return
        if name in ("item", "map_index") and (key == "foreach" or "foreach" not in self.task):
            self.findings.error(path, f"'{name}' means something only in the config of a task with 'foreach'")
        elif name == "upstream" and reference.member is not None:
            self._check_upstream(reference.member, path)
        elif name == "params" and reference.member is not None:
            if reference.member not in self.parameters:
                self.findings.unknown(path, "parameter", reference.member, self.parameters)
        elif not (
            name in self.parameters or name in SYSTEM or name in RESERVED or (key == "config" and name in self.own)
        ):
            known = {*self.parameters, *SYSTEM, *RESERVED, *self.own}
            self._unknown(name, path, known)

    def _unknown(self, name: str, path: Path, known: set[str]) -> None:
        near = self.findings.speller.near(name, sorted(known))
        hint = (
            f"did you mean '{near}'?"
            if near
            else "declare it under 'parameters', or give a default: {{ name|default }}"
        )
        self.findings.error(path, f"template name {quote(name)} is not known; {hint}", near)

    def _check_upstream(self, other: str, path: Path) -> None:
        task = self.task["id"]
        dashed = next((one for one in self.upstream if one.startswith(f"{other}-")), None)
        if other not in self.upstream and dashed:
            message = f"a task id with a dash is written upstream['{dashed}'] in a template"
            self.findings.error(path, message, f"upstream['{dashed}']")
        elif other not in self.upstream:
            self.findings.unknown(path, "upstream task", other, [one for one in self.upstream if one != task])
        elif other not in self.upstream.get(task, ()):
            message = (
                f"'upstream.{other}': '{other}' is no dependency of '{task[:80]}'; outputs reach only dependants"
            )
            self.findings.error(path, message, f"add '{other}' to its dependencies")
