"""Runs that fail, are stopped, retried, marked, requeued, through the real command (DLQ-05, DLQ-06, AUD-02)."""

from __future__ import annotations

import json
import signal

from tests.acceptance.workspaces import Workspace, eventually

ADD_UP = (
    "  - {id: a, name: A, type: shell, config: {command: 'exit 3'}}\n"
    "  - {id: b, name: B, type: shell, dependencies: [a], config: {command: 'true'}}"
)
SLOW = "  - {id: slow, name: Slow, type: shell, config: {command: 'echo started; sleep 600'}}"


def failed(workspace: Workspace) -> str:
    workspace.pipeline("sums", ADD_UP)
    said = workspace.penstock("run", "sums", "--json")
    assert said.code == 1, said.err
    assert said.json["state"] == "FAILED"
    return str(said.json["run_id"])


def test_a_failure_is_explained_and_kept(workspace: Workspace) -> None:
    """MET-08, DLQ-03."""
    run_id = failed(workspace)
    assert workspace.task_states() == {"a": "FAILED", "b": "SKIPPED"}
    why = workspace.json("why", "last")
    assert (why["run_id"], why["state"], why["causes"][0]["task_id"]) == (run_id, "FAILED", "a")
    why_a = workspace.json("why", run_id[:-1], "a")
    assert why_a["code"] == "LogicError"
    assert "exit 3" in why_a["sentence"]
    assert any(each["command"] == f"penstock retry {run_id} a" for each in why_a["actions"])
    why_b = workspace.json("why", run_id, "b")
    assert (why_b["code"], why_b["holders"]) == ("UPSTREAM_FAILED", [f"{run_id}/a"])
    (letter,) = workspace.json("dlq")["letters"]
    assert (letter["queue"], letter["status"], letter["kind"], letter["attempts"]) == (
        "permanent",
        "new",
        "LogicError",
        1,
    )
    shown = workspace.json("dlq", "show", letter["id"])["letter"]
    assert shown["config"] == {"command": "exit 3"}
    assert shown["errors"][0]["attempt"] == 1
    history = workspace.json("show", "last", "--history")["tasks"][0]["history"]
    assert [(each["attempt"], each["state"], each["exit_code"]) for each in history] == [(1, "FAILED", 3)]


def test_a_letter_is_requeued_with_an_edit_and_carried_out(workspace: Workspace) -> None:
    run_id = failed(workspace)
    (letter,) = workspace.json("dlq")["letters"]
    near = workspace.penstock("dlq", "requeue", letter["id"], "--set", "config.comand=exit 0")
    assert near.code == 2
    assert "config.command" in near.err
    said = workspace.penstock("dlq", "requeue", letter["id"], "--set", "config.command=exit 0", "--wait", "--json")
    assert said.code == 0, said.err
    assert said.json["touched"]
    assert workspace.run_state(run_id) == "SUCCESS"
    assert workspace.task_states() == {"a": "SUCCESS", "b": "SUCCESS"}
    assert workspace.json("dlq")["letters"] == []
    again = workspace.penstock("dlq", "requeue", letter["id"])
    assert again.code == 2
    actions = {each["action"]: each for each in workspace.json("audit")["entries"]}
    assert actions["letter.requeue"]["actor"] not in ("", "engine")
    assert workspace.json("audit", "--verify")["valid"] is True


def test_a_letter_is_discarded_with_a_reason(workspace: Workspace) -> None:
    failed(workspace)
    (letter,) = workspace.json("dlq")["letters"]
    assert workspace.penstock("dlq", "discard", letter["id"]).code == 2
    assert workspace.penstock("dlq", "discard", letter["id"], "--reason", "withdrawn").code == 0
    assert workspace.json("dlq")["letters"] == []
    assert workspace.json("dlq", "show", letter["id"])["letter"]["status"] == "discarded"
    assert workspace.penstock("dlq", "show", "nosuch").code == 3


def test_a_discard_is_taken_back_while_the_letter_stands_for_its_task(workspace: Workspace) -> None:
    """The twin of the console's undo: audited, and refused where it would mean nothing."""
    failed(workspace)
    (letter,) = workspace.json("dlq")["letters"]
    assert "is not discarded" in workspace.penstock("dlq", "restore", letter["id"]).err
    workspace.penstock("dlq", "discard", letter["id"], "--reason", "withdrawn")
    assert workspace.penstock("dlq", "restore", letter["id"]).code == 0
    assert [each["id"] for each in workspace.json("dlq")["letters"]] == [letter["id"]]
    history = workspace.json("dlq", "show", letter["id"])["letter"]["history"]
    assert [each["action"] for each in history] == ["letter.discard", "letter.restore"]
    assert "letter.restore" in [each["action"] for each in workspace.json("audit")["entries"]]
    workspace.penstock("dlq", "discard", letter["id"], "--reason", "withdrawn again")
    workspace.penstock("retry", "last")
    assert "run again since" in workspace.penstock("dlq", "restore", letter["id"]).err


def test_a_retry_without_an_engine_says_what_is_left_and_an_engine_does_it(workspace: Workspace) -> None:
    run_id = failed(workspace)
    said = workspace.penstock("retry", "last")
    assert said.code == 0
    assert "1 task queued" in said.err
    assert "when an engine runs" in said.err
    why = workspace.json("why", run_id, "a")
    assert why["code"] == "NO_ENGINE"
    assert why["actions"][0]["command"] == "penstock engine"
    assert workspace.penstock("engine", "--drain").code == 0
    assert workspace.run_state(run_id) == "FAILED"
    assert len(workspace.json("show", run_id, "--history")["tasks"][0]["executions"]) == 2


def test_a_mark_lets_the_run_go_on(workspace: Workspace) -> None:
    run_id = failed(workspace)
    assert workspace.penstock("mark", "last", "a", "success").code == 2
    assert workspace.penstock("mark", "last", "nosuch", "success", "--reason", "x").code == 3
    said = workspace.penstock("mark", "last", "a", "success", "--reason", "added up by hand")
    assert said.code == 0
    assert "1 task queued" in said.err
    assert workspace.penstock("engine", "--drain").code == 0
    assert workspace.run_state(run_id) == "SUCCESS"
    assert "added up by hand" in workspace.json("why", run_id, "a")["sentence"]


def test_an_interrupt_cancels_the_run(workspace: Workspace) -> None:
    workspace.pipeline("slow", SLOW)
    with workspace.background("run", "slow", "--json") as process:
        eventually(lambda: "started" in workspace.penstock("logs", "last").out)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
    assert json.loads(out)["state"] == "CANCELLED"
    assert workspace.task_states() == {"slow": "CANCELLED"}


def test_a_detached_run_is_left_to_a_background_engine_and_cancelled(workspace: Workspace) -> None:
    workspace.pipeline("slow", SLOW)
    said = workspace.process("run", "slow", "--detach", "--json")
    assert said.code == 0, said.err
    run_id = said.json["run_id"]
    assert workspace.json("engine", "status")["leads"] is True
    eventually(lambda: "started" in workspace.penstock("logs", run_id, "slow").out)
    assert workspace.json("why", run_id, "slow")["code"] == "RUNNING"
    cancelled = workspace.penstock("cancel", run_id, "--json")
    assert cancelled.code == 0
    assert cancelled.json["touched"]
    eventually(lambda: workspace.run_state(run_id) == "CANCELLED")
    assert workspace.penstock("cancel", run_id).code == 2
    assert workspace.penstock("engine", "stop").code == 0
    assert workspace.json("engine", "status")["leads"] is False


def test_a_run_goes_to_the_engine_that_leads(workspace: Workspace) -> None:
    workspace.pipeline("quick", "  - {id: a, name: A, type: shell, config: {command: 'echo $PPID'}}")
    with workspace.engine():
        said = workspace.penstock("run", "quick", "--json")
        assert (said.code, said.json["state"]) == (0, "SUCCESS")
        assert workspace.json("engine", "status")["scope"] == "engine"
        assert workspace.penstock("engine", "stop").code == 0
    assert workspace.penstock("engine", "stop").code == 0


def test_logs_keep_bytes_on_a_pipe_and_follow_to_the_end(workspace: Workspace) -> None:
    """LOG-10; faults 40 and 41: only a terminal is protected from hostile lines."""
    workspace.pipeline(
        "hostile",
        "  - id: a\n    name: A\n    type: shell\n"
        "    config: {command: \"printf '\\\\033]0;owned\\\\007title\\\\n'; echo two; echo three\"}",
    )
    assert workspace.penstock("run", "hostile").code == 0
    lines = workspace.penstock("logs", "last", "a").out.splitlines()
    assert lines[-3:] == ["\x1b]0;owned\x07title", "two", "three"]
    followed = workspace.penstock("logs", "last", "a", "-f", "--grep", "t", "--json")
    texts = [json.loads(line)["text"] for line in followed.out.splitlines()]
    assert texts[-3:] == ["\x1b]0;owned\x07title", "two", "three"]
    assert workspace.penstock("logs", "last", "a", "--attempt", "2").code == 3
    assert workspace.penstock("logs", "last", "b").code == 3


def test_a_backup_is_restored(workspace: Workspace) -> None:
    failed(workspace)
    copy = workspace.root / "copy.db"
    assert workspace.penstock("backup", str(copy)).code == 0
    assert workspace.penstock("backup", str(copy)).code == 2
    workspace.pipeline("later", "  - {id: a, name: A, type: shell, config: {command: 'true'}}")
    assert workspace.penstock("run", "later").code == 0
    assert len(workspace.json("runs")["runs"]) == 2
    assert workspace.penstock("restore", str(copy)).code == 2  # nobody to ask
    assert workspace.penstock("restore", str(copy), "--yes").code == 0
    assert [run["pipeline_id"] for run in workspace.json("runs")["runs"]] == ["sums"]
    assert workspace.penstock("restore", str(workspace.root / "nosuch.db"), "--yes").code == 3
    assert workspace.penstock("run", "later").code == 0


def test_a_schedule_is_paused_and_resumed_with_its_consequence(workspace: Workspace) -> None:
    """SCH-10."""
    task = "  - {id: a, name: A, type: shell, config: {command: 'true'}}"
    workspace.pipeline("daily", task, 'schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}')
    workspace.pipeline("plain", task)
    fires = workspace.json("schedule", "next", "daily", "-n", "400")["fires"]
    assert len(fires) == 400
    assert any(each["note"] for each in fires)
    assert workspace.penstock("schedule", "pause", "daily").code == 2
    assert workspace.penstock("schedule", "pause", "plain", "--reason", "x").code == 2
    assert workspace.penstock("schedule", "pause", "dialy", "--reason", "x").code == 3
    assert workspace.penstock("schedule", "pause", "daily", "--reason", "source is down").code == 0
    (row,) = workspace.json("schedule")["schedules"]
    assert (row["paused"], row["pause_reason"], row["next_fire"]) == (True, "source is down", None)
    resumed = workspace.penstock("schedule", "resume", "daily")
    assert resumed.code == 0
    assert "fires nothing at once" in resumed.err
    (row,) = workspace.json("schedule")["schedules"]
    assert row["paused"] is False
    assert row["next_fire"]


def test_a_partial_run_runs_what_was_selected(workspace: Workspace) -> None:
    """GRA-12."""
    tasks = "\n".join(
        f"  - {{id: {each}, name: N, type: shell, dependencies: [{above}], config: {{command: 'true'}}}}"
        for each, above in (("a", ""), ("b", "a"), ("c", "b"))
    )
    workspace.pipeline("chain", tasks)
    ran = workspace.json("run", "chain", "--from", "b")
    assert [(task["id"], task["state"]) for task in ran["tasks"]] == [("b", "SUCCESS"), ("c", "SUCCESS")]
    assert workspace.penstock("run", "chain", "--from", "c", "--until", "a").code == 2


def test_a_graph_of_a_run_shows_its_states(workspace: Workspace) -> None:
    failed(workspace)
    assert workspace.penstock("graph", "sums", "--run", "last").out.strip() == "✗ a ─▸ ⊘ b"
    assert "<svg" in workspace.penstock("graph", "--run", "last", "-f", "svg").out
    assert workspace.json("graph", "sums", "--run", "last")["nodes"][0]["id"] == "a"


def test_items_of_a_mapped_task_are_named_one_by_one(workspace: Workspace) -> None:
    workspace.write("lists.py", "def numbers(ctx):\n    return {'found': [0, 1, 2]}\n")
    workspace.pipeline(
        "mapped",
        "  - {id: list, name: L, type: python, config: {callable: 'lists:numbers'}}\n"
        "  - id: each\n    name: E\n    type: shell\n    dependencies: [list]\n"
        "    foreach: '{{ upstream.list.found }}'\n"
        "    config: {command: 'echo item {{ item }}; test {{ item }} != 1'}",
    )
    ran = workspace.penstock("run", "mapped", "--json")
    assert ran.code == 1
    states = [(task["map_index"], task["state"]) for task in ran.json["tasks"] if task["id"] == "each"]
    assert states == [(0, "SUCCESS"), (1, "FAILED"), (2, "SUCCESS")]
    assert workspace.json("why", "last", "each")["map_index"] == 1
    assert workspace.penstock("logs", "last", "each[2]").out == "item 2\n"
    assert "each[1] | item 1" in workspace.penstock("logs", "last").out
    assert workspace.penstock("why", "last", "each[7]").code == 3
    again = workspace.json("retry", "last", "each[1]")
    assert [each.rpartition("/")[2] for each in again["touched"]] == ["each[1]"]
    assert "each[1]" in workspace.penstock("show", "last").out
    assert "each 2/3" in workspace.penstock("graph", "--run", "last").out


def test_a_run_that_is_told_to_end_gives_the_lease_back_and_cancels_nothing(workspace: Workspace) -> None:
    flag = workspace.root / "go"
    workspace.pipeline(
        "patient",
        f"  - {{id: a, name: A, type: shell, config: {{command: 'echo began; test -e {flag} || sleep 600'}}}}",
    )
    with workspace.background("run", "patient") as process:
        eventually(lambda: "began" in workspace.penstock("logs", "last").out)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
    assert "goes on when an engine runs" in err
    assert workspace.json("engine", "status")["leads"] is False
    assert workspace.run_state() == "RUNNING"
    flag.touch()
    assert workspace.penstock("engine", "--drain").code == 0
    assert workspace.run_state() == "SUCCESS"
    (task,) = workspace.json("show", "last", "--history")["tasks"]
    assert [each["state"] for each in task["history"]] == ["LOST", "SUCCESS"]
