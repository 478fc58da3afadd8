"""Documents and values: what is meant stays what is meant, and its hash with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.build import build, canonical
from engine.definitions.read import read_yaml
from engine.definitions.retries import error_type
from engine.model.pipeline import Hook, Jitter, Pipeline, RetryPolicy, TriggerRule
from engine.model.schedule import OverlapPolicy
from engine.model.workspace import Defaults
from tests.definitions.fakes import errors

PLAIN = Defaults()


def made(text: str | dict[str, Any], defaults: Defaults = PLAIN) -> Pipeline:
    document = read_yaml(text).value if isinstance(text, str) else text
    return build(canonical(document, defaults), "pipelines/x.yaml")


CONTRACT_EXAMPLE = """\
id: orders_daily
name: Orders, daily
description: Orders and customers into the warehouse
tags: [sales]
parameters:
  region: eu
  limit: {type: integer, default: 1000, minimum: 1, description: rows at most}
schedule:
  cron: "0 2 * * *"
  timezone: Europe/Berlin
  start_date: 2024-01-01
  end_date: null
  catchup: false
  policy: SKIP_ON_RUNNING
  blackout: [{from: "22:00", to: "23:30"}]
  enabled: true
execution: {max_active_runs: 2, depends_on_past: false, timeout_seconds: 7200, failure_policy: continue}
tasks:
  - id: extract_orders
    name: Extract orders
    type: shell
    dependencies: []
    trigger_rule: all_success
    when: "{{ region != 'none' }}"
    retry_policy: {max_attempts: 5, retry_on_error_types: ["*"]}
    timeout_seconds: 600
    pool: prod_db
    resources: {cpu: 1, memory_mb: 512}
    on: {failure: [{notify: {connection: ops_slack, message: "..."}}]}
    inputs: []
    outputs: [orders]
    config: {command: "true"}
  - id: after
    type: shell
    dependencies: [extract_orders]
    trigger_rule: one_failed
    config: {command: "true"}
"""


def test_the_example_of_the_contract_is_read_as_it_says():
    """DEF-01 to DEF-03, DEF-19 to DEF-21, C-47."""
    assert errors(CONTRACT_EXAMPLE, pools={"prod_db": None}) == []
    pipeline = made(CONTRACT_EXAMPLE)
    first, after = pipeline.tasks
    assert (pipeline.id, pipeline.name, pipeline.tags) == ("orders_daily", "Orders, daily", ("sales",))
    assert pipeline.parameters[1].schema == {"minimum": 1}
    assert pipeline.schedule is not None
    assert pipeline.schedule.start_date == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert pipeline.schedule.policy is OverlapPolicy.SKIP_ON_RUNNING
    assert str(pipeline.schedule.blackout[0]) == "22:00-23:30"
    assert pipeline.execution.max_active_runs == 2
    assert first.retry_policy.max_attempts == 5
    assert first.retry_policy.backoff_seconds == 60
    assert first.retry_policy.jitter_type is Jitter.DECORRELATED
    assert first.timeout_seconds == 600
    assert first.on.failure == (Hook(connection="ops_slack", message="..."),)
    assert after.trigger_rule is TriggerRule.ONE_FAILED
    assert (after.name, after.timeout_seconds, after.retry_policy) == ("after", 3600, RetryPolicy())
    assert pipeline.file == "pipelines/x.yaml"


def test_a_stored_document_is_restored_to_an_equal_value():
    """DEF-05: a pinned version means the same for ever, whatever the workspace's defaults are by then."""
    pipeline = made(CONTRACT_EXAMPLE, Defaults(timeout_seconds=99, retry_policy=RetryPolicy(max_attempts=9)))
    stored = json.loads(json.dumps(pipeline.document))
    assert build(stored, pipeline.file) == pipeline
    assert pipeline.tasks[1].timeout_seconds == 99
    assert pipeline.tasks[1].retry_policy.max_attempts == 9


SAME = [
    "id: x\ntasks: [{id: a, type: shell, config: {command: 'true', env: {B: 1, A: 2}}}]",
    "# a comment\ntasks:\n- config: {env: {A: 2, B: 1}, command: 'true'}\n  type: shell\n  id: a\nid: x\nname: x\n",
    """\
id: x
tags: []
execution: {max_active_runs: 1}
on: {failure: []}
tasks:
  - {id: a, name: a, type: shell, dependencies: [], timeout_seconds: 3600.0, trigger_rule: all_success,
     retry_policy: {}, config: {command: 'true', env: {A: 2, B: 1}}}
""",
    """\
id: x
version: 7
retry_policy: {max_attempts: 3}
tasks:
  - {id: a, type: shell, retry_policy: {delay_seconds: 60}, config: {command: 'true', env: {A: 2, B: 1}}}
""",
]


@pytest.mark.parametrize("text", SAME)
def test_what_means_the_same_has_the_same_hash(text):
    assert made(text).hash == made(SAME[0]).hash


@pytest.mark.parametrize(
    "change",
    [
        {"description": "new"},
        {"retries": 1},
        {"schedule": "@daily"},
        {"parameters": {"a": 1}},
        {"execution": {"priority": 1}},
        {"on": {"failure": [{"notify": {"connection": "x"}}]}},
    ],
)
def test_what_means_something_else_has_another_hash(change):
    base = {"id": "x", "tasks": [{"id": "a", "type": "shell", "config": {}}]}
    assert made({**base, **change}).hash != made(base).hash


def test_where_the_file_lies_is_not_part_of_the_hash():
    pipeline = made(SAME[0])
    assert build(pipeline.document, "elsewhere.yaml").hash == pipeline.hash


def test_a_level_replaces_the_keys_it_names():
    """CONTRACT: workspace -> pipeline -> task, key by key."""
    defaults = Defaults(retry_policy=RetryPolicy(max_attempts=9, backoff_seconds=1, max_delay_seconds=7))
    document = {
        "id": "x",
        "retry_policy": {"backoff_seconds": 2, "jitter": "none"},
        "tasks": [
            {"id": "a", "type": "shell"},
            {"id": "b", "type": "shell", "retry_policy": {"max_attempts": 4}},
        ],
    }
    first, second = made(document, defaults).tasks
    assert first.retry_policy == RetryPolicy(
        max_attempts=9, backoff_seconds=2, max_delay_seconds=7, jitter_type=Jitter.NONE
    )
    assert second.retry_policy == RetryPolicy(
        max_attempts=4, backoff_seconds=2, max_delay_seconds=7, jitter_type=Jitter.NONE
    )


@pytest.mark.parametrize(
    ("written", "tries", "delay"),
    [
        ({"retries": 2, "delay_seconds": 300}, 3, 300),
        ({"retries": 2, "retry_delay_minutes": 5}, 3, 300),
        ({"retry_policy": {"retries": 2, "delay_seconds": 300}}, 3, 300),
        ({"retries": 0}, 1, 60),
    ],
)
def test_retries_count_those_after_the_first_try(written, tries, delay):
    """REQUIREMENTS 3.2: the samples' spelling retries everything, at a constant delay."""
    for document in (
        {"id": "x", **written, "tasks": [{"id": "a", "type": "shell"}]},
        {"id": "x", "tasks": [{"id": "a", "type": "shell", **written}]},
    ):
        policy = made(document).tasks[0].retry_policy
        assert (policy.max_attempts, policy.backoff_seconds) == (tries, delay)
        assert policy.retry_on_error_types == ("*",)
        assert policy.exponential_backoff is False


def test_retries_leave_what_is_said_beside_them():
    policy = {"retries": 2, "exponential_backoff": True, "retry_on_error_types": ["network_error"]}
    task = made({"id": "x", "tasks": [{"id": "a", "type": "shell", "retry_policy": policy}]}).tasks[0]
    assert task.retry_policy.exponential_backoff is True
    assert task.retry_policy.retry_on_error_types == ("NetworkError",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NETWORK_ERROR", "NetworkError"),
        ("network", "NetworkError"),
        ("ConnectionError", "NetworkError"),
        ("timeouterror", "TimeoutError"),
        ("TIMEOUT_ERROR", "TimeoutError"),
        ("ResourceExhaustion", "ResourceExhaustion"),
        ("DATA_QUALITY_ERROR", "DataQualityError"),
        ("rate_limited", "RateLimited"),
        ("*", "*"),
        ("Bogus", None),
    ],
)
def test_error_kinds_are_understood_in_the_usual_spellings(name, kind):
    assert error_type(name) == kind


def test_execution_may_carry_the_policy():
    """DEF-20."""
    document = {
        "id": "x",
        "execution": {"retry_policy": {"max_attempts": 2}},
        "tasks": [{"id": "a", "type": "shell"}],
    }
    assert errors(document) == []
    assert made(document).tasks[0].retry_policy.max_attempts == 2


def test_parameters_in_dependencies_are_filled_in():
    """DEF-15."""
    document = {
        "id": "x",
        "parameters": {"source": "shop"},
        "tasks": [
            {"id": "shop_x", "type": "shell"},
            {"id": "b", "type": "shell", "dependencies": ["{{ source }}_x", "{{ gone|shop }}_x"]},
        ],
    }
    assert made(document).tasks[1].dependencies == ("shop_x",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=6,
)
IDS = st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True), min_size=1, max_size=5, unique=True)


def optional(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


POLICY = optional(
    max_attempts=st.integers(1, 9),
    backoff_seconds=st.floats(0, 60),
    exponential_backoff=st.booleans(),
    max_total_seconds=st.none() | st.integers(1, 99),
    jitter_type=st.sampled_from(["none", "full", "decorrelated"]),
    retry_on_error_types=st.lists(st.sampled_from(["*", "NetworkError", "TIMEOUT_ERROR"]), max_size=2),
)
HOOKS = optional(
    failure=st.lists(st.just({"notify": {"connection": "ops_slack", "message": "m"}}), max_size=2),
    success=st.lists(st.just({"notify": {"url": "json://x"}}), max_size=1),
)
TASK = optional(
    name=st.text(min_size=1, max_size=5),
    trigger_rule=st.sampled_from([rule.value for rule in TriggerRule]),
    when=st.booleans(),
    foreach=st.lists(JSON, max_size=2),
    retry_policy=POLICY,
    timeout_seconds=st.integers(1, 86400) | st.floats(1, 86400),
    resources=optional(cpu=st.floats(0, 2), memory_mb=st.integers(0, 1000)),
    on=HOOKS,
    outputs=st.lists(st.text(min_size=1, max_size=3), max_size=2),
    config=st.dictionaries(
        st.sampled_from(["env", "table"]), st.just("x") | st.dictionaries(st.text(), JSON), max_size=0
    ),
)
SCHEDULE = st.sampled_from(
    [
        "@daily",
        {"cron": "*/5 * * * *", "timezone": "Asia/Kolkata", "start_date": "2024-01-01", "end_date": "2024-02-01"},
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    ids = draw(IDS)
    document: dict[str, Any] = {"id": draw(IDS)[0]}
    document.update(
        draw(
            optional(
                name=st.text(min_size=1, max_size=5),
                tags=st.lists(st.text(min_size=1, max_size=3), max_size=2),
                parameters=st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), JSON, max_size=2),
                schedule=SCHEDULE,
                execution=optional(max_active_runs=st.integers(1, 5), timeout_seconds=st.floats(1, 99)),
                retry_policy=POLICY,
                on=HOOKS,
            )
        )
    )
    document["tasks"] = [
        {
            "id": one,
            "type": "shell",
            "dependencies": draw(st.lists(st.sampled_from(ids[:at]), max_size=2) if at else st.just([])),
        }
        | draw(TASK)
        for at, one in enumerate(ids)
    ]
    return document


@given(documents())
def test_document_to_pipeline_to_document(document):
    """A value's document is canonical: it builds the same value, and is its own canonical form."""
    pipeline = made(document)
    again = build(json.loads(json.dumps(pipeline.document)), pipeline.file)
    assert again == pipeline
    assert canonical(pipeline.document, Defaults(timeout_seconds=3600)) == pipeline.document


@given(documents())
def test_what_validates_builds_and_its_canonical_form_validates(document):
    from engine.definitions.check import check_pipeline
    from engine.definitions.problems import Findings
    from tests.definitions.fakes import around

    first, second = Findings(), Findings()
    check_pipeline(document, first, around(Path("/nowhere")))
    if first.failed:
        return
    check_pipeline(made(document).document, second, around(Path("/nowhere")))
    assert not second.failed, second.problems("error")
