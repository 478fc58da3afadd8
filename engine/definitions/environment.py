"""Templates: Jinja2 in its sandbox, with undefined names as errors, types kept and literal defaults (C-13).

Law: what has no markup is returned as it is and never loads Jinja. A string that is one expression keeps its
value's type, any other renders to text. The sandbox stops attribute tricks, not explosions: the engine and the
console render through the limited child of `renderer.py` only; an attempt, which has limits of its own, renders
right here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from engine.definitions.problems import Path, Speller, printable, quote, spell
from engine.definitions.schema import has_markup
from engine.model.errors import ConfigurationError
from engine.rules.scalars import plain

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

RESERVED = frozenset({"params", "upstream", "env", "event", "item", "map_index"})
SYSTEM = frozenset(
    {
        *("ds", "ds_nodash", "logical_date", "data_interval_start", "data_interval_end"),
        *("run_id", "pipeline_id", "task_id", "attempt"),
    }
)
RUN_ONLY = frozenset({"upstream", "item", "map_index", "event", "run_id", "attempt"})  # what no plan can know

_BAR = re.compile(
    r"\{\{(?P<mark>[-+]?)\s*(?P<name>[A-Za-z_][\w.]*)\s*\|\s*"
    r"(?P<literal>\"[^\"{}]*\"|'[^'{}]*'|[^\s|{}()\"',\[\]]+)\s*(?P<rest>\|[^{}]*)?(?P<end>[-+]?)\}\}"
)


def render(value: Any, context: Mapping[str, Any], *, literal_defaults: bool = True, path: Path = ()) -> Any:
    """Every string inside `value` rendered. Raises ConfigurationError that names the place and the cause.

    A mapping is rendered as a task's config is: its plain values are names in reach of its templates, above
    parameters of the same name (C-12). `literal_defaults=False` is plain Jinja2, for SQL: there `{{ x|word }}` is
    a filter and nothing else.
    """
    if isinstance(value, str):
        return _render_text(value, context, literal_defaults, path) if has_markup(value) else value
    if isinstance(value, Mapping):
        context = {**context, **own_names(value)} if not path else context
        return {
            key: render(one, context, literal_defaults=literal_defaults, path=(*path, key))
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            render(one, context, literal_defaults=literal_defaults, path=(*path, at))
            for at, one in enumerate(value)
        ]
    return value


def own_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """The names a task's config gives to its own templates: its plain values."""
    return {
        name: value
        for name, value in config.items()
        if isinstance(value, (str, int, float, bool)) and not has_markup(value) and name not in RESERVED | SYSTEM
    }


@cache
def environment() -> SandboxedEnvironment:
    """The one sandbox; loading Jinja costs 30 ms, so only templates pay for it."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class KeysFirst(SandboxedEnvironment):
        """`upstream.list.items` is the output called `items`, not a method that every dict has."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    made = KeysFirst(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, finalize=_as_text, cache_size=0
    )
    made.globals.pop("lipsum", None)
    return made


def with_defaults(text: str) -> str:
    """`{{ name|literal }}` in Jinja's own words, unless the literal is the name of a filter (C-13)."""
    return _BAR.sub(_spelled_out, text)


def _spelled_out(match: re.Match[str]) -> str:
    literal = match["literal"]
    end = match["end"]
    if not end and literal[-1] in "-+" and len(literal) > 1 and not match["rest"]:
        literal, end = literal[:-1], literal[-1]
    if literal in environment().filters:
        return match[0]
    value = literal[1:-1] if literal[0] in "'\"" else plain(literal)
    return f"{{{{{match['mark']} {match['name']}|default({value!r}) {match['rest'] or ''}{end}}}}}"


@lru_cache(maxsize=2048)
def _compiled(text: str, literal_defaults: bool) -> tuple[bool, Callable[..., Any]]:
    """Whether the text is one expression, and what renders it."""
    from jinja2 import nodes

    jinja = environment()
    source = with_defaults(text) if literal_defaults else text
    trimmed = source.strip()
    body = jinja.parse(trimmed).body
    single = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
    if single and trimmed.startswith("{{") and not isinstance(body[0].nodes[0], nodes.TemplateData):  # type: ignore[attr-defined]  # an Output, as tested
        expression = trimmed[2:-2].strip("-+ \n\t")
        return True, jinja.compile_expression(expression, undefined_to_none=False)
    return False, jinja.from_string(source).render


def _render_text(text: str, context: Mapping[str, Any], literal_defaults: bool, path: Path) -> Any:
    from jinja2 import StrictUndefined, TemplateError, UndefinedError
    from jinja2.exceptions import SecurityError

    try:
        single, template = _compiled(text, literal_defaults)
        value = template(context)
        if single and isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()
        return plain_json(value) if single else value
    except UndefinedError as error:
        raise ConfigurationError(_undefined(str(error), text, context, path)) from error
    except SecurityError as error:
        raise ConfigurationError(
            f"{_where(path)}{quote(text)} is not allowed in a template: {_short(error)}"
        ) from error
    except TemplateError as error:
        raise ConfigurationError(f"{_where(path)}{quote(text)} is no valid template: {_short(error)}") from error
    except MemoryError as error:
        raise ConfigurationError(
            f"{_where(path)}{quote(text)} needs more memory than a template may have"
        ) from error
    except Exception as error:  # an expression can raise anything; it is the author's to mend
        raise ConfigurationError(
            f"{_where(path)}{quote(text)} fails: {type(error).__name__}: {_short(error)}"
        ) from error


def _where(path: Path) -> str:
    return f"{spell(path)}: " if path else ""


def _short(error: BaseException) -> str:
    # A syntax error's text repeats its message and quotes the source; the message alone says it.
    return printable(str(getattr(error, "message", None) or error))[:200] or "no reason given"


def _undefined(message: str, text: str, context: Mapping[str, Any], path: Path) -> str:
    found = re.match(r"'([^']*)' is undefined", message)
    if not found:
        return f"{_where(path)}{printable(message)[:200]} in {quote(text)}"
    near = Speller().near(found[1], context)
    hint = (
        f"; did you mean '{near}'?" if near else f"; declare a parameter or write {{{{ {found[1][:40]}|default }}}}"
    )
    return f"{_where(path)}'{found[1][:80]}' is not defined in {quote(text)}{hint}"


def _as_text(value: Any) -> Any:
    return moment(value) if isinstance(value, (datetime, date)) else value


def moment(value: datetime | date) -> str:
    """ISO 8601; instants in UTC with Z."""
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain_json(value: Any, depth: int = 0) -> Any:
    """What an expression gave, as JSON. Raises TypeError for what is none."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (datetime, date)):
        return moment(value)
    if depth > 64:
        raise ValueError("the value is nested deeper than 64 levels")
    if isinstance(value, Mapping):
        return {str(key): plain_json(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)) or hasattr(value, "__next__"):
        return [plain_json(one, depth + 1) for one in value]
    raise TypeError(f"the expression gives {type(value).__name__}, which is not JSON")
