"""The log below a run: of the task under the cursor, from its end on, only where it is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console import logtail
from console.app import Console
from console.dag.view import DagView
from console.logtail import TaskTail
from console.memory import Memory
from console.place import Place
from console.present.rundetail import RunDetail
from console.screens.logbelow import LogBelow
from console.screens.logs import LogsView
from console.screens.run import RunView
from console.widgets.divider import Sill
from console.widgets.log import LogView
from console.widgets.logstore import LogStore
from engine.model.run import Attempt
from engine.ports.logs import LogLine
from tests.console import still
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, Scene, lines, play, press, session_of, text, typed, until

RUN = Place("run", "orders_daily__000000 join_sales")
_CONTROL = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} | {"\u202e"}


@dataclass
class SeenLogs(still.StillLogs):
    """Logs that note what was read of them; reading one may be held up."""

    reads: list[str] = field(default_factory=list)
    held: Mapping[str, threading.Event] = field(default_factory=dict)

    def lines(self, log: str, *, after: int = 0, grep: str | None = None) -> Iterator[LogLine]:
        self.reads.append(log)
        if log in self.held:
            assert self.held[log].wait(30.0)
        return super().lines(log, after=after, grep=grep)


class Living(still.StillQueries):
    """Attempts that have not ended: their logs may grow."""

    def attempts(self, run_id: str, task_id: str | None = None) -> Sequence[Attempt]:
        return [replace(each, completed_at=None) for each in super().attempts(run_id, task_id)]


def below(app: Console) -> LogBelow:
    return app.view.query_one(LogBelow)


def said(app: Console) -> str:
    """What stands in the line above the log."""
    return app.view.query_one(Sill).text


def written(log: str = "join_sales", count: int = 60) -> SeenLogs:
    return SeenLogs({log: [f"row {i} of it" for i in range(1, count + 1)]})


def play_on(logs: still.StillLogs, scene: Scene, *, size: tuple[int, int] = WIDE, **more: Any) -> None:
    play(session_of(lambda: still.client(logs=logs), **more), scene, size=size, start=RUN)


# ------------------------------------------------------------------------------------------------ what is shown


def test_the_end_of_the_log_is_there_and_another_one_when_the_cursor_moves() -> None:
    logs = SeenLogs({"join_sales": [f"row {i} of it" for i in range(1, 3001)], "extract_items": ["all there"]})

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 3000 of it" in text(app))
        assert "log of join_sales · attempt 1" in said(app) and below(app).log_view.following
        assert len(below(app).log_view.store) == 1000  # not all of it
        await press(pilot, "left")
        await until(pilot, lambda: "all there" in text(app) and "row 3000" not in text(app))
        assert "log of extract_items" in said(app)

    play_on(logs, scene)


def test_what_was_not_tried_or_wrote_nothing_is_said() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 60 of it" in text(app))
        await press(pilot, "right")
        await until(pilot, lambda: "log of fact_sales" in said(app) and "It was not tried." in text(app))
        assert "row 60 of it" not in text(app)
        await press(pilot, "left", "left")
        await until(pilot, lambda: "log of extract_items" in said(app) and "Nothing was written." in text(app))

    play_on(written(), scene)


def test_a_task_the_cursor_only_passed_is_not_read() -> None:
    logs = SeenLogs({"join_sales": ["joined"], "extract_orders": ["extracted"]})

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "joined" in text(app))
        view = app.view
        assert isinstance(view, RunView)
        for name in ("validate_orders", "extract_orders"):  # faster than anybody reads
            view.below.point(name)
        await until(pilot, lambda: "extracted" in text(app))
        assert "validate_orders" not in logs.reads

    play_on(logs, scene)


def test_an_answer_about_a_task_that_is_no_longer_selected_is_dropped() -> None:
    held = threading.Event()
    logs = SeenLogs({"join_sales": ["joined"], "extract_items": ["too late"]}, held={"extract_items": held})

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "joined" in text(app))
        shown: list[str] = []
        swap = below(app).log_view.swap

        def seen(store: LogStore, *, another: bool = False) -> None:
            shown.extend(each.text for each in store)
            swap(store, another=another)

        below(app).log_view.swap = seen  # type: ignore[method-assign]  # looked at, then done
        await press(pilot, "left")
        await until(pilot, lambda: "extract_items" in logs.reads)
        assert "log of join_sales" in said(app) and "joined" in text(app)  # the line tells of what is there
        await press(pilot, "right")
        await until(pilot, lambda: below(app)._turned == "join_sales")
        held.set()
        await until(pilot, lambda: shown == ["joined"] and app.view.quiet)

    play_on(logs, scene)


# ---------------------------------------------------------------------------------------------------------- room


@pytest.mark.parametrize("size", [NARROW, (160, 35), (119, 48)])
def test_without_room_it_is_not_there_and_nothing_is_read(size: tuple[int, int]) -> None:
    logs = written()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "join_sales" in text(app) and app.view.quiet)
        assert not below(app).display and not logs.reads
        await press(pilot, "B")
        await until(pilot, lambda: "from 120 columns and 36 rows on" in text(app))
        assert not below(app).display and not app.session.closed

    play_on(logs, scene, size=size)


def test_it_comes_and_goes_with_the_room_and_the_focus_is_never_lost() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 60 of it" in text(app))
        await press(pilot, "shift+tab")
        assert isinstance(app.focused, LogView)
        await pilot.resize_terminal(*NARROW)
        await until(pilot, lambda: not below(app).display and isinstance(app.focused, DagView))
        await pilot.resize_terminal(*WIDE)
        await until(pilot, lambda: "row 60 of it" in text(app))

    play_on(written(), scene)


def test_the_help_tells_of_it_where_it_is() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "join_sales" in text(app))
        assert ("@log" in app.kinds_in("run")) is ("@logbelow" in app.kinds_in("run")) is below(app).display

    play_on(written(), scene)
    play_on(written(), scene, size=NARROW)


def test_its_height_is_moved_by_keys_and_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.json")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        before = below(app).size.height
        await press(pilot, "plus", "plus", "minus")
        await until(pilot, lambda: below(app).size.height == before + 2)
        await until(pilot, lambda: memory.splits() == {"run.log": before + 2})
        await press(pilot, *["minus"] * 20)
        await until(pilot, lambda: below(app).size.height == 4)
        await press(pilot, *["plus"] * 30)
        await until(pilot, lambda: below(app).size.height == 48 - 16)

    play_on(written(), scene, memory=memory)

    async def later(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: below(app).size.height == memory.splits()["run.log"])

    play_on(written(), later, memory=memory, splits=memory.splits())


def test_the_mouse_draws_the_line_above_it() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        line = app.view.query_one(Sill)
        before, card = below(app).size.height, app.view.query_one("#card").size.width
        await pilot.mouse_down(line, offset=(40, 0))
        await pilot.hover(None, offset=(40, line.region.y - 5))
        await pilot.mouse_up(None, offset=(40, line.region.y))
        await until(pilot, lambda: below(app).size.height == before + 5)
        assert app.view.query_one("#card").size.width == card

    play_on(written(), scene)


def test_closed_it_reads_nothing_and_stays_closed_the_next_time(tmp_path: Path) -> None:
    memory, logs = Memory(tmp_path / "memory.json"), written()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 60 of it" in text(app))
        await press(pilot, "B")
        await until(pilot, lambda: not below(app).display and memory.closed() == {"run.log"})
        await press(pilot, "plus")
        await until(pilot, lambda: "is closed" in text(app))

    play_on(logs, scene, memory=memory)
    logs.reads.clear()

    async def later(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "join_sales" in text(app) and app.view.quiet)
        assert not below(app).display and not logs.reads
        await press(pilot, "B")
        await until(pilot, lambda: "row 60 of it" in text(app) and not memory.closed())

    play_on(logs, later, memory=memory, closed=memory.closed())


def test_behind_another_view_nothing_is_read_and_afterwards_the_end_anew() -> None:
    logs = written()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, RunView)
        await until(pilot, lambda: "following" in said(app))
        await press(pilot, "colon")
        await typed(pilot, "runs")
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME == "runs" and view.quiet)
        logs.reads.clear()
        assert view.detail is not None
        view.below.wake()
        view.below.learn(view.detail)
        view.below._following.read()  # as its timer does
        assert view.quiet and not logs.reads
        logs.texts = {"join_sales": ["what came meanwhile"]}
        await press(pilot, "left_square_bracket")
        await until(pilot, lambda: "what came meanwhile" in text(app) and "row 60" not in text(app))

    queries = still.believable()
    session = session_of(lambda: still.client(Living(**vars(queries)), logs))
    play(session, scene, size=WIDE, start=RUN)


# ---------------------------------------------------------------------------------------------------- its keys


def test_with_the_focus_its_own_keys_count_and_esc_takes_it_back() -> None:
    logs = SeenLogs({"join_sales": ["ERROR: first", *(f"row {i} of it" for i in range(1, 61)), "needle"]})

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "needle" in text(app))
        await press(pilot, "shift+tab")
        assert isinstance(app.focused, LogView)
        footer = lines(app)[-1]
        assert " e level " in footer and " e events " not in footer  # what the key does now
        await press(pilot, "e", "e")
        await until(pilot, lambda: "ERROR: first" in text(app) and " errors" in said(app))
        await press(pilot, "e", "home", "slash")
        await typed(pilot, "row 7 ")
        await press(pilot, "enter")
        await until(pilot, lambda: "row 7 of it" in text(app) and "not following" in said(app))
        await press(pilot, "escape")
        assert "/" not in said(app) and isinstance(app.focused, LogView)
        await press(pilot, "escape")
        assert isinstance(app.focused, DagView) and app.view.NAME == "run"
        assert " e events " in lines(app)[-1]

    play_on(logs, scene)


def test_enter_opens_all_of_it() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "log of join_sales" in said(app))
        await press(pilot, "shift+tab", "enter")
        await until(pilot, lambda: isinstance(app.view, LogsView))
        assert app.history.here == Place("logs", "orders_daily__000000 join_sales")

    play_on(written(), scene)


def test_what_it_shows_is_copied_while_it_has_the_focus() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 60 of it" in text(app))
        assert "row 60 of it" not in app.view.copied()
        await press(pilot, "shift+tab")
        assert app.view.copied().endswith("row 60 of it")

    play_on(written(), scene)


# ------------------------------------------------------------------------------------- against a real engine


def test_it_follows_what_runs_and_shows_the_newest_attempt(keeper: HostKeeper) -> None:
    keeper.start()
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        run_id = keeper.trigger("slow")
        await until(pilot, lambda: "RUNNING" in text(app))
        app.go(Place("run", f"{run_id} wait"))
        await until(pilot, lambda: isinstance(app.view, RunView) and app.view.detail is not None)
        await until(pilot, lambda: " waiting" in text(app) and "following" in said(app))
        assert "went" not in text(app).splitlines()[-3]
        (keeper.workspace.settings.root / "go").touch()
        await until(pilot, lambda: " went" in text(app) and "ended" in said(app))
        await press(pilot, "right")
        await until(pilot, lambda: "log of then · attempt 1 · ended" in said(app))
        assert [each.text for each in below(app).log_view.store][-1] == "then"

    play(session, scene, size=WIDE)


def tokens(app: Console) -> set[str]:
    """Of the attempts it knows."""
    return set(below(app)._tail._attempts)  # type: ignore[union-attr]  # it has read


def test_a_retry_is_seen_to_write_and_hostile_text_stays_harmless(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")
    keeper.start()
    session = session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "[bold]markup[/bold]" in text(app))
        assert "log of bad" in said(app) and "ended" in said(app)
        before, once = tokens(app), len(below(app).log_view.store)
        assert not any(char in _CONTROL for line in lines(app) for char in line)
        (keeper.workspace.settings.root / "fixed").touch()
        keeper.workspace.client.commands.send(
            "run.retry", {"run_id": run_id, "tasks": ["bad"], "downstream": False, "fresh": False}
        )
        await until(pilot, lambda: "SUCCESS  4/4 tasks" in text(app) and tokens(app) - before)
        await until(pilot, lambda: "ended" in said(app) and len(below(app).log_view.store) == once)
        assert not any(char in _CONTROL for line in lines(app) for char in line)

    play(session, scene, size=WIDE, start=Place("run", run_id))


# ------------------------------------------------------------------------------------------ what is read of it


def attempt(task: str, number: int, index: int | None = None, *, at: int = 0, ended: bool = False) -> Attempt:
    name = f"{task}[{index}].{number}"
    return Attempt(
        token=name, execution_id="e", run_id="r", task_id=task, map_index=index, number=number, epoch=1, log=name,
        submitted_at=still.NOW.replace(second=at), completed_at=still.NOW if ended else None,
    )  # fmt: skip


def test_the_newest_attempt_is_meant_and_of_a_mapped_task_those_of_its_newest_items() -> None:
    tried = [attempt("one", 1, at=1), attempt("one", 2, at=2), *(attempt("all", 1, i, at=i) for i in range(12))]
    detail = RunDetail(run=still.run(0), executions=[], verdicts={}, attempts=[*tried, attempt("all", 2, 3, at=20)])
    assert [each.token for each in detail.newest("one")] == ["one[None].2"]
    assert [each.map_index for each in detail.newest("all")] == [5, 6, 7, 8, 9, 10, 11, 3]
    assert [each.token for each in detail.newest("all[3]")] == ["all[3].2"]
    assert detail.newest("none") == []


def test_an_attempt_that_follows_another_comes_below_it() -> None:
    logs = still.StillLogs({"one[None].1": ["first try"], "one[None].2": ["second try"]})
    tail, client = TaskTail(), still.client(logs=logs)
    assert tail.note([attempt("one", 1)])
    read = tail.more(client)
    assert [each.text for each in read.records] == ["first try"] and not read.ended
    assert not tail.note([attempt("one", 1)])
    assert tail.note([attempt("one", 1, ended=True)])
    assert tail.note([attempt("one", 2, at=9, ended=True)])
    read = tail.more(client)
    assert [(each.text, each.attempt) for each in read.records] == [("second try", 2)] and read.ended


def test_what_is_written_faster_than_it_is_read_is_shown_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logtail, "CHUNK", 100)
    monkeypatch.setattr(logtail, "_END", 50)
    logs = SeenLogs({"join_sales": ["row 1 of it"]})

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 1 of it" in text(app))
        logs.texts = {"join_sales": [f"row {i} of it" for i in range(1, 5001)]}
        await until(pilot, lambda: "row 5000 of it" in text(app))
        assert len(below(app).log_view.store) <= 50

    queries = still.believable()
    play(session_of(lambda: still.client(Living(**vars(queries)), logs)), scene, size=WIDE, start=RUN)


def test_of_a_log_that_is_followed_for_long_only_the_newest_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.logbelow._MOST_LINES", 200)
    monkeypatch.setattr("console.screens.logbelow._KEPT_LINES", 20)
    logs = written()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "row 60 of it" in text(app))
        logs.texts = {"join_sales": [f"row {i} of it" for i in range(1, 301)]}
        await until(pilot, lambda: "row 300 of it" in text(app) and len(below(app).log_view.store) == 20)

    queries = still.believable()
    play(session_of(lambda: still.client(Living(**vars(queries)), logs)), scene, size=WIDE, start=RUN)
