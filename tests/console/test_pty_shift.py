"""A night shift at 80x24 by keys alone: the real command on a real terminal, with the engine it starts itself."""

from __future__ import annotations

from pathlib import Path

from engine.model.run import RunState
from tests.console.conftest import HostKeeper
from tests.console.ptyplay import console, eventually, one_by_one, persist, workspace

ORDERS = """\
id: orders
name: Orders
parameters:
  region: {type: string, default: nroth}
tasks:
  - {id: extract, name: Extract, type: shell, config: {command: "echo 3 orders"}}
  - id: load
    name: Load
    type: shell
    dependencies: [extract]
    config:
      command: |
        echo "loading {{ params.region }}"
        if [ "{{ params.region }}" = north ]; then echo loaded; else echo "ERROR: no such region" >&2; exit 3; fi
  - {id: publish, name: Publish, type: shell, dependencies: [load], config: {command: "echo published"}}
"""


def test_a_failed_run_is_found_read_and_its_dead_letter_edited_until_the_run_is_green(tmp_path: Path) -> None:
    """CON-03, DLQ-06: failure, reason, log, letter, form, preview, green; and the terminal is as it was."""
    root = tmp_path / "shop"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\nlinger: 1\ndefaults: {retry_policy: {max_attempts: 1}}\n")
    (root / "pipelines" / "orders.yaml").write_text(ORDERS)
    with workspace(root) as opened:
        run_id = HostKeeper(opened).run("orders")
        assert opened.client.run(run_id).state is RunState.FAILED
        with console(root) as line:
            line.until(lambda: "FAILED" in line.text and "orders" in line.text and "◉ engine" in line.text)
            line.press("enter")  # the first thing that needs somebody is under the cursor
            line.until(lambda: "Runs › orders" in line.text and "load" in line.text)
            line.press("w")
            line.until(lambda: "› Why" in line.text and "exit 3" in line.text)
            line.press("l")
            line.until(lambda: "no such region" in line.text and "loading nroth" in line.text)
            line.press(":dlq", "enter")
            line.until(lambda: "Dead letters" in line.text and "orders/load" in line.text)
            line.press("e")
            line.until(lambda: "nroth" in line.text and "[ Preview ]" in line.text)
            one_by_one(line, "home", "ctrl+k", "north", "tab", "tab", "right")
            persist(line, "enter", lambda: "Requeue 1 letter" in line.text and "decided again" in line.text)
            assert "was nroth" in line.text and "publish" in line.text
            one_by_one(line, "right")
            persist(line, "enter", lambda: "[ Cancel ]" not in line.text)
            eventually(lambda: opened.client.run(run_id).state is RunState.SUCCESS, line)
            line.press(f":run {run_id}", "enter")
            line.until(lambda: "✓ load" in line.text and "✓ publish" in line.text and "SUCCESS" in line.text)
            assert line.screen.strange == []
            line.press("ctrl+q")
            assert line.wait() == 0
            assert line.restored() == {}
