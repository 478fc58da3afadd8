"""Rendering: types kept, literal defaults, strictness, and what names a template needs."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from engine.definitions.environment import render
from engine.definitions.references import Reference, TemplateFault, references
from engine.model.errors import ConfigurationError

CONTEXT = {
    "n": 5,
    "s": "x",
    "l": [1, 2],
    "m": {"k": {"z": 1}},
    "at": datetime(2024, 1, 1, 6, tzinfo=UTC),
    "region": "eu",
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{ n }}", 5),
        (" {{ n }}\n", 5),
        ("{{- n -}}", 5),
        ("a{{ n }}", "a5"),
        ("{{ n }}{{ n }}", "55"),
        ("{{ l }}", [1, 2]),
        ("{{ m.k }}", {"z": 1}),
        ("{{ n > 3 }}", True),
        ("{{ none }}", None),
        ("{{ range(3)|list }}", [0, 1, 2]),
        ("{% for i in l %}{{ i }};{% endfor %}", "1;2;"),
        ("{{ at }}", "2024-01-01T06:00:00Z"),
        ("at {{ at }}", "at 2024-01-01T06:00:00Z"),
        ("{{ at.year }}", 2024),
        ("line\n{{ n }}\n", "line\n5\n"),
        ("{{ '}}' }}", "}}"),
        ("{{ missing|100 }}", 100),
        ("{{ missing|eu-west }}", "eu-west"),
        ("{{ missing|'two words' }}", "two words"),
        ("{{missing|/tmp/x.csv}}", "/tmp/x.csv"),
        ("{{ missing|true }}", True),
        ("{{ missing|foo|upper }}", "FOO"),
        ("to {{ missing|nowhere }}!", "to nowhere!"),
        ("{{ region|nowhere }}", "eu"),
        ("{{ s|upper }}", "X"),
        ("{{ missing|default('d') }}", "d"),
    ],
)
def test_rendering(template, value):
    """DEF-13, C-13: one expression keeps its type; `name|word` is a default unless the word is a filter."""
    rendered = render(template, CONTEXT)
    assert rendered == value
    assert type(rendered) is type(value)


def test_structures_are_walked_and_other_values_kept():
    assert render({"a": ["{{ n }}", 1, None], "b": {"c": "x{{ s }}"}}, CONTEXT) == {
        "a": [5, 1, None],
        "b": {"c": "xx"},
    }


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ regoin }}", ["config.x", "'regoin' is not defined", "did you mean 'region'"]),
        ("a {{ regoin }}", ["'regoin' is not defined"]),
        ("{{ m.zz.y }}", ["config.x"]),
        ("{{ n", ["no valid template"]),
        ("{{ ''.__class__.__mro__ }}", ["not allowed"]),
        ("{{ [].__class__ }} b", ["not allowed"]),
        ("{{ n / 0 }}", ["ZeroDivisionError"]),
        ("{{ s|nosuch(1) }}", ["no valid template"]),
        ("{{ 'a'.upper }}", ["not JSON"]),
        ("{{ cycler.__init__.__globals__ }}", ["not allowed"]),
    ],
)
def test_what_fails_names_the_place_and_the_cause(template, words):
    with pytest.raises(ConfigurationError) as caught:
        render(template, CONTEXT, path=("config", "x"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_sql_is_plain_jinja():
    """C-13: in SQL a bar is always a filter."""
    with pytest.raises(ConfigurationError):
        render("{{ missing|word }}", CONTEXT, literal_defaults=False)


def test_own_config_outranks_parameters():
    """C-12, DEF-14: task config > parameters; what else there is keeps its own name."""
    context = {"ds": "2024-01-01", "table": "from_run", "params": {"table": "from_run"}, "env": {"table": "x"}}
    config = {
        "table": "from_config",
        "ds": "kept out",
        "query": "{{ table }} {{ params.table }} {{ env.table }} {{ ds }}",
    }
    assert render(config, context)["query"] == "from_config from_run x 2024-01-01"
    nested = {"args": {"table": "inner", "query": "{{ table }}"}}
    assert render(nested, context)["args"]["query"] == "from_run", "only the config's own level"


def test_a_config_key_that_is_templated_itself_does_not_hide_its_parameter():
    config = {"table": "{{ table }}", "query": "select from {{ table }}"}
    assert render(config, {"table": "orders"}) == {"table": "orders", "query": "select from orders"}


def test_a_config_key_never_hides_a_namespace():
    config = {"env": {"A": "1"}, "upstream": "x", "command": "{{ env.HOME }} {{ upstream.a }}"}
    assert render(config, {"env": {"HOME": "/h"}, "upstream": {"a": 1}})["command"] == "/h 1"


def test_text_without_markup_does_not_load_jinja():
    code = (
        "import sys; from engine.definitions.environment import render; "
        "assert render({'a': ['x', 1]}, {}) == {'a': ['x', 1]}; assert 'jinja2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ a }} {{ b.c }}", {("a", None), ("b", None)}),
        ("{{ upstream.x.y }}", {("upstream", "x")}),
        ("{{ upstream['x-y'].z }}", {("upstream", "x-y")}),
        ("{{ upstream[item] }}", {("upstream", None), ("item", None)}),
        ("{{ params.k|upper }}", {("params", "k")}),
        ("{{ true }}", set()),
        ("{% for i in items %}{{ i }}{% endfor %}", {("items", None)}),
        ("{% set z = 1 %}{{ z }}", set()),
        ("{{ range(n) }}", {("n", None)}),
        ("{{ a if b else c }}", {("a", None), ("b", None), ("c", None)}),
    ],
)
def test_the_names_a_template_needs(text, names):
    assert {(one.name, one.member) for one in references(text)} == names


def test_names_under_a_default_are_optional():
    assert references("{{ x|fallback }}") == {Reference("x", None, True)}
    assert references("{{ x|default(y) }}") == {Reference("x", None, True), Reference("y", None, False)}
    assert references("{% if x is defined %}a{% endif %}") == {Reference("x", None, True)}


@pytest.mark.parametrize("text", ["{{ a", "{{ a b }}", "{% if %}", "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"])
def test_what_is_no_template_is_told_without_rendering(text):
    with pytest.raises(TemplateFault):
        references(text)


def test_an_output_called_like_a_method_is_found() -> None:
    """`upstream.list.items` is an output's name first and a method of dict only after that."""
    assert render("{{ upstream.list.items }}", {"upstream": {"list": {"items": [1, 2]}}}) == [1, 2]
