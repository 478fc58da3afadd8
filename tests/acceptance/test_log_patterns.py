"""`penstock logs --patterns` and `--around-error` on real runs (LOG-02, LOG-06)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from tests.acceptance.workspaces import Workspace

CODE = """
def work(ctx):
    ctx.log.info("begin")
    for n in range(3):
        ctx.log.error("row %d is bad", n)
    raise ValueError("no more")
"""
TASKS = (
    "  - {id: quiet, type: shell, config: {command: 'echo beside'}}\n"
    "  - {id: noisy, type: python, dependencies: [quiet], config: {callable: 'work:work'}}\n"
    "  - {id: mute, type: shell, dependencies: [quiet], config: {command: 'exit 4'}}"
)


def test_patterns_and_the_surroundings_of_an_error(workspace: Workspace) -> None:
    workspace.write("work.py", CODE)
    workspace.pipeline("work", TASKS)
    assert workspace.penstock("run", "work").code == 1
    told = workspace.json("logs", "last", "--patterns")
    seen = {(each["pattern"], each["task_id"]): each for each in told["patterns"]}
    assert seen["repeated_error", "noisy"]["count"] == 3 and not told["cut"] and told["lines"] > 4
    assert ("error_without_trace", "mute") in seen and ("error_without_trace", "noisy") not in seen
    assert "repeated error" in workspace.penstock("logs", "last", "--patterns").out
    assert workspace.json("logs", "last", "quiet", "--patterns")["patterns"] == []

    said = workspace.penstock("logs", "last", "noisy", "--around-error", "--context", "1h", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {"quiet", "noisy"} <= {each["task_id"] for each in lines}
    moments = [datetime.fromisoformat(each["at"]) for each in lines]
    assert moments == sorted(moments)
    near = workspace.penstock("logs", "last", "noisy", "--around-error", "--context", "0s", "--json")
    own = [datetime.fromisoformat(json.loads(line)["at"]) for line in near.out.splitlines()]
    assert own and max(own) - min(own) < timedelta(seconds=1) and len(own) <= len(lines)
    shown = workspace.penstock("logs", "last", "--around-error")
    assert shown.code == 0 and shown.err.startswith("Around the ") and "| beside" in shown.out


def test_what_does_not_go_together_is_refused(workspace: Workspace) -> None:
    workspace.pipeline("well", "  - {id: a, type: shell, config: {command: 'echo well'}}")
    assert workspace.penstock("run", "well").code == 0
    nothing = workspace.penstock("logs", "last", "--around-error")
    assert nothing.code == 3 and "nothing failed" in nothing.err
    assert "Nothing stands out in" in workspace.penstock("logs", "last", "--patterns").err
    assert workspace.penstock("logs", "last", "--patterns", "-f").code == 2
    assert workspace.penstock("logs", "last", "--patterns", "--around-error").code == 2
    assert workspace.penstock("logs", "last", "--gap", "5s").code == 2
    assert workspace.penstock("logs", "last", "--context", "5s").code == 2
    assert workspace.penstock("logs", "last", "--patterns", "--gap", "soon").code == 2
