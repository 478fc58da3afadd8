"""Where the rows of a load come from, checked with the types of this version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from engine.bootstrap.tasktypes import task_types
from engine.definitions.check import check_pipeline
from engine.definitions.problems import Findings
from engine.definitions.read import read_yaml
from engine.model.workspace import Connection
from tests.definitions.fakes import around

SHOP = {"connection": "shop", "table": "orders"}


def told(*tasks: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Path and message of every error."""
    known = {"shop": Connection(id="shop", type="duckdb")}
    surroundings = replace(around(Path("/nowhere")), task_types=task_types().types, connections=known)
    document = read_yaml(yaml.safe_dump({"id": "x", "tasks": list(tasks)}))
    findings = Findings("x.yaml", document.line)
    check_pipeline(document.value, findings, surroundings)
    return [(problem.path, problem.message) for problem in findings.problems("error")]


def load(
    config: Mapping[str, Any], above: Sequence[str] = ("read",), *, new: bool = False
) -> list[tuple[str, str]]:
    """The errors of a load below an extract."""
    return told(
        {"id": "read", "type": "extract", "config": {**SHOP, **({"incremental": True} if new else {})}},
        {"id": "other", "type": "shell", "config": {"command": "true"}},
        {
            "id": "write",
            "type": "load",
            "dependencies": list(above),
            "config": {"connection": "shop", "target": "copy", **config},
        },
    )


def test_a_load_has_rows_from_somewhere() -> None:
    """VAL-05: what a load names is there, and above it."""
    assert load({}) == []
    assert load({"source": "read"}) == []
    assert load({"source": SHOP}, ()) == []
    ((path, message),) = load({}, ())
    assert (path, "needs rows" in message) == ("tasks[2].config", True)
    ((path, message),) = load({"source": "raed"})
    assert (path, "did you mean 'read'" in message) == ("tasks[2].config.source", True)
    ((path, message),) = load({"source": "other"})
    assert (path, "no dependency" in message) == ("tasks[2].config.source", True)


def test_new_rows_replace_nothing() -> None:
    assert load({"mode": "replace"}) == []
    ((path, message),) = load({"mode": "replace"}, new=True)
    assert (path, "throw away what earlier runs loaded" in message) == ("tasks[2].config.mode", True)


EACH = {"type": "load", "foreach": ["a", "b"]}


def test_items_do_not_replace_the_rows_of_each_other() -> None:
    config = {"source": {"connection": "shop", "table": "{{ item }}"}, "connection": "shop", "target": "all"}
    assert told({**EACH, "id": "each", "config": {**config, "mode": "append"}}) == []
    assert told({**EACH, "id": "each", "config": {**config, "mode": "replace", "target": "t_{{ item }}"}}) == []
    ((path, message),) = told({**EACH, "id": "each", "config": {**config, "mode": "replace"}})
    assert (path, "only the last one stays" in message) == ("tasks[0].config.mode", True)
    both = [
        {"connection": "shop", "target": "{{ item }}"},
        {"connection": "shop", "target": "b", "mode": "replace"},
    ]
    shared = {"source": config["source"], "targets": both}
    ((path, _),) = told({**EACH, "id": "each", "config": shared})
    assert path == "tasks[0].config.targets[1].mode"


def test_a_load_does_not_take_the_rows_of_many_items() -> None:
    """Their datasets are as many as the items, and a run would find none."""
    read = {"id": "read", "type": "extract", "foreach": ["a", "b"], "config": {**SHOP, "table": "{{ item }}"}}
    config = {"connection": "shop", "target": "all"}
    write = {"id": "write", "type": "load", "dependencies": ["read"], "config": config}
    ((path, message),) = told(read, write)
    assert (path, "each of its items stages rows of its own" in message) == ("tasks[1].config", True)
    ((path, message),) = told(read, {**write, "config": {**config, "source": "read"}})
    assert path == "tasks[1].config.source"


def test_targets_are_each_another_one() -> None:
    twice = [{"connection": "shop", "target": "a"}, {"connection": "shop", "target": "a"}]
    assert "Two targets are the same" in load({"targets": twice})[0][1]


def test_a_connection_that_is_not_there_is_told_where_it_stands() -> None:
    found = load(
        {"source": {**SHOP, "connection": "gone"}, "targets": [{"connection": "nowhere", "target": "t"}]}, ()
    )
    assert [path for path, _ in found] == [
        "tasks[2].config.source.connection",
        "tasks[2].config.targets[0].connection",
    ]
