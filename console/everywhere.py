"""What can be done in every view: actions of the table whose scope is everywhere.

Law: each is one method `do_<id>`; it hands on to whoever knows how, and keeps nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from console import screens
from console.place import Place

if TYPE_CHECKING:
    from console.app import Console


class Everywhere:
    """One per console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def do_back(self) -> None:
        console = self._console
        if console.view.escape() or console.step(-1):
            return
        if console.history.here.view != screens.HOME:
            console.go(Place(screens.HOME))

    def do_history_back(self) -> None:
        self._console.step(-1)

    def do_history_forward(self) -> None:
        self._console.step(1)

    def do_prompt_go(self) -> None:
        self._console.goer.ask()

    def do_prompt_filter(self) -> None:
        self._console.goer.ask_filter()

    def do_help(self) -> None:
        if self._console.view.NAME != "help":
            self._console.go(Place("help", self._console.view.NAME))

    def do_palette(self) -> None:
        self._console.goer.palette()

    def do_refresh(self) -> None:
        self._console.view.look()

    def do_focus_next(self) -> None:
        self._console.screen.focus_next()
        self._console.show_frame()

    def do_focus_previous(self) -> None:
        self._console.screen.focus_previous()
        self._console.show_frame()

    def do_split_wider(self) -> None:
        self._resize(wider=True)

    def do_split_narrower(self) -> None:
        self._resize(wider=False)

    def _resize(self, *, wider: bool) -> None:
        if not self._console.view.resize_card(wider):
            self._console.say("There are no two panes here to resize; from 120 columns on there are.")

    def do_undo(self) -> None:
        self._console.take_back()

    def do_copy(self) -> None:
        from console import clipboard

        console = self._console
        driver: Any = console._driver
        text = console.view.copied()
        if not text:
            console.say("There is nothing to copy here.")
            return
        written = clipboard.sequence(text, os.environ)
        if written is None or driver is None:
            console.say(f"Too long for the clipboard; written to {clipboard.to_file(text, console.view.NAME)}")
            return
        driver.write(written)
        console.say(f"Copied {len(text):,} characters to the terminal's clipboard.")

    def do_mouse(self) -> None:
        console = self._console
        driver: Any = console._driver
        on = not getattr(driver, "_mouse", True)
        switch = getattr(driver, "_enable_mouse_support" if on else "_disable_mouse_support", None)
        if switch is None:
            console.say("This terminal has no mouse to switch.")
            return
        driver._mouse = True  # both methods do nothing where it is off
        switch()
        driver._mouse = on
        told = "The mouse works in the console." if on else "The mouse is the terminal's: select text with it."
        console.say(told)

    def do_engine_start(self) -> None:
        self._console.watcher.start_engine(asked=True)

    def do_quit(self) -> None:
        self._console.leaver.ask()
