"""Sensor, branch, pipeline and notify tasks, and the registry of types."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import psycopg
import pytest
from pytest_httpserver import HTTPServer

from engine.connectors.registry import Connectors
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    LogicError,
    NetworkError,
    PermissionFailure,
    RateLimited,
    SkipTask,
)
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.notifiers.registry import of_url
from engine.ports.notifier import Message
from engine.ports.tasktype import TaskType
from engine.tasks.registry import TaskServices, all_types, builtin_types


class Saved:
    """A checkpoint kept in memory."""

    def __init__(self) -> None:
        self.value: Any = None

    def load(self) -> Any:
        return self.value

    def save(self, value: Any) -> None:
        self.value = value


class Ctx:
    """What a type sees of its attempt."""

    run_id, pipeline_id, task_id, map_index = "run1", "orders", "wait", None
    log = logging.getLogger("tests.task")

    def __init__(self, root: Path, config: Mapping[str, Any], connections: Mapping[str, Connection]) -> None:
        self.root, self.config, self.checkpoint, self._connections = root, config, Saved(), connections

    def connection(self, connection_id: str) -> Connection:
        return self._connections[connection_id]


@pytest.fixture
def sent() -> list[tuple[Connection, Message]]:
    return []


@pytest.fixture
def services(tmp_path: Path, sent: list[tuple[Connection, Message]]) -> TaskServices:
    connectors = Connectors(tmp_path)
    return TaskServices(
        scalar=connectors.scalar,
        fetch=connectors.fetch,
        send=lambda connection, message: sent.append((connection, message)),
        of_url=of_url,
        source=connectors.source,
        destination=connectors.destination,
    )


@pytest.fixture
def types(services: TaskServices) -> dict[str, TaskType]:
    return builtin_types(services)


Run = Callable[..., Outcome]


@pytest.fixture
def run(types: dict[str, TaskType], tmp_path: Path) -> Run:
    def go(kind: str, config: Mapping[str, Any], *connections: Connection) -> Outcome:
        jsonschema.validate(config, types[kind].schema())
        return types[kind].run(Ctx(tmp_path, config, {one.id: one for one in connections}))  # type: ignore[arg-type]

    return go


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the workspace with functions to call."""
    module = ModuleType("looks")
    module.__dict__.update(
        give=lambda ctx, value=None: value,
        skip=lambda ctx: (_ for _ in ()).throw(SkipTask("not today")),
        odd=lambda ctx: object(),
        who=lambda ctx, **args: {"run": ctx.run_id, **args},
    )

    async def later(ctx: Any) -> list[str]:
        return ["a", "b"]

    module.later = later  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "looks", module)
    return module


class TestEveryType:
    @pytest.mark.parametrize("name", ["shell", "python", "sensor", "branch", "pipeline", "notify"])
    def test_its_schema_is_sound_closed_and_described(self, types: dict[str, TaskType], name: str) -> None:
        schema = types[name].schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert all(one.get("description") for one in schema["properties"].values())
        assert types[name].name == name

    def test_where_each_runs(self, types: dict[str, TaskType]) -> None:
        assert types["sensor"].mode({"file": "x"}) == "poke"
        assert types["branch"].mode({"choose": "{{ x }}"}) == "engine"
        assert types["branch"].mode({"callable": "m:f"}) == "process"
        assert types["pipeline"].mode({}) == "engine"
        assert types["notify"].mode({}) == "process"

    def test_connections_named_are_told(self, types: dict[str, TaskType]) -> None:
        assert list(types["sensor"].connections({"sql": "x", "connection": "db"})) == ["db"]
        assert list(types["notify"].connections({"connection": "ops"})) == ["ops"]
        assert list(types["notify"].connections({"url": "log:"})) == []


class TestSensorLooksAtFiles:
    def test_not_yet_then_there(self, run: Run, tmp_path: Path) -> None:
        config = {"file": "inbox/**/*.csv"}
        assert run("sensor", config).result == "not_yet"
        (tmp_path / "inbox" / "eu").mkdir(parents=True)
        (tmp_path / "inbox" / "eu" / "a.csv").touch()
        (tmp_path / "inbox" / "b.csv").touch()
        outcome = run("sensor", config)
        assert outcome.result == "success"
        assert outcome.outputs == {"files": ["inbox/b.csv", "inbox/eu/a.csv"], "count": 2}

    def test_an_absolute_path_serves_as_well(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "done").touch()
        assert run("sensor", {"file": str(tmp_path / "done")}).outputs["files"] == ["done"]

    def test_a_hostile_name_is_plain_text(self, run: Run, tmp_path: Path) -> None:
        """FAULTS 40: names that are not UTF-8."""
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.csv")).touch()
        (name,) = run("sensor", {"file": "*.csv"}).outputs["files"]
        assert name == "bad\\xff.csv"


class TestSensorAsksDatabases:
    @pytest.mark.parametrize(
        ("query", "result"),
        [
            ("SELECT 1", "success"),
            ("SELECT 'yes'", "success"),
            ("SELECT 0", "not_yet"),
            ("SELECT NULL", "not_yet"),
            ("SELECT ''", "not_yet"),
            ("SELECT 1 WHERE 1 = 0", "not_yet"),
        ],
    )
    def test_the_first_cell_decides(self, run: Run, tmp_path: Path, query: str, result: str) -> None:
        sqlite3.connect(tmp_path / "x.db").close()
        db = Connection(id="db", type="sqlite", config={"path": "x.db"})
        assert run("sensor", {"sql": query, "connection": "db"}, db).result == result

    def test_postgresql_too_with_bound_values(self, run: Run, postgres_url: str) -> None:
        with psycopg.connect(postgres_url) as link:
            link.execute("CREATE TABLE loads AS SELECT 'eu' AS region, 12.5::numeric AS amount")
        parts = urlsplit(postgres_url)
        config = {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": parts.path[1:]}
        db = Connection(id="db", type="postgresql", config=config)
        query = "SELECT amount FROM loads WHERE region = :region"
        asked = {"sql": query, "connection": "db", "parameters": {"region": "eu"}}
        assert run("sensor", asked, db).outputs == {"value": 12.5}
        assert run("sensor", {**asked, "parameters": {"region": "us"}}, db).result == "not_yet"
        with pytest.raises(ConfigurationError):
            run("sensor", {"sql": "SELECT * FROM nowhere", "connection": "db"}, db)


class TestSensorAsksWeb:
    def test_any_2xx_is_yes_and_trouble_is_not_yet(self, run: Run, httpserver: HTTPServer) -> None:
        for status, result in [(200, "success"), (204, "success"), (404, "not_yet"), (503, "not_yet")]:
            httpserver.expect_oneshot_request("/ready").respond_with_data("", status=status)
            assert run("sensor", {"http": httpserver.url_for("/ready")}).result == result

    def test_the_status_may_be_chosen(self, run: Run, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/gone").respond_with_data("", status=404)
        url = httpserver.url_for("/gone")
        assert run("sensor", {"http": url, "status": 404}).result == "success"
        assert run("sensor", {"http": url, "status": [200, 404]}).result == "success"
        assert run("sensor", {"http": url, "status": 200}).result == "not_yet"

    @pytest.mark.parametrize(
        ("path", "result"),
        [
            ("ready", "success"),
            ("items[1].done", "success"),
            ("items[0].done", "not_yet"),
            ("items[9].done", "not_yet"),
            ("nothing.here", "not_yet"),
            ("ready.deeper", "not_yet"),
        ],
    )
    def test_a_place_in_the_answer_decides(self, run: Run, httpserver: HTTPServer, path: str, result: str) -> None:
        answer = {"ready": "yes", "items": [{"done": False}, {"done": True}]}
        httpserver.expect_request("/x").respond_with_json(answer)
        assert run("sensor", {"http": httpserver.url_for("/x"), "json": path}).result == result

    def test_a_connection_lends_its_address(self, run: Run, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/api/x", headers={"X-Key": "k"}).respond_with_data("")
        api = Connection(
            id="api", type="rest", config={"base_url": httpserver.url_for("/api"), "headers": {"X-Key": "k"}}
        )
        assert run("sensor", {"http": "x", "connection": "api"}, api).result == "success"

    def test_refusals_are_failures_not_waiting(self, run: Run, httpserver: HTTPServer) -> None:
        url = httpserver.url_for("/x")
        httpserver.expect_oneshot_request("/x").respond_with_data("", status=403)
        with pytest.raises(PermissionFailure):
            run("sensor", {"http": url})
        slow = {"Retry-After": "9"}
        httpserver.expect_oneshot_request("/x").respond_with_data("", status=429, headers=slow)
        with pytest.raises(RateLimited) as caught:
            run("sensor", {"http": url})
        assert caught.value.retry_after == 9.0
        httpserver.expect_oneshot_request("/x").respond_with_data("<html>")
        with pytest.raises(DataQualityError, match="not JSON"):
            run("sensor", {"http": url, "json": "a"})
        with pytest.raises(NetworkError):
            run("sensor", {"http": "http://127.0.0.1:1/"})


@pytest.mark.usefixtures("looks")
class TestSensorCalls:
    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
    def test_nothing_is_not_yet(self, run: Run, value: object) -> None:
        assert run("sensor", {"callable": "looks:give", "args": {"value": value}}).result == "not_yet"

    @pytest.mark.parametrize(
        ("value", "outputs"), [(True, {}), ({"rows": 3}, {"rows": 3}), ("x", {"result": "x"}), (7, {"result": 7})]
    )
    def test_something_is_yes_and_becomes_outputs(self, run: Run, value: object, outputs: object) -> None:
        outcome = run("sensor", {"callable": "looks:give", "args": {"value": value}})
        assert (outcome.result, outcome.outputs) == ("success", outputs)

    def test_an_exception_is_a_failure(self, run: Run) -> None:
        with pytest.raises(SkipTask):
            run("sensor", {"callable": "looks:skip"})
        with pytest.raises(LogicError, match="returned a object that is not JSON"):
            run("sensor", {"callable": "looks:odd"})


class TestSensorChecks:
    @pytest.mark.parametrize(
        ("config", "path", "said"),
        [
            ({}, "", "exactly one of file, sql, http, callable; found none"),
            ({"file": "x", "http": "http://h"}, "", "found file and http"),
            ({"dataset": "orders"}, "dataset", "not in this version"),
            ({"sql": "SELECT 1"}, "connection", "needs a `connection`"),
            ({"http": "/x"}, "http", "whole URL"),
            ({"file": "x", "connection": "db"}, "connection", "no meaning beside `file`"),
            ({"http": "http://h", "json": "a..b["}, "json", "names and positions"),
            ({"callable": "no_function"}, "callable", "module:function"),
        ],
    )
    def test_what_the_schema_cannot_say(
        self, types: dict[str, TaskType], tmp_path: Path, config: dict[str, Any], path: str, said: str
    ) -> None:
        problems = types["sensor"].check(config, tmp_path)
        assert [(one.severity, one.path) for one in problems] == [("error", path)]
        assert said in problems[0].message

    @pytest.mark.parametrize(
        "config",
        [
            {"file": "x"},
            {"sql": "SELECT 1", "connection": "db"},
            {"http": "{{ params.url }}"},
            {"http": "x", "connection": "api", "json": "a.b[0]"},
        ],
    )
    def test_what_is_right_has_no_problem(
        self, types: dict[str, TaskType], tmp_path: Path, config: dict[str, Any]
    ) -> None:
        assert list(types["sensor"].check(config, tmp_path)) == []


@pytest.mark.usefixtures("looks")
class TestBranch:
    @pytest.mark.parametrize(("value", "follow"), [("a", ["a"]), (["a", "b"], ["a", "b"]), (None, []), ([], [])])
    def test_a_callable_chooses(self, run: Run, value: object, follow: list[str]) -> None:
        outcome = run("branch", {"callable": "looks:give", "args": {"value": value}})
        assert outcome == Outcome(result="success", outputs={"follow": follow})

    def test_an_async_callable_chooses_too(self, run: Run) -> None:
        assert run("branch", {"callable": "looks:later"}).outputs == {"follow": ["a", "b"]}

    def test_a_choice_that_is_no_id_is_refused(self, run: Run) -> None:
        with pytest.raises(ConfigurationError, match="chooses by the id"):
            run("branch", {"callable": "looks:give", "args": {"value": 3}})

    @pytest.mark.parametrize("config", [{}, {"choose": "a", "callable": "m:f"}, {"choose": "a", "args": {}}])
    def test_checks(self, types: dict[str, TaskType], tmp_path: Path, config: dict[str, Any]) -> None:
        assert [one.severity for one in types["branch"].check(config, tmp_path)] == ["error"]
        assert not types["branch"].check({"choose": "{{ x }}"}, tmp_path)


class TestPipelineTask:
    def test_a_file_name_is_no_id(self, types: dict[str, TaskType], tmp_path: Path) -> None:
        (problem,) = types["pipeline"].check({"pipeline": "load/orders.yaml"}, tmp_path)
        assert "Name the id, not the file" in problem.message
        assert not types["pipeline"].check({"pipeline": "orders_daily"}, tmp_path)
        assert not types["pipeline"].check({"pipeline": "{{ params.which }}"}, tmp_path)

    def test_it_has_no_process(self, run: Run) -> None:
        with pytest.raises(ConfigurationError, match="penstock run orders"):
            run("pipeline", {"pipeline": "x"})


class TestNotify:
    OPS = Connection(id="ops", type="slack")

    def test_a_message_goes_where_it_should(self, run: Run, sent: list[tuple[Connection, Message]]) -> None:
        config = {"connection": "ops", "message": "2 rows", "severity": "warning"}
        assert run("notify", config, self.OPS).outputs == {"sent": True}
        message = Message(title="orders: wait", body="2 rows", severity="warning", key="run1/wait")
        assert sent == [(self.OPS, message)]

    def test_a_bare_url_does_too(self, run: Run, sent: list[tuple[Connection, Message]]) -> None:
        run("notify", {"url": "https://example.com/hook", "message": "x", "title": "T"})
        assert (sent[0][0].type, sent[0][1].title) == ("webhook", "T")

    @pytest.mark.parametrize(("once", "count"), [(True, 1), (False, 2)])
    def test_a_later_attempt_of_the_run_does_not_send_again(
        self, types: dict[str, TaskType], tmp_path: Path, sent: list[Any], once: bool, count: int
    ) -> None:
        """ALR-06: no flood."""
        config = {"url": "log:", "message": "x", "once_per_run": once}
        ctx = Ctx(tmp_path, config, {})
        first = types["notify"].run(ctx)  # type: ignore[arg-type]
        second = types["notify"].run(ctx)  # type: ignore[arg-type]
        assert len(sent) == count
        assert (first.outputs["sent"], second.outputs["sent"]) == (True, not once)

    def test_what_was_not_delivered_is_sent_again(self, services: TaskServices, tmp_path: Path) -> None:
        def refuse(connection: Connection, message: Message) -> None:
            raise NetworkError("no")

        broken = replace(services, send=refuse)
        ctx = Ctx(tmp_path, {"url": "log:", "message": "x"}, {})
        with pytest.raises(NetworkError):
            builtin_types(broken)["notify"].run(ctx)  # type: ignore[arg-type]
        assert ctx.checkpoint.load() is None

    @pytest.mark.parametrize(
        ("config", "severity", "said"),
        [
            ({}, "error", "found neither"),
            ({"connection": "a", "url": "log:"}, "error", "found both"),
            ({"url": "${env:HOOK}"}, "error", "connections.yaml"),
            ({"url": "https://hooks.slack.com/services/T/B/x"}, "warning", "carries a secret"),
            ({"url": "mailto://me:pw@example.com"}, "warning", "carries a secret"),
        ],
    )
    def test_checks(
        self, types: dict[str, TaskType], tmp_path: Path, config: dict[str, Any], severity: str, said: str
    ) -> None:
        (problem,) = types["notify"].check({"message": "x", **config}, tmp_path)
        assert problem.severity == severity
        assert said in problem.message
        assert "pw" not in problem.message


class Polite:
    """A plugin's type."""

    name, category = "polite", "control"

    def schema(self) -> Mapping[str, Any]:
        return {"type": "object"}

    mode = heavy = connections = check = run = lambda self, *args: None


class TestPlugins:
    @pytest.fixture
    def plugin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("penstock_plugin")
        module.__dict__.update(Polite=Polite, broken=lambda: 1 / 0, empty=object)
        monkeypatch.setitem(sys.modules, "penstock_plugin", module)

    def point(self, name: str, value: str) -> EntryPoint:
        return EntryPoint(name=name, value=value, group="penstock.task_types")

    @pytest.mark.usefixtures("plugin")
    def test_a_plugin_is_one_of_the_types(self, services: TaskServices) -> None:
        found = all_types(services, [self.point("polite", "penstock_plugin:Polite")])
        assert isinstance(found.types["polite"], Polite)
        assert found.problems == ()

    @pytest.mark.usefixtures("plugin")
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("gone", "no_such_module:Type", "No module named 'no_such_module'"),
            ("gone", "penstock_plugin:Nothing", "has no attribute 'Nothing'"),
            ("broken", "penstock_plugin:broken", "ZeroDivisionError"),
            ("empty", "penstock_plugin:empty", "it lacks name, category"),
            ("rude", "penstock_plugin:Polite", "calls itself 'polite'"),
            ("shell", "penstock_plugin:Polite", "taken already"),
        ],
    )
    def test_a_broken_one_is_reported_and_the_others_stay(
        self, services: TaskServices, name: str, value: str, said: str
    ) -> None:
        found = all_types(services, [self.point(name, value), self.point("polite", "penstock_plugin:Polite")])
        (problem,) = found.problems
        assert said in problem.message
        assert {"shell", "polite"} <= set(found.types)
        assert type(found.types["shell"]).__name__ == "ShellTask"
