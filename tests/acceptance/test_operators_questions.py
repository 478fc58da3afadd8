"""What operators ask on the command line: errors, timelines, stuck runs, tries, failure rates (LOG-03, LOG-04)."""

from __future__ import annotations

import pytest

from engine.cli.spans import span
from engine.model.errors import RequestError
from tests.acceptance.workspaces import Workspace

TASKS = (
    "  - {id: flaky, type: shell, config: {command: 'echo tried >> tries; test $(wc -l < tries) -gt 1'},\n"
    "     retry_policy: {max_attempts: 3, backoff_seconds: 0, retry_on_error_types: ['*']}}\n"
    "  - {id: broken, type: shell, dependencies: [flaky], config: {command: 'exit 3'}}\n"
    "  - {id: after, type: shell, dependencies: [broken], config: {command: 'true'}}"
)


@pytest.fixture
def ran(workspace: Workspace) -> Workspace:
    workspace.pipeline("work", TASKS)
    assert workspace.penstock("run", "work").code == 1
    return workspace


def test_errors_of_a_run_and_lately_one_by_one_and_by_type(ran: Workspace) -> None:
    """LOG-03: errors of a run; by error type in the last 24 h; attempts > 1 grouped by error type."""
    found = ran.json("errors", "last")["errors"]
    assert [(each["task_id"], each["attempt"], each["task_state"]) for each in found] == [
        ("broken", 1, "FAILED"),
        ("flaky", 1, "SUCCESS"),
    ]
    assert [each["task_id"] for each in ran.json("errors", "last", "flaky")["errors"]] == ["flaky"]
    assert len(ran.json("errors", "--limit", "1")["errors"]) == 1 and ran.json("errors", "--limit", "1")["next"]
    types = {each["type"]: each for each in ran.json("errors", "--by", "type")["types"]}
    assert types["exit 3"]["count"] == 1 and types["exit 3"]["newest"]["task_id"] == "broken"
    (again,) = ran.json("errors", "--retried")["types"]
    assert (again["type"], again["recovered"]) == ("exit 1", 1)
    assert ran.json("errors", "--since", "0s")["errors"] == []
    said = ran.penstock("errors")
    assert said.code == 0 and "exit 3" in said.out and "SUCCESS" in said.out


def test_a_wrong_question_is_refused(ran: Workspace) -> None:
    assert ran.penstock("errors", "nosuch").code == 3
    assert ran.penstock("errors", "last", "nosuch").code == 3
    assert "24h" in ran.penstock("errors", "--since", "yesterday").err
    assert ran.penstock("show", "last", "--timeline").code == 2
    assert ran.penstock("runs", "--stuck", "--state", "failed").code == 2
    assert ran.penstock("stats", "--since", "7d", "tasks").code == 2


def test_the_timeline_of_a_task_tells_states_attempts_and_waits_in_order(ran: Workspace) -> None:
    """LOG-03."""
    told = ran.json("show", "last", "flaky", "--timeline")
    entries = told["timeline"]
    assert [each["at"] for each in entries] == sorted(each["at"] for each in entries) and not told["cut"]
    states = [each["to"] for each in entries if each["what"] == "state"]
    assert (states[0], states[-1]) == ("QUEUED", "SUCCESS") and "RETRYING" in states
    tries = [(each["attempt"], each["state"]) for each in entries if each["what"] == "attempt"]
    assert tries == [(1, "FAILED"), (2, "SUCCESS")]
    waits = [each for each in ran.json("show", "last", "after", "--timeline")["timeline"] if each["what"] == "wait"]
    assert waits and waits[0]["code"] == "UPSTREAM" and waits[0]["until"]
    assert "attempt 2" in ran.penstock("show", "last", "flaky", "--timeline").out


def test_dependencies_are_listed_with_their_states(ran: Workspace) -> None:
    """LOG-04."""
    tasks = {each["id"]: each for each in ran.json("show", "last", "--dependencies")["tasks"]}
    assert tasks["broken"]["upstream"] == [{"id": "flaky", "states": {"SUCCESS": 1}}]
    assert tasks["broken"]["downstream"] == ["after"]
    assert "flaky (SUCCESS)" in ran.penstock("show", "last", "broken", "--dependencies").out
    assert [each["id"] for each in ran.json("show", "last", "after")["tasks"]] == ["after"]


def test_tries_by_task_failure_rate_by_day_and_no_stuck_run(ran: Workspace) -> None:
    """LOG-04."""
    first = ran.json("stats", "tasks")["tasks"][0]
    assert (first["task_id"], first["attempts"], first["most"], first["recovered"]) == ("flaky", 2, 2, 1)
    (day,) = ran.json("stats", "--since", "2d")["days"]
    assert (day["failed"], day["failure_rate"]) == (1, 1.0)
    assert "100.0 %" in ran.penstock("stats").out and "flaky" in ran.penstock("stats", "tasks").out
    assert ran.json("runs", "--stuck")["runs"] == [] == ran.json("runs", "--over", "1s")["runs"]


def test_stretches_of_time_have_units() -> None:
    assert span("90m", "--x").total_seconds() == 5400 and span("0.5h", "--x").total_seconds() == 1800
    for wrong in ("5", "", "h", "-1h", "1y", "999999999w", "1h2m"):
        with pytest.raises(RequestError, match="--x takes"):
            span(wrong, "--x")
