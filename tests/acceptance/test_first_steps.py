"""From an empty folder to a run that succeeded, through the real command (CONTRACT, command line)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.acceptance.workspaces import Workspace, made_in

TASK_KEYS = {
    "id",
    "map_index",
    "state",
    "reason",
    "attempts",
    "started_at",
    "completed_at",
    "error",
    "metrics",
    "outputs",
}
RUN_KEYS = {
    "run_id", "pipeline_id", "version", "state", "triggered_by", "logical_date", "triggered_at", "started_at",
    "completed_at", "parameters", "tasks",
}  # fmt: skip


def test_init_makes_a_workspace_whose_pipeline_runs(tmp_path: Path) -> None:
    outside = made_in(tmp_path / "elsewhere")
    made = outside.process("init", str(tmp_path / "shop"))
    assert made.code == 0
    assert "penstock run hello" in made.out
    shop = Workspace(tmp_path / "shop", outside.environment)
    assert shop.penstock("validate").code == 0
    ran = shop.process("run", "hello", "-p", "name=you", "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json) >= RUN_KEYS
    assert ran.json["state"] == "SUCCESS"
    assert ran.json["parameters"] == {"name": "you"}
    tasks = {task["id"]: task for task in ran.json["tasks"]}
    assert all(set(task) >= TASK_KEYS for task in tasks.values())
    assert tasks["greet"]["outputs"]["greeting"].startswith("Hello, you, from")
    assert "Hello, you, from" in shop.penstock("logs", "last", "done").out
    assert ".penstock/" in (shop.root / ".gitignore").read_text()


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    first = made_in(tmp_path / "ws")
    settings = (first.root / "penstock.yaml").read_text()
    refused = first.penstock("init")
    assert refused.code == 2
    assert "already" in refused.err
    assert (first.root / "penstock.yaml").read_text() == settings
    assert not (first.root / "pipelines").exists()


def test_reading_an_untouched_workspace_answers_empty_and_creates_nothing(workspace: Workspace) -> None:
    workspace.pipeline("one", "  - {id: a, name: A, type: shell, config: {command: 'true'}}")
    before = sorted(os.listdir(workspace.root))
    assert workspace.json("runs") == {"runs": [], "next": None}
    assert workspace.json("dlq")["letters"] == []
    assert workspace.json("schedule")["schedules"] == []
    assert workspace.json("connections")["connections"] == []
    assert workspace.json("audit")["entries"] == []
    assert workspace.json("audit", "--verify")["valid"] is True
    assert workspace.json("engine", "status")["leads"] is False
    assert workspace.penstock("show", "last").code == 3
    assert workspace.penstock("why", "last").code == 3
    assert workspace.penstock("plan", "one").code == 0
    assert workspace.penstock("graph", "one").code == 0
    assert sorted(os.listdir(workspace.root)) == before


def test_outside_a_workspace_it_says_what_to_do(tmp_path: Path, workspace: Workspace) -> None:
    said = workspace.process("runs", cwd=tmp_path)
    assert said.code == 3
    assert "penstock init" in said.err
    assert workspace.process("-w", str(workspace.root), "runs", cwd=tmp_path).code == 0
    assert workspace.process("runs", "-w", str(workspace.root), cwd=tmp_path).code == 0


def test_validate_tells_every_problem_with_file_line_and_spelling(workspace: Workspace) -> None:
    workspace.pipeline("good", "  - {id: a, name: A, type: shell, config: {command: 'true'}}")
    workspace.pipeline("bad", "  - {id: a, name: A, type: shel, config: {command: 'true'}}\n  - {id: b, nme: B}")
    said = workspace.penstock("validate", "--json")
    assert said.code == 1
    assert said.json["valid"] is False
    bad = next(each for each in said.json["pipelines"] if each["id"] == "bad")
    assert bad["file"] == "pipelines/bad.yaml"
    assert len(bad["errors"]) >= 2
    assert all(each["line"] and each["path"] and each["message"] for each in bad["errors"])
    assert any("shell" in str(each["suggestion"]) + each["message"] for each in bad["errors"])
    only_good = workspace.process("validate", "pipelines/good.yaml", "--json")
    assert (only_good.code, only_good.json["valid"]) == (0, True)
    assert workspace.penstock("run", "bad").code == 2
    assert workspace.penstock("plan", "bad").code == 2


def test_a_plan_renders_what_can_be_known_and_lists_the_rest(workspace: Workspace) -> None:
    workspace.pipeline(
        "daily",
        "  - {id: a, name: A, type: shell, config: {command: 'echo {{ ds }} {{ region }}'}}\n"
        "  - {id: b, name: B, type: shell, dependencies: [a],"
        " config: {command: 'echo {{ upstream.a.n }} {{ run_id }}'}}",
        "parameters: {region: eu}",
    )
    plan = workspace.json("plan", "daily", "-p", "region=us", "--logical-date", "2024-02-29")
    assert plan["levels"] == [["a"], ["b"]]
    assert plan["critical_path"] == ["a", "b"]
    first, second = plan["tasks"]
    assert first["config"]["command"] == "echo 2024-02-29 us"
    assert first["unresolved"] == []
    assert second["config"]["command"] == "echo {{ upstream.a.n }} {{ run_id }}"
    assert len(second["unresolved"]) == 1


def test_parameters_are_checked_before_anything_runs(workspace: Workspace) -> None:
    workspace.pipeline(
        "typed",
        "  - {id: a, name: A, type: shell, config: {command: 'true'}}",
        "parameters: {region: eu, limit: {type: integer, default: 5, minimum: 1}}",
    )
    for wrong, near in (("limt=3", "limit"), ("limit=many", "limit"), ("limit=0", "limit"), ("region=5", "region")):
        said = workspace.penstock("run", "typed", "-p", wrong)
        assert said.code == 2, wrong
        assert near in said.err
    assert not (workspace.root / ".penstock").exists()
    assert workspace.penstock("run", "typed", "--only", "b").code == 3
    assert workspace.penstock("run", "typd").code == 3
