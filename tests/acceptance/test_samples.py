"""The workspace that `make run` opens, in a copy of its own: every sample runs and ends as it says it will."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tests.acceptance.conftest import SAMPLES
from tests.acceptance.conftest import SOURCE as ROOT
from tests.acceptance.workspaces import Workspace

PIPELINES = sorted(yaml.safe_load((SAMPLES / "expected.yaml").read_text(encoding="utf-8")))


@pytest.mark.timeout(240)
def test_every_sample_ends_as_expected_and_has_a_line(samples: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "checks" / "samples.py"), str(samples.root)],
        env=samples.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    ended = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")}
    assert ended == set(PIPELINES) - {"supplier_order"}
    assert {run["pipeline_id"] for run in samples.json("runs")["runs"]} == set(PIPELINES)


def test_nothing_in_the_samples_is_an_error_or_a_warning(samples: Workspace) -> None:
    said = samples.penstock("validate", "--json")
    assert said.code == 0
    assert [each["id"] for each in said.json["pipelines"]] == PIPELINES
    assert {str(each["errors"] + each["warnings"]) for each in said.json["pipelines"]} == {"[]"}


def test_every_sample_can_be_drawn_and_planned(samples: Workspace) -> None:
    for pipeline in PIPELINES:
        assert samples.penstock("graph", pipeline).out.strip(), pipeline
        levels = samples.json("plan", pipeline)["levels"]
        drawn = samples.json("graph", pipeline)["nodes"]
        assert len(drawn) == sum(len(level) for level in levels), pipeline


def test_the_slow_side_of_the_diamond_is_its_critical_path_once_it_has_run(samples: Workspace) -> None:
    """GRA: by historical medians."""
    assert samples.penstock("run", "finance_close").code == 0
    path = samples.json("plan", "finance_close")["critical_path"]
    assert path[:3] == ["freeze_ledger", "post_invoices", "age_receivables"]


def test_one_edit_of_the_dead_letter_makes_the_run_green(samples: Workspace) -> None:
    assert samples.penstock("run", "till_takings").code == 1
    before = samples.task_states()
    assert (before["load_gdansk"], before["sum_up"], before["load_oslo"]) == ("FAILED", "SKIPPED", "SUCCESS")
    (letter,) = samples.json("dlq")["letters"]
    assert (letter["queue"], letter["task_id"]) == ("data_quality", "load_gdansk")
    again = samples.penstock("dlq", "requeue", letter["id"], "--set", "config.args.bad_rows=skip", "--wait")
    assert again.code == 0, again.err
    assert samples.run_state() == "SUCCESS"
    assert samples.task_states()["sum_up"] == "SUCCESS"
    assert samples.json("dlq")["letters"] == []


def test_the_long_one_goes_on_from_its_checkpoint_after_its_process_is_killed(samples: Workspace) -> None:
    """CKP: what a checkpoint covers is not done again."""
    module = samples.root / "loads" / "search.py"
    text = module.read_text(encoding="utf-8")
    saved = '        ctx.checkpoint.save({"done": done})\n'
    kill = "        if ctx.attempt == 1 and done >= 2000:\n            os.kill(os.getpid(), signal.SIGKILL)\n"
    assert text.count(saved) == 1
    module.write_text("import os\nimport signal\n" + text.replace(saved, saved + kill), encoding="utf-8")
    arguments = ("run", "product_index", "-p", "products=4000")
    rebuild = {task["id"]: task for task in samples.json(*arguments)["tasks"]}["rebuild"]
    assert (rebuild["state"], rebuild["attempts"]) == ("SUCCESS", 2)
    assert rebuild["outputs"] == {"indexed": 4000, "began_at": 2000}
