"""The console against a real engine: what runs is seen, what failed is found, retried and ends (CON-01…03)."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from console.app import Console
from console.dag.view import DagView
from console.place import Place
from console.screens.logs import LogsView
from console.screens.run import RunView
from console.widgets.dialog import Buttons
from console.widgets.preview import PreviewDialog
from tests.console.conftest import HostKeeper
from tests.console.stage import WIDE, lines, play, press, session_of, text, typed, until

_CONTROL = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} | {"\u202e"}


def clean(app: Console) -> bool:
    return not any(char in _CONTROL for line in lines(app) for char in line)


def test_a_failed_run_is_found_understood_retried_and_ends_green(keeper: HostKeeper) -> None:
    """CON-03: from the list to the log to the retry, with an engine the console started itself."""
    run_id = keeper.run("shop")
    session = session_of(keeper.open_client, keeper, start_engine=True, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "FAILED" in text(app))
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.detail is not None)
        await until(pilot, lambda: app.view.crumbs[-1] == "bad")  # the cursor starts at the failure
        assert clean(app)
        await press(pilot, "w")
        await until(pilot, lambda: "Why" in text(app))
        assert clean(app)
        await press(pilot, "escape", "l")
        await until(pilot, lambda: isinstance(app.view, LogsView) and "markup" in text(app))
        assert "[bold]markup[/bold]" in text(app) and "owned" not in text(app) and clean(app)
        (keeper.workspace.settings.root / "fixed").touch()
        await press(pilot, "backspace")
        await until(pilot, lambda: app.state.leader is not None)
        await press(pilot, "r")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "after" in text(app)  # what the failure had skipped is named
        await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # a dialog
        while app.screen.query_one(Buttons).current != "chosen":
            await press(pilot, "right")
        await press(pilot, "enter")
        await until(pilot, lambda: "SUCCESS  4/4 tasks" in text(app))
        assert keeper.workspace.client.run(run_id).state.value == "SUCCESS"

    play(session, scene)


def test_a_run_is_seen_while_it_runs_and_its_log_is_followed(keeper: HostKeeper) -> None:
    """VIS-06: states come to the graph by themselves; the log grows."""
    keeper.start()
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        run_id = keeper.trigger("slow")
        await until(pilot, lambda: "RUNNING" in text(app))
        app.go(Place("run", run_id))
        await until(pilot, lambda: app.view.query_one(DagView).canvas is not None)
        await until(pilot, lambda: "◉ wait" in text(app) and "then" in text(app))
        app.go(Place("logs", f"{run_id} wait"))
        await until(pilot, lambda: "waiting" in text(app) and "following" in text(app))
        (keeper.workspace.settings.root / "go").touch()
        await until(pilot, lambda: "went" in text(app) and "ended" in text(app))
        await press(pilot, "escape")
        await until(pilot, lambda: "✓ wait" in text(app) and "✓ then" in text(app))

    play(session, scene, size=WIDE)


def test_with_nobody_leading_a_command_is_applied_and_a_refusal_is_shown_with_its_reason(
    keeper: HostKeeper,
) -> None:
    run_id = keeper.run("shop")
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        app.send("run.cancel", {"run_id": run_id})
        await until(pilot, lambda: "there is nothing to cancel" in text(app))
        app.send("run.retry", {"run_id": run_id, "tasks": ["bad"], "downstream": False, "fresh": False})
        await until(pilot, lambda: "will run again" in text(app))
        await until(pilot, lambda: "no engine leads" in text(app))

    play(session, scene, size=WIDE)


def test_tasks_are_marked_in_the_tree_and_cancelled_together(keeper: HostKeeper) -> None:
    keeper.start()
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        run_id = keeper.trigger("slow")
        await until(pilot, lambda: "RUNNING" in text(app))
        app.go(Place("run", run_id))
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.detail is not None)
        await press(pilot, "t")
        await press(pilot, "asterisk", "c")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "2 tasks" in text(app)
        await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # a dialog
        await press(pilot, "right", "enter")
        await until(pilot, lambda: text(app).count("CANCELLED") >= 2)

    play(session, scene, size=WIDE)


def test_a_filter_is_typed_live_and_esc_takes_it_away(keeper: HostKeeper, tmp_path: Path) -> None:
    keeper.run("shop")
    (keeper.workspace.settings.root / "go").touch()
    keeper.run("slow")
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "shop" in text(app) and "slow" in text(app))
        await press(pilot, "slash")
        await typed(pilot, "state:failed")
        await until(pilot, lambda: "slow  " not in text(app))
        await press(pilot, "enter")
        assert "1 of 2" in text(app)
        await press(pilot, "escape")
        await until(pilot, lambda: "slow" in text(app))

    play(session, scene)
