"""Hot reload with real files (DEF-07)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.definitions.watch import Watch
from tests.definitions.fakes import Workspace

DEADLINE = 60


class Seen:
    """What the watch told, to be waited for."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.condition = threading.Condition()

    def __call__(self, paths: Sequence[Path]) -> None:
        with self.condition:
            self.paths.extend(paths)
            self.condition.notify_all()

    def wait_for(self, *paths: Path) -> bool:
        with self.condition:
            return self.condition.wait_for(lambda: set(paths) <= set(self.paths), DEADLINE)


@pytest.fixture(params=[False, True], ids=["notices", "polling"])
def watched(workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[tuple[Workspace, Seen, Watch]]:
    seen = Seen()
    watch = Watch(workspace.root, seen, force_polling=request.param)
    watch.start()
    assert watch.wait_ready(DEADLINE)
    yield workspace, seen, watch
    watch.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


def test_changes_are_told(watched):
    workspace, seen, _ = watched
    path = workspace.pipeline("x")
    assert seen.wait_for(path)
    connections = workspace.write("connections.yaml", "ops: {type: slack}\n")
    assert seen.wait_for(connections)
    path.unlink()
    other = workspace.pipeline("y")
    assert seen.wait_for(other)


def test_a_folder_made_later_is_watched_too(watched):
    workspace, seen, watch = watched
    (workspace.root / "udfs").mkdir()
    assert seen.wait_for(workspace.root / "udfs")
    assert watch.wait_ready(DEADLINE)
    assert seen.wait_for(workspace.write("udfs/clean.py", "x = 1\n"))


def test_the_state_folder_is_not_watched(watched):
    workspace, seen, _ = watched
    workspace.write(".penstock/logs/a.yaml", "x")
    path = workspace.pipeline("x")
    assert seen.wait_for(path)
    assert not any(".penstock" in path.parts for path in seen.paths)


def test_a_catalog_follows_its_files(workspace: Workspace):
    """A change of a file becomes a new definition, a broken one does not take the good one away."""
    path = workspace.pipeline("x", command="first")
    catalog = workspace.catalog()
    first = catalog.get("x")
    turns: list[str] = []
    turned = threading.Condition()

    def reload(paths: Sequence[Path]) -> None:
        with turned:
            turns.extend("broken" if report.errors else "good" for report in catalog.refresh(paths))
            turned.notify_all()

    watch = Watch(workspace.root, reload)
    watch.start()
    try:
        assert watch.wait_ready(DEADLINE)
        path.write_text("id: x\ntasks: [")
        with turned:
            assert turned.wait_for(lambda: "broken" in turns, DEADLINE)
        assert catalog.get("x") == first
        workspace.pipeline("x", command="second")
        with turned:
            assert turned.wait_for(lambda: catalog.get("x").hash != first.hash, DEADLINE)
        assert catalog.get("x").tasks[0].config == {"command": "second"}
    finally:
        watch.close()


def test_a_callback_that_raises_does_not_end_the_watch(workspace: Workspace, caplog):
    seen = Seen()

    def reload(paths: Sequence[Path]) -> None:
        seen(paths)
        raise RuntimeError("no")

    watch = Watch(workspace.root, reload)
    watch.start()
    try:
        assert watch.wait_ready(DEADLINE)
        assert seen.wait_for(workspace.pipeline("x"))
        assert seen.wait_for(workspace.pipeline("y"))
    finally:
        watch.close()
