"""Fixtures of the console's tests: a workspace whose runs really ran, an engine in this process, pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from engine.bootstrap.host import Host, host
from engine.bootstrap.workspace import Workspace, engine_leads, open_workspace

HOSTILE = (
    "\\033]0;owned\\007\\033[31mred\\033]52;c;b3duZWQ=\\007 \\302\\233 \\342\\200\\256flip [bold]markup[/bold]"
)
SHOP = f"""\
id: shop
name: Shop
parameters:
  region: {{type: string, default: north}}
tasks:
  - {{id: start, name: Start, type: shell, config: {{command: "echo started"}}}}
  - {{id: good, name: Good, type: shell, dependencies: [start], config: {{command: "seq -f 'line %g' 3"}}}}
  - id: bad
    name: Bad
    type: shell
    dependencies: [start]
    config: {{command: 'printf "{HOSTILE}\\n" >&2; test -e fixed'}}
  - {{id: after, name: After, type: shell, dependencies: [bad], config: {{command: "echo after"}}}}
"""
SLOW = """\
id: slow
name: Slow
tasks:
  - id: wait
    name: Wait
    type: shell
    config: {command: "echo waiting; while ! test -e go; do sleep 0.05; done; echo went"}
  - {id: then, name: Then, type: shell, dependencies: [wait], config: {command: "echo then"}}
"""


class HostKeeper:
    """console.session.EngineKeeper with the engine on a thread of this process."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.engine: Host | None = None

    def open_client(self) -> Any:
        return self.workspace.client

    def leader(self) -> Any:
        return engine_leads(self.workspace)

    def start(self) -> int:
        engine = host(self.workspace, "engine")
        assert engine.acquire()
        engine.start()
        self.engine = engine
        return os.getpid()

    def attach(self) -> None:
        """Nothing lingers here."""

    def detach(self) -> None:
        """Nothing lingers here."""

    def stop(self) -> None:
        if self.engine is not None:
            self.engine.stop()
            self.engine = None

    def apply(self) -> None:
        host(self.workspace, "command").apply()

    def run(self, pipeline_id: str) -> str:
        """One run, carried to its end."""
        run_id = self.trigger(pipeline_id)
        mine = host(self.workspace, "engine")
        assert mine.acquire()
        mine.start()
        mine.finish([run_id], 60.0)
        return run_id

    def trigger(self, pipeline_id: str) -> str:
        """A run, wished for."""
        run_id = f"{pipeline_id}__{self.workspace.new_id()}"
        self.workspace.client.commands.send("run.trigger", {"pipeline_id": pipeline_id, "run_id": run_id})
        return run_id


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostKeeper]:
    """A workspace with two pipelines, and whoever may start an engine on it."""
    monkeypatch.setenv("PENSTOCK_TIME_SCALE", "0.05")
    root = tmp_path / "shop"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\ndefaults: {retry_policy: {max_attempts: 1}}\n")
    (root / "pipelines" / "shop.yaml").write_text(SHOP)
    (root / "pipelines" / "slow.yaml").write_text(SLOW)
    workspace = open_workspace(root)
    made = HostKeeper(workspace)
    yield made
    made.stop()
    workspace.close()


class SvgExtension(SingleFileSnapshotExtension):
    """One picture per file; what Rich derives from the content's hash is made the same in all of them."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: Any, **_: Any) -> str:
        return re.sub(r"terminal-\d+-", "terminal-", str(data)) + "\n"


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> Callable[[Any], None]:
    """Compares the app with its picture; `pytest --snapshot-update` makes new ones, to be looked at."""

    def compare(app: Any) -> None:
        assert app.export_screenshot() == snapshot(extension_class=SvgExtension)

    return compare
