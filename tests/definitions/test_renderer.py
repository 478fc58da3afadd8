"""The limited child: FAULTS 37."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.definitions.environment import environment
from engine.definitions.renderer import ChildRenderer, render_plan
from engine.model.errors import ConfigurationError


def test_a_template_is_rendered_in_another_process(renderer):
    assert renderer.render({"a": ["{{ n + 1 }}"]}, {"n": 1}) == {"a": [2]}
    assert renderer.pid not in (None, os.getpid())


def test_instants_are_instants_in_the_child(renderer):
    context = {"logical_date": datetime(2024, 2, 29, tzinfo=UTC)}
    assert (
        renderer.render("{{ logical_date.strftime('%j') }}/{{ logical_date }}", context)
        == "060/2024-02-29T00:00:00Z"
    )


def test_a_config_lends_its_plain_values_to_its_templates_in_the_child_too(renderer):
    """C-12."""
    config = {"table": "own", "query": "{{ table }} {{ limit }}"}
    assert renderer.render(config, {"table": "given", "limit": 1})["query"] == "own 1"


def test_what_has_no_markup_starts_no_child():
    renderer = ChildRenderer()
    assert renderer.render({"a": "plain", "b": [1]}, {}) == {"a": "plain", "b": [1]}
    assert renderer.pid is None


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**8 }}",
        "{{ 'a' * 10**7 }}",
        "{% set x = 'a' * 10**8 %}{{ x ~ x ~ x }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ 1e308 * 10 }}",
        "{{ nobody }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ '%0999999999d' % 1 }}",
    ],
)
def test_escapes_and_explosions_end_in_a_configuration_error(renderer, template):
    """FAULTS 37."""
    with pytest.raises(ConfigurationError):
        renderer.render(template, {})
    assert renderer.render("{{ n }}", {"n": 1}) == 1, "the next template is served"


def test_an_endless_loop_is_stopped_and_the_child_replaced():
    renderer = ChildRenderer(seconds=0.2)
    try:
        renderer.render("{{ 1 }}", {})
        first = renderer.pid
        loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
        with pytest.raises(ConfigurationError, match=r"took longer than 0\.2 s"):
            renderer.render(loop, {})
        assert renderer.render("{{ 2 }}", {}) == 2
        assert renderer.pid != first
    finally:
        renderer.close()


def test_a_child_killed_from_outside_is_replaced_unseen():
    renderer = ChildRenderer()
    try:
        assert renderer.render("{{ 1 }}", {}) == 1
        os.kill(renderer.pid, signal.SIGKILL)
        assert renderer.render("{{ 2 }}", {}) == 2
    finally:
        renderer.close()


def test_closing_ends_the_process():
    renderer = ChildRenderer()
    renderer.render("{{ 1 }}", {})
    pid = renderer.pid
    renderer.close()
    assert not Path(f"/proc/{pid}").exists()


def test_the_error_names_where_and_what(renderer):
    with pytest.raises(ConfigurationError, match=r"args\[1\]\.x: 'regoin' is not defined.*did you mean 'region'"):
        renderer.render({"args": [1, {"x": "{{ regoin }}"}]}, {"region": "eu"})


def test_nothing_is_compiled_in_the_calling_process(renderer, monkeypatch):
    def refuse(*_args: object, **_more: object) -> None:
        raise AssertionError("compiled in the parent")

    monkeypatch.setattr(environment(), "compile", refuse)
    assert renderer.render("{{ 'a' * 3 }}", {}) == "aaa"
    assert render_plan(renderer, "{{ upstream.x }} {{ 1 }}", {}).unresolved == ((),)


def test_a_plan_renders_what_is_known_and_lists_the_rest(renderer):
    """CONTRACT: what only a run knows stays as written."""
    config = {
        "command": "load {{ table }}",
        "args": ["{{ upstream.a.n }} for {{ table }}", {"x": "{{ item }}", "y": 1}],
        "id": "{{ run_id }}",
        "default": "{{ event.path|none_yet }}",
    }
    planned = render_plan(renderer, config, {"table": "orders"})
    assert planned.value == {**config, "command": "load orders"}
    assert planned.unresolved == (("args", 0), ("args", 1, "x"), ("id",), ("default",))


def test_the_child_inherits_no_secret(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "canary-7")
    renderer = ChildRenderer()
    try:
        renderer.render("{{ 1 }}", {})
        assert b"canary-7" not in Path(f"/proc/{renderer.pid}/environ").read_bytes()
    finally:
        renderer.close()


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("{{ upstream.a.n }}", True),
        ("{% if item %}x{% endif %}", True),
        ("{{ event['path'] }}", True),
        ("{{ run_id }}", True),
        ("{{ attempt + 1 }}", True),
        ("{{ ds }}", False),
        ("{{ params.item }}", False),
        ("{{ 'upstream' }}", False),
        ("upstream {{ ds }} item", False),
        ("{{ my_item }}", False),
        ("no markup, run_id", False),
    ],
)
def test_what_only_a_run_knows_is_recognised(renderer, text: str, needs: bool) -> None:
    known = {"ds": "2026-11-20", "params": {"item": 1}, "my_item": 2}
    assert bool(render_plan(renderer, text, known).unresolved) is needs


def test_a_child_that_the_machine_does_not_let_run_is_waited_for() -> None:
    """FAULTS 34: a neighbour that takes all the processor fails nobody's template."""
    renderer = ChildRenderer(seconds=0.2)
    try:
        assert renderer.render("{{ 1 + 1 }}", {}) == 2
        pid = renderer.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        wake = threading.Timer(0.8, os.kill, (pid, signal.SIGCONT))
        wake.start()
        assert renderer.render("{{ 2 + 2 }}", {}) == 4
        wake.join()
        assert renderer.pid == pid
    finally:
        renderer.close()
