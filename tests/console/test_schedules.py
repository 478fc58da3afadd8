"""Schedules: what fires when, what keeps it from firing, and what a change would do (SCH-04…10, CON-02)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import Console
from console.place import Place
from console.present import schedules as present
from console.present.schedules import Coming, Fire
from console.screens.schedules import SchedulesView
from console.screens.scheduling import WhatIf
from console.widgets import dialog
from console.widgets.dialog import Buttons
from console.widgets.form import Form
from console.widgets.preview import PreviewDialog
from engine.client import schedules as facade
from engine.model.errors import RequestError
from engine.model.schedule import Schedule
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, typed, until
from tests.console.test_live import clean

NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)  # two days before the clocks are put forward in Berlin
# Hours away whenever the tests run, so that what fires each hour always fires before it.
NIGHTLY = f"30 {14 if datetime.now(ZoneInfo('Europe/Berlin')).hour < 12 else 2} * * *"
PIPELINE = """\
id: {name}
name: {name}
{more}
schedule: {{cron: "{cron}", timezone: Europe/Berlin, catchup: {catchup}}}
tasks:
  - {{id: only, name: Only, type: shell, config: {{command: "true"}}}}
"""


@pytest.fixture(autouse=True)
def _no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialog, "GUARD_SECONDS", 0.0)


def define(keeper: HostKeeper, name: str, cron: str, *, catchup: str = "false", more: str = "") -> None:
    body = PIPELINE.format(name=name, cron=cron, catchup=catchup, more=more)
    (keeper.workspace.settings.root / "pipelines" / f"{name}.yaml").write_text(body)


@pytest.fixture
def nightly(keeper: HostKeeper) -> HostKeeper:
    define(keeper, "nightly", NIGHTLY)
    define(keeper, "beside", NIGHTLY, more="parameters: {region: {type: string, default: north}}")
    define(keeper, "hourly", "0 * * * *")
    return keeper


def open_on(keeper: HostKeeper, scene: Any, *, size: tuple[int, int] = WIDE, place: str = "", **more: Any) -> None:
    async def played(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "hourly" in text(app) and app.view.quiet)
        await scene(pilot, app)

    play(session_of(keeper.open_client, keeper, **more), played, size=size, start=Place("schedules", place))


async def take(pilot: Pilot[int], app: Console, name: str) -> None:
    buttons = app.screen.query_one(Buttons)
    buttons.focus()
    while buttons.current != name:
        await press(pilot, "right")
    await press(pilot, "enter")


def view(app: Console) -> SchedulesView:
    assert isinstance(app.view, SchedulesView)
    return app.view


def states(app: Console) -> Mapping[str, str]:
    rows = view(app).table.rows
    return {rows.at(line).pipeline_id: rows.at(line).state for line in range(len(rows))}


# ---- what is shown


def test_the_list_begins_with_what_fires_next_and_the_card_tells_the_rest(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        assert next(iter(states(app))) == "hourly"
        view(app).table.select("nightly")
        await until(pilot, lambda: "collisions" in text(app) and "next fires" in text(app))
        shown = text(app)
        assert "SKIP_ON_RUNNING: skips while one runs" in shown
        assert "beside  7 of 7 times" in shown  # fires in the same minute, each night
        assert "all schedules" in shown and "3 active" in shown

    open_on(nightly, scene)


def test_in_a_small_terminal_enter_opens_the_card_and_escape_closes_it(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        selected = view(app).table.selected
        assert selected is not None and selected.pipeline_id == "nightly"
        await press(pilot, "enter")
        await until(pilot, lambda: "next fires" in text(app) and "Europe/Berlin" in text(app))
        await press(pilot, "escape")
        await until(pilot, lambda: "hourly" in text(app))

    open_on(nightly, scene, size=NARROW, place="nightly")


def test_a_definition_that_comes_or_goes_is_seen_when_it_is_looked_again(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        define(nightly, "late", "0 5 * * *")
        (nightly.workspace.settings.root / "pipelines" / "beside.yaml").unlink()
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: set(states(app)) == {"nightly", "hourly", "late"})

    open_on(nightly, scene)


def test_a_filter_keeps_what_matches_and_refuses_what_it_does_not_know(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "slash")
        await typed(pilot, "pipeline:night")
        await press(pilot, "enter")
        assert list(states(app)) == ["nightly"]
        assert "There is no field 'pipelin'" in (view(app).filter("pipelin:x") or "")
        await press(pilot, "escape")
        assert len(states(app)) == 3

    open_on(nightly, scene)


def test_a_schedule_that_is_asked_for_and_not_there_is_said(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "There is no schedule of 'yearly'." in text(app))

    open_on(nightly, scene, place="yearly")


def test_a_filter_that_matches_nothing_says_so_also_after_the_list_was_read_again(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view(app).filter("nowhere")
        await until(pilot, lambda: "No schedule matches" in text(app))
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: view(app).quiet)
        assert "No schedule matches" in text(app)

    open_on(nightly, scene)


# ---- what is done


def test_a_pause_needs_a_reason_is_told_with_it_and_taken_back(nightly: HostKeeper) -> None:
    """SCH-10: why and by whom, hostile characters and all."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "p")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert app.screen.query_one(Buttons).current == ""  # Cancel has the focus
        await take(pilot, app, "yes")
        await until(pilot, lambda: "Say why" in text(app))
        app.screen.query_one("#reason", Input).value = "gone\x1b]0;owned\x07 [bold]down[/bold]"
        await take(pilot, app, "yes")
        await until(pilot, lambda: states(app)["nightly"] == "paused")
        assert "[bold]down[/bold]" in text(app) and "owned" not in text(app) and clean(app)
        await until(pilot, lambda: "on resume" in text(app))
        await press(pilot, "u")
        await until(pilot, lambda: states(app)["nightly"] == "active")

    open_on(nightly, scene, place="nightly")


def test_a_resume_shows_what_it_fires_before_it_is_asked_for(keeper: HostKeeper) -> None:
    """SCH-06: with catch-up, missed slots fire at once, and that is said first."""
    more = "execution: {max_active_runs: 1}"
    now = datetime.now(UTC)
    minute = (now.minute + 30) % 60  # far from now: none falls due while this test runs
    define(keeper, "hourly", f"{minute} * * * *", catchup="true", more=more)
    path = keeper.workspace.settings.root / "pipelines" / "hourly.yaml"
    started = (now - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(path.read_text().replace("catchup: true", f'catchup: true, start_date: "{started}"'))
    keeper.workspace.client.commands.send("schedule.pause", {"pipeline_id": "hourly", "reason": "first"})
    keeper.apply()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "p")
        assert not isinstance(app.screen, PreviewDialog)  # it is paused already, and that is said
        await press(pilot, "r")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "missed slots at once" in text(app) and "Resume and fire 3 slots at once" in text(app)
        await take(pilot, app, "yes")
        await until(pilot, lambda: states(app)["hourly"] == "active")

    open_on(keeper, scene)


def test_marked_schedules_are_paused_together(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "asterisk", "p")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "Pause 3 schedules" in text(app)
        app.screen.query_one("#reason", Input).value = "stocktaking"
        await take(pilot, app, "yes")
        await until(pilot, lambda: set(states(app).values()) == {"paused"})

    open_on(nightly, scene)


def test_run_now_asks_for_parameters_shows_what_it_makes_and_makes_it(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "t")
        await until(pilot, lambda: isinstance(app.screen, Form))
        app.screen.query_one("#field-0", Input).value = "south"
        await take(pilot, app, "yes")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "south" in text(app)
        await take(pilot, app, "yes")
        made = nightly.workspace.client.queries
        await until(pilot, lambda: made.runs(pipeline_id="beside")[0])
        assert made.runs(pipeline_id="beside")[0][0].parameters == {"region": "south"}

    open_on(nightly, scene, place="beside")


def test_what_if_says_what_is_wrong_then_what_would_fire_and_saves_nothing(nightly: HostKeeper) -> None:
    """PEERS 22: the clock change is shown before it happens."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, WhatIf) and "The next 10 fires would be" in text(app))
        field = app.screen.query_one("#cron", Input)
        field.value = "30 2 * 3 99"
        await until(pilot, lambda: "day of week" in text(app))
        field.value = "30 2 * 3 0"  # Sundays in March: on the last one 02:30 does not exist
        await until(pilot, lambda: "moved from 02:30 by the clock change" in text(app))
        app.screen.query_one("#zone", Input).value = "Mars/Olympus"
        await until(pilot, lambda: "Mars/Olympus" in text(app) and "would be" not in text(app))
        await press(pilot, "escape")
        selected = view(app).table.selected
        assert selected is not None and selected.cron == NIGHTLY
        assert not nightly.workspace.mailbox.pending()

    open_on(nightly, scene, place="nightly")


def test_a_read_only_console_pauses_nothing_but_answers_what_if(nightly: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "p")
        assert not isinstance(app.screen, PreviewDialog) and "read-only" in text(app)
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, WhatIf))

    open_on(nightly, scene, read_only=True)


# ---- values


def fires(name: str, *hours: float, note: str | None = None) -> list[Fire]:
    return [Fire(NOW + timedelta(hours=hour), name, note) for hour in hours]


def told(lines: Any) -> str:
    return "\n".join("".join(cell.text for cell in line) for line in lines)


def test_heat_counts_by_hour_and_shows_many_as_a_plus() -> None:
    shown = told(present.heat([*fires("a", *([1.0] * 12)), *fires("b", 2, 25)], NOW, "heat")).split("\n")
    assert shown[2].startswith("Fri 03-27 ") and shown[2][10:].replace(" ", "")[12:16] == ".+1."
    assert shown[3][10:].replace(" ", "")[13] == "1" and len(shown) == 2 + present.DAYS


def test_collisions_name_who_fires_in_the_same_minute_most_often_first() -> None:
    coming = Coming(fires=(*fires("a", 1, 2, 3), *fires("b", 1, 2), *fires("c", 3), *fires("d", 4)))
    shown = told(present.collisions("a", coming, NOW))
    assert shown.index("b  2 of 3") < shown.index("c  1 of 3") and "d " not in shown
    assert "nothing else fires" in told(present.collisions("d", coming, NOW))


@dataclass
class _Pipeline:
    schedule: Schedule | None


class _Catalog:
    known: Mapping[str, Any] = {
        "berlin": _Pipeline(Schedule(cron="30 2 * * *", timezone="Europe/Berlin")),
        "busy": _Pipeline(Schedule(cron="* * * * *")),
        "none": _Pipeline(None),
        "off": _Pipeline(Schedule(cron="0 0 * * *", enabled=False)),
    }

    def ids(self) -> list[str]:
        return list(self.known)

    def get(self, name: str) -> Any:
        return self.known[name]


def test_the_coming_days_hold_clock_changes_and_say_what_fires_too_often() -> None:
    """SCH-04: a night without 02:30 is marked."""
    catalog: Any = _Catalog()
    found = facade.coming(catalog, [], None, NOW, NOW + timedelta(days=7))
    coming = present.coming_of(found)
    assert coming.cut == {"busy"} and len(coming.of("busy")) == facade.MOST_SLOTS
    assert [bool(each.note) for each in coming.of("berlin")] == [False, True, *[False] * 5]
    assert coming.of("berlin")[1].at.date().isoformat() == "2026-03-29"
    assert not coming.of("off") and not coming.of("none")


def test_another_expression_is_refused_with_what_is_wrong_with_it() -> None:
    schedule = Schedule(cron="0 0 * * *", enabled=False)
    found = facade.tried(schedule, " 0 3 * * * ", "UTC", NOW, 3)["fires"]
    assert [each["at"] for each in found] == [f"2026-03-{day}T03:00:00Z" for day in (28, 29, 30)]
    for cron, zone in (("61 * * * *", "UTC"), ("0 0 * * *", "Nowhere/None"), ("", "UTC")):
        with pytest.raises(RequestError):
            facade.tried(schedule, cron, zone, NOW, 3)
