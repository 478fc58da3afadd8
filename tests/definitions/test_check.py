"""Validation: every problem at once, with its place and the near spelling (VAL-01 to VAL-15)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.definitions.fakes import check, errors

ALL_WRONG = """\
id: bad pipeline
schedule: {cron: "0 99 * * *", timezone: Europe/Berln, start_date: 2024-13-01}
parameters: {region: eu, limit: {type: integr, default: 3}}
on: {failure: [{notify: {connection: ops_slak, message: "{{ x"}}]}
retries: 2
retry_policy: {max_attempts: 3, retry_on_error_types: [NETWORK_ERROR, Timeot]}
tasks:
  - {id: a, type: shel, config: {}}
  - {id: a, type: shell, config: {comand: x}}
  - id: b
    type: shell
    dependencies: [c, aa, b]
    config: {command: "{{ regoin }} {{ upstream.zz }}"}
  - {id: c, type: python, dependencies: [b], config: {callable: foo}, pool: dbb}
  - {id: d, type: kafka}
  - {id: e, type: notify, config: {connection: ops_slac}}
  - {id: f, type: sensor, timeout_seconds: 100000, trigger_rule: all_sucess, config: {interval_seconds: -1}}
  - 17
trigers: []
"""


def test_everything_that_is_wrong_is_told_at_once_with_place_and_spelling():
    """VAL-01, VAL-11: levels from structure to task types; none hides another."""
    found = {(problem.path, problem.line, problem.suggestion) for problem in errors(ALL_WRONG, pools={"db": None})}
    expected = {
        ("id", 1, None),
        ("schedule.cron", 2, None),
        ("schedule.timezone", 2, "Europe/Berlin"),
        ("schedule.start_date", 2, None),
        ("parameters.limit.type", 3, "integer"),
        ("on.failure[0].notify.connection", 4, "ops_slack"),
        ("on.failure[0].notify.message", 4, None),
        ("", 1, None),  # max_attempts and retries
        ("retry_policy.retry_on_error_types[1]", 6, "TimeoutError"),
        ("tasks[0].type", 8, "shell"),
        ("tasks[1].id", 9, None),
        ("tasks[1].config.comand", 9, "command"),
        ("tasks[2].dependencies[1]", 12, "a"),
        ("tasks[2].dependencies[2]", 12, "remove it"),
        ("tasks[2].config.command", 13, "region"),
        ("tasks[2].config.command", 13, None),  # upstream.zz
        ("tasks[3].config.callable", 14, None),
        ("tasks[3].pool", 14, "db"),
        ("tasks[5].config.connection", 16, "ops_slack"),
        ("tasks[6].timeout_seconds", 17, None),
        ("tasks[6].trigger_rule", 17, "all_success"),
        ("tasks[6].config.interval_seconds", 17, None),
        ("tasks[6].config", 17, None),  # give one of: file, http
        ("tasks[7]", 18, None),
    }
    assert expected <= found, expected - found
    circle = [one for one in found if one[0] == "tasks[2].dependencies"]
    assert circle, "the circle b -> c -> b"
    assert ("tasks[4].type", 15) in {one[:2] for one in found}
    assert any(path == "trigers" for path, _, _ in found)


def test_a_good_pipeline_has_nothing_to_tell():
    text = """\
id: good
parameters: {region: eu, limit: {type: integer, default: 1, minimum: 1}}
schedule: {cron: "0 2 * * *", timezone: Europe/Berlin}
tasks:
  - {id: list-files, type: python, config: {callable: "m:f", args: {n: "{{ limit }}"}}}
  - id: each
    type: shell
    dependencies: [list-files]
    foreach: "{{ upstream['list-files'].files }}"
    when: "{{ region != 'none' }}"
    config: {command: "load {{ item }} {{ ds }} {{ env.HOME }} {{ params.region }} {{ suffix|none }}"}
"""
    findings = check(text)
    assert [*findings.problems("error"), *findings.problems("warning"), *findings.problems("suggestion")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[]", "found a list"),
        ("hello", "found a string"),
        ("id: x", "'tasks' is missing"),
        ("tasks: [{id: a, type: shell}]", "'id' is missing"),
        ("id: x\ntasks: []", "a list of at least 1"),
        ("id: x\ntasks: {a: 1}", "expected a list"),
        ("id: x\ntasks: [{type: shell}]", "'id' is missing"),
        ("id: x\ntasks: [{id: a}]", "'type' is missing"),
        ("id: x\nname: ''\ntasks: [{id: a, type: shell}]", "text that is not empty"),
    ],
)
def test_what_is_no_pipeline_is_told(text, words):
    assert any(words in problem.message for problem in errors(text)), errors(text)


@pytest.mark.parametrize("bad", ["a b", "a.b", "ä", "", "x" * 201, "a/b", "a\n"])
def test_ids_are_letters_digits_underscore_and_dash(bad):
    """DEF-08, C-10."""
    document = {"id": bad, "tasks": [{"id": bad, "type": "shell"}]}
    assert {"id", "tasks[0].id"} <= {problem.path for problem in errors(document)}


def test_duplicate_ids_are_listed():
    """VAL-02."""
    document = {"id": "x", "tasks": [{"id": name, "type": "shell"} for name in "abacab"]}
    messages = [problem.message for problem in errors(document)]
    assert any("'a' is used 3 times (tasks[0], tasks[2], tasks[4])" in message for message in messages)
    assert any("'b' is used 2 times" in message for message in messages)


def _chain(**dependencies: list[str]) -> dict[str, object]:
    return {
        "id": "x",
        "tasks": [{"id": task, "type": "shell", "dependencies": ups} for task, ups in dependencies.items()],
    }


def test_a_circle_is_told_with_its_path_and_those_behind_it_with_a_warning():
    """VAL-04, VAL-05."""
    findings = check(_chain(a=["c"], b=["a"], c=["b"], behind=["c"], free=[]))
    (circle,) = findings.problems("error")
    assert "a -> b -> c -> a" in circle.message
    (orphan,) = findings.problems("warning")
    assert "'behind' can never start" in orphan.message


def test_every_circle_is_told():
    found = errors(_chain(a=["b"], b=["a"], c=["d"], d=["c"]))
    assert {"a -> b -> a", "c -> d -> c"} == {problem.message.split(": ")[1].split(";")[0] for problem in found}


def test_large_graphs_with_circles_are_answered():
    """VAL-04: validation terminates, and one mistake made ten thousand times is told a bounded number of times."""
    tasks = [{"id": f"t{n}", "type": "shell", "dependencies": [f"t{(n + 1) % 5000}"]} for n in range(5000)]
    assert any("wait for each other" in problem.message for problem in _errors_of({"id": "x", "tasks": tasks}))
    tasks = [{"id": f"t{n}", "type": "shell", "dependencies": [f"gone{n}"]} for n in range(10_000)]
    assert len(_errors_of({"id": "x", "tasks": tasks})) <= 1001


def _errors_of(document: dict[str, object]) -> tuple[object, ...]:
    from engine.definitions.check import check_pipeline
    from engine.definitions.problems import Findings
    from tests.definitions.fakes import around

    findings = Findings("x")
    check_pipeline(document, findings, around(Path("/nowhere")))
    return findings.problems("error")


def test_upstream_names_a_dependency():
    """VAL-10: outputs reach direct dependants."""
    document = {
        "id": "x",
        "tasks": [
            {"id": "a", "type": "shell"},
            {"id": "b", "type": "shell", "dependencies": ["a"], "config": {"command": "{{ upstream.a.x }}"}},
            {"id": "c", "type": "shell", "dependencies": ["b"], "config": {"command": "{{ upstream.a.x }}"}},
        ],
    }
    (problem,) = errors(document)
    assert problem.path == "tasks[2].config.command"
    assert problem.suggestion == "add 'a' to its dependencies"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ nobody }}", "'nobody' is not known"),
        ("{{ params.limt }}", "did you mean 'limit'"),
        ("{{ item }}", "foreach"),
        ("{{ upstream.list-files.x }}", "upstream['list-files']"),
        ("{{ limit", "no valid template"),
        ("{{ limit|bogus(1) }}", "no valid template"),
    ],
)
def test_references_are_verified(template, words):
    """VAL-10."""
    document = {
        "id": "x",
        "parameters": {"limit": 1},
        "tasks": [
            {"id": "list-files", "type": "shell"},
            {"id": "t", "type": "shell", "dependencies": ["list-files"], "config": {"command": template}},
        ],
    }
    assert any(words in problem.message for problem in errors(document)), errors(document)


def test_a_filter_misspelt_as_a_default_is_suggested():
    text = 'id: x\nparameters: {r: eu}\ntasks: [{id: a, type: shell, config: {command: "{{ r|uper }}"}}]'
    (problem,) = check(text).problems("suggestion")
    assert problem.suggestion == "upper"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("kafka", "batches"),
        ("streaming", "batches"),
        ("ml_training", "MLflow"),
        ("visual_flow", "YAML or Python"),
        ("transform", "'python' or 'shell'"),
        ("docker", "docker"),
    ],
)
def test_ideas_that_are_not_carried_are_refused_with_the_alternative(kind, words):
    """VAL-15."""
    (problem,) = errors({"id": "x", "tasks": [{"id": "a", "type": kind}]})
    assert "not in this version" in problem.message
    assert words in problem.message


def test_a_type_known_elsewhere_by_another_name_is_translated():
    (problem,) = errors({"id": "x", "tasks": [{"id": "a", "type": "bash"}]})
    assert problem.suggestion == "shell"


@pytest.mark.parametrize(
    ("key", "value"),
    [("triggers", [{"type": "FILE_ARRIVAL"}]), ("streaming", True), ("connections", {}), ("canvas", {})],
)
def test_keys_that_are_not_carried_are_refused(key, value):
    (problem,) = errors({"id": "x", key: value, "tasks": [{"id": "a", "type": "shell"}]})
    assert problem.path == key
    assert "not in this version" in problem.message


def test_a_trigger_list_as_schedule_is_refused():
    (problem,) = errors({"id": "x", "schedule": [{"type": "FILE"}], "tasks": [{"id": "a", "type": "shell"}]})
    assert "not in this version" in problem.message


def test_words_of_other_tools_are_translated():
    (problem,) = errors({"id": "x", "tasks": [{"id": "a", "type": "shell", "depends_on": []}]})
    assert problem.suggestion == "dependencies"


@pytest.mark.parametrize(
    ("seconds", "fine"), [(1, True), (86400, True), (0, False), (-1, False), (86401, False), ("60", False)]
)
def test_timeouts_lie_between_a_second_and_a_day(seconds, fine):
    """VAL-06, C-08."""
    found = errors({"id": "x", "tasks": [{"id": "a", "type": "shell", "timeout_seconds": seconds}]})
    assert (found == []) is fine


@pytest.mark.parametrize(
    "policy",
    [
        {"max_attempts": 0},
        {"backoff_seconds": -1},
        {"jitter_type": "some"},
        {"retry_on_error_types": ["Nonsense"]},
        {"max_attempts": 3, "retries": 2},
        {"jitter": "none", "jitter_type": "none"},
        {"backoff_seconds": 1, "delay_seconds": 1},
        {"atempts": 3},
    ],
)
def test_retry_policies_are_sane(policy):
    """VAL-06, REQUIREMENTS 3.2."""
    assert errors({"id": "x", "tasks": [{"id": "a", "type": "shell", "retry_policy": policy}]})
    assert errors({"id": "x", "retry_policy": policy, "tasks": [{"id": "a", "type": "shell"}]})


def test_a_request_beyond_the_machine_is_a_warning():
    """VAL-09."""
    findings = check(
        {"id": "x", "tasks": [{"id": "a", "type": "shell", "resources": {"cpu": 3, "memory_mb": 1001}}]}
    )
    assert not findings.failed
    assert [problem.path for problem in findings.problems("warning")] == [
        "tasks[0].resources.cpu",
        "tasks[0].resources.memory_mb",
    ]


def test_version_and_created_at_are_not_silently_ignored():
    findings = check({"id": "x", "version": 3, "created_at": "2024-01-01", "tasks": [{"id": "a", "type": "shell"}]})
    assert not findings.failed
    assert {problem.path for problem in findings.problems("warning")} == {"created_at", "version"}


def test_a_scheduled_pipeline_needs_a_value_for_every_parameter():
    document = {
        "id": "x",
        "parameters": {"day": {"type": "date"}},
        "schedule": "@daily",
        "tasks": [{"id": "a", "type": "shell"}],
    }
    assert [problem.path for problem in errors(document)] == ["parameters.day"]
    document["schedule"] = {"cron": "@daily", "parameters": {"day": "2024-01-01"}}
    assert errors(document) == []
    document["schedule"] = {"cron": "@daily", "parameters": {"day": "soon", "dy": 1}}
    assert {problem.path for problem in errors(document)} == {"schedule.parameters.day", "schedule.parameters.dy"}


@pytest.mark.parametrize(
    "schedule",
    [
        "61 * * * *",
        "@dayly",
        "* * *",
        {"cron": "@daily", "timezone": "Mars/Base"},
        {"cron": "@daily", "start_date": "soon"},
        {"cron": "@daily", "start_date": "2024-02-01", "end_date": "2024-01-01"},
        {"cron": "@daily", "blackout": [{"from": "24:00", "to": "01:00"}]},
        {"cron": "@daily", "policy": "SKIP"},
        {"cron": "@daily", "batch_window": "daily"},
        {"cron": "@daily", "cron_expression": "@daily"},
        {"timezone": "UTC"},
        7,
    ],
)
def test_schedules_are_checked_when_they_are_read(schedule):
    """VAL-07."""
    assert errors({"id": "x", "schedule": schedule, "tasks": [{"id": "a", "type": "shell"}]})


def test_dependencies_may_carry_parameters_by_name():
    """DEF-15."""
    document = {
        "id": "x",
        "parameters": {"source": "shop"},
        "tasks": [
            {"id": "shop_extract", "type": "shell"},
            {"id": "b", "type": "shell", "dependencies": ["{{ source }}_extract"]},
        ],
    }
    assert errors(document) == []
    document["tasks"][1]["dependencies"] = ["{{ nobody }}_extract"]
    assert [problem.path for problem in errors(document)] == ["tasks[1].dependencies[0]"]


def test_hostile_names_are_spelled_out_in_messages():
    found = errors({"id": "x", "\x1b]0;gone\x07": 1, "tasks": [{"id": "a", "type": "\u202eevil"}]})
    text = "".join(problem.message + problem.path for problem in found)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_name_of_a_megabyte_costs_no_spelling_search():
    (problem,) = errors({"id": "x", "tasks": [{"id": "a", "type": "s" * 500_000}]})
    assert len(problem.message) < 300
