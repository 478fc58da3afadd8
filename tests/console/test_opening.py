"""Opening the console: by the command, with what the user chose, on a terminal (CON-01)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console import preferences
from console.preferences import Preferences, look
from tests.console import ptyplay
from tests.console.conftest import HostKeeper


@pytest.mark.parametrize("options", [(), ("--read-only",), ("--attach",), ("--no-engine",)])
def test_without_a_terminal_it_says_what_to_use(keeper: HostKeeper, options: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "-w", str(keeper.workspace.settings.root), *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert "needs a terminal" in done.stderr and "penstock runs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_choice_of_the_user_counts_and_a_broken_file_costs_one_sentence(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert preferences.read(environment) == Preferences()
    (tmp_path / "penstock").mkdir()
    file = tmp_path / "penstock" / "console.toml"
    file.write_text('keymap = "vim"\nascii = true\nmouse = false\n[keys]\n"run.retry" = ["ctrl+r", "R"]\n')
    chosen = preferences.read(environment)
    assert (chosen.keymap, chosen.ascii, chosen.mouse) == ("vim", True, False)
    assert chosen.keys == {"run.retry": ("ctrl+r", "R")}
    file.write_text("keymap = [")
    broken = preferences.read(environment)
    assert broken.keymap == "default" and "console.toml" in (broken.complaint or "")
    file.write_text("keymap = 3")
    assert "keymap is a name" in (preferences.read(environment).complaint or "")


def test_ascii_where_the_terminal_cannot_say_more() -> None:
    assert look(Preferences(), {"LANG": "C.UTF-8"}, "utf-8").plain is False
    assert look(Preferences(), {"LANG": "C"}, "utf-8").plain is True
    assert look(Preferences(), {"LANG": "de_DE"}, "iso8859-1").plain is True
    assert look(Preferences(ascii=False), {"LANG": "C"}, "ascii").plain is False


def test_the_console_leaves_a_sign_while_it_is_open_and_takes_it_away(keeper: HostKeeper) -> None:
    from console.__main__ import Keeper

    real = Keeper(keeper.workspace)
    sign = keeper.workspace.settings.home / "attached" / str(os.getpid())
    real.attach()
    assert sign.exists()
    real.detach()
    real.detach()
    assert not sign.exists()
    assert real.leader() is None


def test_what_is_typed_before_the_first_view_is_there_is_not_lost(keeper: HostKeeper) -> None:
    """CON-01: hands that know the way do not wait for the screen."""
    with ptyplay.console(keeper.workspace.settings.root, "--no-engine") as line:
        line.until("? help")  # the frame: no view has been loaded yet
        line.press(":health\r")
        line.until("Health")


def test_a_console_that_breaks_does_not_end_as_if_all_were_well(
    keeper: HostKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import sys

    from textual.app import App

    from console import __main__ as entry
    from console.app import Console

    def breaks(view: object) -> None:
        raise RuntimeError("a defect")

    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(Console, "run", lambda app, mouse: App.run(app, headless=True, mouse=mouse))
    monkeypatch.setattr("console.screens.pulse.PulseView.look", breaks)
    root = str(keeper.workspace.settings.root)
    try:
        assert entry._open_console(root, None, read_only=True, attach=False, no_engine=False) == 1
    finally:
        gc.enable()


def test_the_thread_that_reads_keys_is_told_to_end_whatever_became_of_the_terminal() -> None:
    import threading
    from types import SimpleNamespace
    from typing import Any, cast

    from console.__main__ import _end_reading

    ending = threading.Event()
    _end_reading(cast(Any, SimpleNamespace(_driver=SimpleNamespace(exit_event=ending))))
    assert ending.is_set()
    _end_reading(cast(Any, SimpleNamespace(_driver=None)))  # it never came so far
