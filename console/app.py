"""The frame: the vital signs above, where one is, the view, what the keys do below.

Law: the app shows what messages say and carries out what the action table names; it asks the client through
`Questions` and touches the engine through the keeper, both in threads. A key means what the keymap says and
nothing else, except inside a dialog or a line that is being typed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.filter import Monochrome, NoColor
from textual.message import Message
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from console import screens, theme
from console.actions import Action
from console.asking import Questions
from console.going import Goer
from console.keyboard import Keyboard
from console.keymap import keymap
from console.leaving import Leaver
from console.messages import Batch, EngineStarting, EngineTrouble, Signs, StoreTrouble
from console.painting import FrameScreen, choose_bars
from console.place import History, Place
from console.present.frame import crumb_line, footer_line
from console.present.vitals import clock, vital_line
from console.session import Session
from console.shelf import Shelf
from console.state import State, reduce
from console.sweeping import Sweeper
from console.watching import Watcher
from console.widgets.prompt import Prompt
from console.widgets.strips import Strips
from console.widgets.toast import Toasts

if TYPE_CHECKING:
    from console.screens.view import View
    from console.widgets.preview import Confirmed, Preview
    from engine.client import Client
    from engine.client.commands import Answer


class Console(App[int]):
    """The application."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "Penstock"
    CSS = """
    Screen { background: ansi_default; color: ansi_default; layout: vertical; overflow: hidden; }
    ModalScreen { background: transparent; }
    #views { height: 1fr; width: 1fr; layout: vertical; }
    """
    BINDINGS: ClassVar = []

    def __init__(self, session: Session, *, start: Place | None = None) -> None:
        super().__init__()
        if self.no_color:  # Textual takes a filter that fails on our unstyled segments, as no theme is chosen yet
            self._filters = [each for each in self._filters if not isinstance(each, Monochrome)] + [NoColor()]
        self.session = session
        choose_bars(plain=session.look.plain)
        chosen = session.preferences
        self.keymap = keymap(chosen.keymap, chosen.keys)
        self.state = State(read_only=session.read_only)
        self.history = History(start or Place(screens.HOME))
        self.questions = Questions(self, self.client, lambda sentence: self.say(sentence, "bad"))
        self._opened: asyncio.Future[Client] | None = None
        self._undo: list[tuple[str, Callable[[], None]]] = []
        self.shelf = Shelf(self)
        self.watcher = Watcher(self)
        self.leaver = Leaver(self)
        self.goer = Goer(self)
        self.sweeper = Sweeper()
        self.keyboard = Keyboard(self)
        self._choose_theme(chosen.theme)

    def _choose_theme(self, name: str) -> None:
        """Before anything is styled: a theme set later has every style sheet parsed again."""
        for each in theme.themes():
            self.register_theme(each)
        self.set_reactive(Console.theme, name if name in self.available_themes else "penstock")
        self._refresh_truecolor_filter(self.ansi_theme)  # as Textual does when a theme is set
        self.stylesheet.set_variables(self.get_css_variables())

    # ---- the frame

    def get_default_screen(self) -> Screen[None]:
        """One that sends little."""
        return FrameScreen(id="_default")

    def compose(self) -> ComposeResult:
        look = self.session.look
        yield Strips(look, id="vitals")
        yield Strips(look, id="crumbs")
        yield Container(id="views")
        yield Toasts(look)
        yield Prompt(look)
        yield Strips(look, id="footer")

    def on_mount(self) -> None:
        """The frame is painted before the first view is loaded, and both before anything is opened."""
        self._opened = asyncio.get_running_loop().create_future()
        self._opened.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._show_vitals()
        self.show_frame()
        self.call_after_refresh(self._begin)
        self.set_interval(1.0, self._tick)
        for complaint in (self.session.preferences.complaint, self.keymap.complaint):
            if complaint:
                self.say(complaint, "bad")
        for name in (signal.SIGTERM, signal.SIGHUP):
            try:
                asyncio.get_running_loop().add_signal_handler(name, self.leave)
            except (ValueError, RuntimeError):  # not the main thread: somebody else minds the signals
                break

    def _begin(self) -> None:
        self.shelf.show(self.history.here)
        self.call_after_refresh(self.watcher.begin)

    def on_unmount(self) -> None:
        """Threads end by themselves when they see this."""
        self.session.closing.set()
        self.sweeper.end()

    def client(self) -> asyncio.Future[Client]:
        """The client, once it is open."""
        assert self._opened is not None  # set when the app was mounted
        return self._opened

    def opened(self, client: Client | None, trouble: BaseException | None = None) -> None:
        """The workspace was opened, or could not be."""
        if self._opened is None or self._opened.done():
            return
        self.sweeper.begin()
        if client is not None:
            self._opened.set_result(client)
        elif trouble is not None:
            self._opened.set_exception(trouble)

    def now(self) -> datetime:
        """Aware UTC; the client's clock once there is one."""
        if self._opened is not None and self._opened.done() and self._opened.exception() is None:
            return self._opened.result().clock.now()
        return datetime.now(UTC)

    @property
    def view(self) -> View:
        """The one in front."""
        view = self.shelf.front
        assert view is not None  # keys and messages about views come when there is one
        return view

    def _tick(self) -> None:
        if self._leaving:
            return
        read_at = self.watcher.read_at
        if read_at is not None and self.state.trouble is None:
            self.state = replace(self.state, read_at=read_at)
        self._show_vitals()
        self.sweeper.tick()
        view = self.shelf.front
        if view is not None and view.shown:  # one that is still being put together has nothing to move yet
            view.tick(self.now())

    def _show_vitals(self) -> None:
        now = self.now()
        line = vital_line(self.state, self.session.name, now, self.session.look, self.size.width - 12)
        self.query_one("#vitals", Strips).show([line], clock(now))

    def show_frame(self) -> None:
        """Breadcrumbs and footer of what is in front now, or will be."""
        view, look = self.shelf.front, self.session.look
        crumbs = view.crumbs if view is not None else [screens.VIEWS[self.history.here.view].title]
        filter_text = view.filter_text if view is not None else ""
        self.query_one("#crumbs", Strips).show([crumb_line(crumbs, filter_text, look)])
        hidden = {each.id for each in self.keymap.actions if self.session.read_only and each.changes}
        if view is None or not view.FILTER_HINT:
            hidden.add("prompt.filter")
        actions = self.keymap.offered(self.scopes, hidden)
        actor = self.session.actor.name
        line = footer_line(actions, look, self.size.width - len(actor) - 2)
        self.query_one("#footer", Strips).show([line], actor + " ")

    def on_resize(self, event: events.Resize) -> None:
        """The lines of the frame fit anew."""
        self.call_after_refresh(self.show_frame)
        self.call_after_refresh(self._show_vitals)

    def say(self, text: str, tone: str = "") -> None:
        """A toast."""
        if self.is_running:
            self.screen_stack[0].query_one(Toasts).say(text, tone)

    # ---- places

    def go(self, place: Place) -> None:
        """Somewhere else."""
        if place != self.history.here:
            left = self.shelf.front
            self.history.go(place)
            if left is not None:
                left.vanish()
            self.shelf.show(place)

    def step(self, by: int) -> bool:
        """Back or forward in the history."""
        left = self.view
        place = self.history.step(by)
        if place is None:
            return False
        left.vanish()
        self.shelf.show(place)
        return True

    # ---- messages of threads

    @property
    def _leaving(self) -> bool:
        """Whether the console closes: what comes meanwhile finds no frame and half a view."""
        return self.session.closing.is_set()

    def _reduce(self, message: Message) -> None:
        if self._leaving:
            return
        before = self.state
        self.state = reduce(before, message)
        self._show_vitals()
        view = self.shelf.front
        if view is not None:
            view.vitals(self.state)

    def on_batch(self, message: Batch) -> None:
        """Events."""
        if self._leaving:
            return
        self.watcher.heard(message)
        self.shelf.happened(message)

    def on_signs(self, message: Signs) -> None:
        """Vital signs."""
        self._reduce(message)
        self.watcher.saw(message)
        self.leaver.saw(self.state)

    def on_store_trouble(self, message: StoreTrouble) -> None:
        """The state cannot be read."""
        self._reduce(message)

    def on_engine_starting(self, message: EngineStarting) -> None:
        """The engine is being started."""
        self._reduce(message)

    def on_engine_trouble(self, message: EngineTrouble) -> None:
        """It could not be."""
        self._reduce(message)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed in a way nobody expected is told, not swallowed."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self.say(f"This should not have happened: {type(error).__name__}: {error}", "bad")

    # ---- keys and actions

    @property
    def scopes(self) -> list[str]:
        """Whose actions count, innermost first."""
        return self.keyboard.scopes

    async def on_event(self, event: events.Event) -> None:
        """Keys go through the keymap first."""
        if isinstance(event, events.Key) and not event.is_forwarded and self.keyboard.take(event):
            return
        await super().on_event(event)

    def perform(self, action: Action) -> bool:
        """Carry an action out, by whoever its scope says. Every way to an action ends here."""
        return self.keyboard.perform(action)

    def kinds_in(self, name: str) -> list[str]:
        """Kinds of widgets in the open view of that name."""
        return self.shelf.kinds_in(name)

    def take_back(self) -> None:
        """Undo what was done last, where it can be."""
        if not self._undo:
            self.say("There is nothing to take back.")
            return
        label, undo = self._undo.pop()
        self.say(f"Taking back: {label}")
        undo()

    async def action_quit(self) -> None:
        """What Textual itself calls for quitting."""
        self.leaver.ask()

    def leave(self) -> None:
        """Close now."""
        self.session.closing.set()
        self.exit(0)

    # ---- prompts

    def on_prompt_entered(self, message: Prompt.Entered) -> None:
        """A line was entered."""
        self.goer.entered(message.text)

    def on_prompt_changed(self, message: Prompt.Changed) -> None:
        """A filter takes hold as it is typed."""
        self.goer.typed(message.text)

    def on_prompt_closed(self, message: Prompt.Closed) -> None:
        """The prompt was left."""
        self.goer.left()

    # ---- changing things

    def send(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        then: Callable[[Answer], None] | None = None,
        undo: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Send a command in a thread; say what came of it."""

        def answered(answer: Answer) -> None:
            self.say(answer.message, "ok")
            if undo is not None:
                self._undo.append(undo)
            if then is not None:
                then(answer)

        from console.sending import send

        key = f"send-{command}-{sorted(arguments.items(), key=str)}"
        self.questions.ask(key, lambda client: send(self.session, client, command, arguments), answered)

    def preview(self, preview: Preview, then: Callable[[Confirmed], None]) -> None:
        """Show what would be touched."""
        from console.widgets.preview import PreviewDialog

        def done(answer: Confirmed | None) -> None:
            if answer is not None:
                then(answer)

        self.push_screen(PreviewDialog(self.session.look, preview), done)
