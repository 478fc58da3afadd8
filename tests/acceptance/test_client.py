"""The client facade below the command line: plans, edits, the feed, logs of several tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.bootstrap import open_workspace
from engine.client import planning
from engine.client.client import Client
from engine.client.feed import Feed
from engine.client.letters import retry_policy
from engine.client.logbook import Follower, merged
from engine.client.names import near, split
from engine.client.views import iso
from engine.definitions.renderer import render_plan
from engine.model.errors import ConfigurationError, RequestError
from engine.model.pipeline import Pipeline, Task
from engine.model.run import Attempt
from engine.ports.logs import LogLine
from tests.acceptance.workspaces import Workspace

NOW = datetime(2024, 2, 29, tzinfo=UTC)


class Uppercase:
    """A renderer that shows what it was asked to render; it fails where a text says so."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def render(self, template: Any, context: Mapping[str, Any]) -> Any:
        self.asked.append(template)
        return self._upper(template, context)

    def _upper(self, template: Any, context: Mapping[str, Any]) -> Any:
        if isinstance(template, str):
            if "broken" in template:
                raise ConfigurationError("'broken' is undefined")
            return template.replace("{{ task_id }}", str(context.get("task_id"))).upper()
        if isinstance(template, Mapping):
            return {name: self._upper(each, context) for name, each in template.items()}
        if isinstance(template, list):
            return [self._upper(each, context) for each in template]
        return template

    def close(self) -> None:
        self.asked.append("closed")


def planned(*commands: str) -> tuple[Any, Uppercase]:
    tasks = [Task(id=f"t{n}", name="T", type="shell", config={"command": text}) for n, text in enumerate(commands)]
    pipeline = Pipeline(id="p", name="P", tasks=tuple(tasks))
    renderer = Uppercase()
    context = planning.context(pipeline, {"region": "eu"}, NOW, NOW, {})
    plan = planning.plan(
        pipeline, context, medians={}, workers=2, renderer_factory=lambda: renderer, render=render_plan
    )
    return plan, renderer


def test_a_plan_asks_once_for_many_tasks_and_never_for_what_it_cannot_know() -> None:
    plan, renderer = planned("plain", "{{ ds }} a", "{{ region }} b", "{{ upstream.x }}")
    assert [task["config"]["command"] for task in plan["tasks"]] == [
        "plain",
        "{{ DS }} A",
        "{{ REGION }} B",
        "{{ upstream.x }}",
    ]
    assert [task["unresolved"] for task in plan["tasks"]] == [[], [], [], ["config.command"]]
    assert len(renderer.asked) == 2
    assert "upstream" not in str(renderer.asked)
    assert renderer.asked[-1] == "closed"


def test_a_template_that_names_its_task_gets_its_own_name() -> None:
    plan, _ = planned("{{ task_id }} a", "{{ task_id }} b")
    assert [task["config"]["command"] for task in plan["tasks"]] == ["T0 A", "T1 B"]


def test_every_template_that_fails_is_named() -> None:
    with pytest.raises(RequestError, match=r"task 't0': .*; task 't2': ") as refused:
        planned("{{ broken }}", "{{ ds }}", "{{ broken }}")
    assert "t1" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "near_or_said"),
    [
        ("{", "takes JSON"),
        ("[]", "JSON object"),
        ('{"max_attemps": 2}', "max_attempts"),
        ('{"max_attempts": 0}', "cannot be 0"),
        ('{"max_attempts": true}', "cannot be true"),
        ('{"jitter_type": "some"}', "cannot be"),
        ('{"retry_on_error_types": "NetworkError"}', "cannot be"),
        ('{"backoff_seconds": -1}', "cannot be -1"),
    ],
)
def test_a_retry_policy_is_checked(text: str, near_or_said: str) -> None:
    with pytest.raises(RequestError, match=near_or_said):
        retry_policy(text)


def test_a_retry_policy_is_taken_as_it_is() -> None:
    assert retry_policy('{"max_attempts": 5, "backoff_seconds": 0.5, "max_total_seconds": null}') == {
        "max_attempts": 5,
        "backoff_seconds": 0.5,
        "max_total_seconds": None,
    }


def test_names_and_times() -> None:
    assert split("load[3]") == ("load", 3)
    assert split("load") == ("load", None)
    assert near("Lod", ["load", "save"]) == " Did you mean 'load'?"
    assert near("xyz", ["load"]) == ""
    assert iso(NOW) == "2024-02-29T00:00:00Z"
    assert iso(NOW.replace(microsecond=250_000)) == "2024-02-29T00:00:00.250Z"


@pytest.fixture
def client(workspace: Workspace) -> Iterator[Client]:
    opened = open_workspace(workspace.root)
    yield opened.client
    opened.close()


def test_the_feed_goes_on_exactly_where_the_snapshot_was_taken(workspace: Workspace, client: Client) -> None:
    """Nothing between a snapshot and what follows is lost or told twice."""
    workspace.pipeline("sums", "  - {id: a, name: A, type: shell, config: {command: 'exit 3'}}")
    everything = Feed(client.queries)
    assert workspace.penstock("run", "sums").code == 1
    run_id = client.run("last").run_id
    seen, feed = client.follow(run_id)
    assert seen.run.state.value == "FAILED"
    assert not feed.next(0.0)
    assert workspace.penstock("retry", "last", "--wait").code == 1
    later = [event.seq for event in _drained(feed)]
    whole = _drained(everything)
    assert later == [event.seq for event in whole if event.run_id == run_id and (event.seq or 0) > seen.seq]
    assert [event.seq for event in whole] == sorted({event.seq for event in whole if event.seq})
    assert {"command.accepted", "task.state", "run.completed"} <= {event.type for event in whole}


def _drained(feed: Feed) -> list[Any]:
    events: list[Any] = []
    while found := feed.next(0.0):
        events += found
    return events


def test_edits_of_a_letter_reach_into_lists_and_mappings(workspace: Workspace, client: Client) -> None:
    """DLQ-06."""
    workspace.pipeline(
        "deep",
        "  - {id: a, name: A, type: shell, config: {command: [sh, -c, 'exit 3'], env: {MODE: x}}}",
        "parameters: {limit: 5}",
    )
    assert workspace.penstock("run", "deep").code == 1
    (letter,) = client.letters()["letters"]
    edits = client.letter_edits(
        letter["id"], ("config.command.2=exit 0", "config.env.MODE='5'", "parameters.limit=7")
    )
    assert edits == {
        "config.command": ["sh", "-c", "exit 0"],
        "config.env": {"MODE": "5"},
        "parameters.limit": 7,
    }
    for wrong, told in (
        ("config.comand.2=x", "config.command.2"),
        ("limit=7", "parameters.limit"),
        ("parameters.limit=many", "limit"),
        ("config=x", "Paths start with"),
    ):
        with pytest.raises(RequestError, match=told):
            client.letter_edits(letter["id"], (wrong,))
    said = workspace.penstock("dlq", "requeue", letter["id"], "--set", "config.command.2=exit 0", "--wait")
    assert said.code == 0, said.err
    assert client.run("last").state.value == "SUCCESS"


def test_ten_thousand_logs_are_merged_with_few_of_them_open() -> None:
    """Lines come by time, and a log is opened when its attempt began."""
    open_now, most = 0, 0

    class Reader:
        def lines(self, log: str, *, after: int = 0, grep: str | None = None) -> Iterator[LogLine]:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            began = NOW + timedelta(seconds=int(log))
            for seq in (1, 2, 3):
                if seq > after:
                    yield LogLine(
                        seq=seq, at=began + timedelta(seconds=seq), stream="stdout", level="INFO", text=log
                    )
            open_now -= 1

    attempts = [
        Attempt(
            token=str(n), execution_id="e", run_id="r", task_id=f"t{n}", map_index=None, number=1, epoch=1,
            submitted_at=NOW + timedelta(seconds=n), completed_at=NOW, log=str(n),
        )
        for n in range(10_000)
    ]  # fmt: skip
    reader: Any = Reader()
    lines = list(merged(reader, attempts))
    assert len(lines) == 30_000
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert most <= 5
    follower = Follower(reader)
    assert len(list(follower.poll(attempts[:10]))) == 30
    assert list(follower.poll(attempts[:10])) == []
