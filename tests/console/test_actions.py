"""The action table: whole, carried out, without two meanings of one key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console import keymap, screens
from console.actions import ACTIONS, EVERYWHERE, Action
from console.dag.view import DagView
from console.everywhere import Everywhere
from console.screens.logbelow import LogBelow
from console.screens.view import View
from console.widgets.card import Card
from console.widgets.log import LogView
from console.widgets.table import Table

KINDS: dict[str, type] = {
    "@table": Table,
    "@card": Card,
    "@log": LogView,
    "@logbelow": LogBelow,
    "@dag": DagView,
    EVERYWHERE: Everywhere,
}
VIEWS: dict[str, type[View]] = {name: entry.load() for name, entry in screens.VIEWS.items()}
OWNERS = {**KINDS, **VIEWS}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_is_carried_out_in_each_of_its_scopes(action: Action) -> None:
    if action.id.startswith("go."):
        assert action.id.removeprefix("go.") in screens.VIEWS
        return
    for scope in action.scope:
        assert callable(getattr(OWNERS[scope], action.method, None)), (action.id, scope)


@pytest.mark.parametrize("scope", OWNERS)
def test_nothing_can_be_done_that_is_not_in_the_table(scope: str) -> None:
    """CON: one table drives keys, footer, help and names."""
    known = {action.method for action in ACTIONS if scope in action.scope}
    done = {name for name in vars(OWNERS[scope]) if name.startswith("do_")}
    assert done <= known


@pytest.mark.parametrize("preset", keymap.PRESETS)
def test_a_key_means_one_thing_in_a_scope(preset: str) -> None:
    rows = keymap.keymap(preset, {}).actions
    for scope in OWNERS:
        seen: dict[str, str] = {}
        for action in rows:
            for key in action.keys if scope in action.scope else ():
                assert seen.setdefault(key, action.id) == action.id, (preset, scope, key)


def test_every_action_is_explained_and_what_changes_things_has_its_twin() -> None:
    for action in ACTIONS:
        assert action.help.endswith(".") and action.label, action.id
        if action.changes:
            assert action.twin.startswith("penstock "), action.id
            assert action.destructive, action.id


def test_ids_and_names_are_unique() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    names = [action.command for action in ACTIONS]
    assert len(set(names)) == len(names)


def test_presets_name_actions_that_there_are() -> None:
    known = {action.id for action in ACTIONS}
    for preset in keymap.PRESETS:
        assert set(keymap._preset(preset)) <= known


def test_every_view_is_called_by_its_name() -> None:
    for name, view in VIEWS.items():
        assert name == view.NAME
        assert screens.VIEWS[name].help.endswith(".")


def test_keys_of_the_user_lie_on_top_and_a_wrong_name_is_said() -> None:
    made = keymap.keymap("vim", {"run.retry": ("ctrl+r",), "nothing.such": ("x",)})
    assert made.find("ctrl+r", ["runs", EVERYWHERE]).id == "run.retry"  # type: ignore[union-attr]  # it is there
    assert "nothing.such" in (made.complaint or "")
    assert "emacs" in (keymap.keymap("emacs", {}).complaint or "")


def test_a_sequence_of_keys_begins_and_ends() -> None:
    made = keymap.keymap("vim", {})
    assert made.begins("g", ["@table"])
    assert made.find("g g", ["@table"]).id == "cursor.first"  # type: ignore[union-attr]  # it is there
    assert not made.begins("G", ["@table"])


def _sends() -> Iterator[str]:
    for action in ACTIONS:
        yield from action.sends


def test_commands_that_are_sent_are_those_the_engine_knows() -> None:
    from engine.runtime.commands import Commands

    handlers = Commands(None, None, None, None, None, lambda: None)._handlers  # type: ignore[arg-type]  # only its table is read
    assert set(_sends()) <= set(handlers)
