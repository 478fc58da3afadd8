"""Run parameters: how they are declared, and how given values are bound to them.

Law: a bare value is a default and implies its type; a mapping of known words is a declaration. Every
undeclared, missing or mistyped parameter is told at once, and a value is judged by its own schema alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from engine.definitions.environment import RESERVED, SYSTEM
from engine.definitions.problems import Findings, Path, kind, quote
from engine.definitions.references import TemplateFault, references, strings_in
from engine.definitions.schema import Schema, has_markup
from engine.model.errors import RequestError
from engine.model.pipeline import Parameter
from engine.ports.catalog import Renderer

TYPES = ("string", "integer", "number", "boolean", "array", "object", "date", "datetime")
_OWN_WORDS = frozenset({"type", "default", "required", "description"})
_SCHEMA_WORDS = frozenset(
    [
        "enum",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "properties",
        "additionalProperties",
        "title",
        "examples",
    ]
)
_DECLARING = frozenset({"type", "default", "required", "enum"})
_NAME = Schema({"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$(?!\n)"})


def declared(name: str, written: Any) -> Parameter:
    """One entry of `parameters:` as a value."""
    if not is_declaration(written):
        return Parameter(name=name, type=_implied(written), default=written)
    schema = {word: written[word] for word in written if word not in _OWN_WORDS}
    return Parameter(
        name=name,
        type=written.get("type") or (_implied(written["default"]) if "default" in written else None),
        default=written.get("default"),
        required=bool(written.get("required", "default" not in written)),
        description=str(written.get("description", "")),
        schema=schema,
    )


def written_form(parameter: Parameter) -> dict[str, Any]:
    """A value as the declaration that means the same, in canonical order."""
    form: dict[str, Any] = {"required": parameter.required, **parameter.schema}
    if parameter.type is not None:
        form["type"] = parameter.type
    if parameter.default is not None or not parameter.required:
        form["default"] = parameter.default
    if parameter.description:
        form["description"] = parameter.description
    return form


def is_declaration(written: Any) -> bool:
    """Whether a mapping declares a parameter; otherwise it is a default that happens to be a mapping."""
    if not isinstance(written, Mapping) or _DECLARING.isdisjoint(written):
        return False
    return written.get("type") in TYPES or written.keys() <= _OWN_WORDS | _SCHEMA_WORDS


def _implied(value: Any) -> str | None:
    if has_markup(value) or value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def check_parameters(written: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """Everything that can be wrong with a `parameters:` block."""
    for name, one in written.items():
        here = (*path, name)
        if not _NAME.accepts(name):
            findings.error(
                here, f"parameter name {quote(name)}: expected a letter or _, then letters, digits, _ and -"
            )
        if name in RESERVED:
            findings.error(
                here, f"parameter '{name}' would hide '{name}', which templates use; choose another name"
            )
        elif name in SYSTEM:
            findings.warning(here, f"parameter '{name}' hides the variable of this name in templates")
        if is_declaration(one):
            _check_declaration(one, here, findings)
        _check_default_template(name, one, written, here, findings)


def _check_declaration(one: Mapping[str, Any], path: Path, findings: Findings) -> None:
    fine = True
    for word in one:
        if word not in _OWN_WORDS | _SCHEMA_WORDS:
            findings.unknown((*path, word), "key", word, sorted(_OWN_WORDS | _SCHEMA_WORDS))
            fine = False
    if "type" in one and one["type"] not in TYPES:
        findings.unknown((*path, "type"), "parameter type", one["type"], TYPES)
        fine = False
    if not isinstance(one.get("required", True), bool):
        findings.error((*path, "required"), f"found {kind(one['required'])}, expected true or false")
    fine = _check_schema_words(one, path, findings) and fine
    if one.get("required") is True and one.get("default") is not None:
        findings.warning((*path, "required"), "a parameter with a default is never missing; drop one of the two")
    default = one.get("default")
    if fine and default is not None and not has_markup(default):
        check_value(declared("", one), default, (*path, "default"), findings)


def _check_schema_words(one: Mapping[str, Any], path: Path, findings: Findings) -> bool:
    words = {word: one[word] for word in one if word in _SCHEMA_WORDS}
    if not words:
        return True
    from jsonschema import Draft202012Validator, SchemaError  # only declarations with limits pay for it

    try:
        Draft202012Validator.check_schema(words)
    except SchemaError as error:
        where = (*path, *error.absolute_path)
        findings.error(
            where, f"found {quote(error.instance)}, which is no valid '{quote(str(where[-1])).strip(chr(39))}'"
        )
        return False
    return True


def _check_default_template(name: str, one: Any, all_of: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """A default may be built from other parameters, and from nothing else."""
    default = one.get("default") if is_declaration(one) else one
    for where, text in strings_in(default):
        try:
            needed = references(text)
        except TemplateFault as error:
            findings.error((*path, *where), f"{quote(text)} is no valid template: {error}")
            continue
        for reference in needed:
            wanted = reference.member if reference.name == "params" else reference.name
            if wanted == name:
                findings.error((*path, *where), f"the default of '{name}' refers to itself")
            elif wanted in SYSTEM or wanted in RESERVED:
                message = f"a default can't use '{wanted}', which only a run knows; use it in the task's config"
                findings.error((*path, *where), message)
            elif wanted not in all_of and not reference.optional:
                findings.unknown((*path, *where), "parameter", wanted, all_of)


def check_value(parameter: Parameter, value: Any, path: Path, findings: Findings) -> bool:
    """Whether a value is of the parameter's type and within its limits."""
    if value is None and not parameter.required:
        return True
    schema = dict(parameter.schema)
    moment = parameter.type if parameter.type in ("date", "datetime") else None
    if parameter.type is not None:
        schema["type"] = "string" if moment else parameter.type
    mistyped = parameter.type == "string" and isinstance(value, (int, float))
    if not Schema(schema).check(value, path, findings):
        if mistyped:
            findings.suggest(path, f"quote it to make it text: '\"{value}\"'")
        return False
    if moment and not _is_moment(value, moment):
        example = "2024-01-31" if moment == "date" else "2024-01-31T06:00:00Z"
        findings.error(path, f"found {quote(value)}, expected a {moment} such as {example}")
        return False
    return True


def _is_moment(text: str, moment: str) -> bool:
    try:
        if moment == "date":
            date.fromisoformat(text)
        else:
            datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def bind(
    parameters: Sequence[Parameter],
    given: Mapping[str, Any],
    *,
    scheduled: Mapping[str, Any] | None = None,
    renderer: Renderer | None = None,
) -> dict[str, Any]:
    """Defaults under the schedule's values under the given ones (C-12). RequestError names every fault."""
    findings = Findings()
    known = {parameter.name: parameter for parameter in parameters}
    values = {parameter.name: parameter.default for parameter in parameters if not parameter.required}
    values.update({name: parameter.default for name, parameter in known.items() if parameter.default is not None})
    for source in (scheduled or {}, given):
        for name, value in source.items():
            if name in known:
                values[name] = value
            else:
                findings.unknown((name,), "parameter", name, known)
    values = _rendered(values, renderer)
    for name, parameter in known.items():
        if name not in values:
            described = f" ({parameter.description})" if parameter.description else ""
            findings.error((name,), f"parameter '{name}'{described} has no value; give it with -p {name}=…")
        elif values[name] is not None or name in given:
            check_value(parameter, values[name], (name,), findings)
    if findings.failed:
        raise RequestError("; ".join(_sentence(problem) for problem in findings.problems("error")))
    return values


def _sentence(problem: Any) -> str:
    message: str = problem.message
    return message if message.startswith("parameter ") else f"parameter '{problem.path}': {message}"


def _rendered(values: dict[str, Any], renderer: Renderer | None) -> dict[str, Any]:
    """Defaults built from other parameters, filled in; as many rounds as they refer to one another."""
    for _ in range(len(values)):
        templated = {name: value for name, value in values.items() if next(strings_in(value), None)}
        ready = {name: value for name, value in templated.items() if not _waits(value, templated)}
        if not ready or renderer is None:
            break
        plain_ones = {name: value for name, value in values.items() if name not in templated}
        values = {**values, **renderer.render(ready, {**plain_ones, "params": plain_ones})}
    return values


def _waits(value: Any, templated: Mapping[str, Any]) -> bool:
    names = {
        one.member if one.name == "params" else one.name
        for _, text in strings_in(value)
        for one in references(text)
    }
    return not names.isdisjoint(templated)
