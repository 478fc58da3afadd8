"""Why: in sentences what holds a run or a task, or what it failed of; each thing to do about it a row to Enter.

Law: what is said was read in one go and is read again when an event names the run or one of its holders, or when
another engine leads. Whatever changes something goes through the action table and its preview.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from console import screens
from console.going import split_argument
from console.messages import Batch
from console.place import Place
from console.present import why as present
from console.present.rundetail import RunDetail
from console.present.why import Deed
from console.screens import changing, redrive
from console.screens.reading import read
from console.screens.view import View
from console.state import State
from console.theme import Look
from console.widgets.card import Card
from console.widgets.preview import Confirmed, Preview
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.names import label
from engine.client.values import Explanation

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_MOST_ROWS = 9  # of deeds in view
_CHANGING = {"retry": "run.retry", "cancel": "run.cancel", "mark": "run.mark"}
_GOING = {"why": "why", "logs": "logs", "show": "run"}

Read = tuple[Explanation, str]  # and the pipeline


class WhyView(View):
    """The reason."""

    NAME = "why"
    DEFAULT_CSS = """
    WhyView #told { height: 1fr; padding: 0 1; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.run_id, self.task_name = split_argument(place.argument)
        self._found: Explanation | None = None
        self._pipeline = ""
        self._leads: object = None  # who led when it was asked
        self._names: Sequence[str] | None = None  # what the deed names; None: what the view is about

    def compose(self) -> ComposeResult:
        yield Strips(self.looks, id="head")
        yield Card(self.looks, id="told")
        yield Strips(self.looks, id="rule")
        yield Table(
            present.deed_columns(),
            key=lambda deed: deed.command,
            natural=lambda deed: deed.place,
            look=self.looks,
            now=self.now,
            empty="Nothing needs to be done.",
            id="deeds",
        )

    def on_mount(self) -> None:
        """There is something to read at once."""
        self.table.styles.height = 2

    def focus_first(self) -> None:
        self.table.focus()

    @property
    def table(self) -> Table[Deed]:
        """What can be done."""
        return self.query_one("#deeds", Table)

    @property
    def found(self) -> Explanation | None:
        """What was read."""
        return self._found

    @property
    def crumbs(self) -> list[str]:
        return ["Runs", self._pipeline or self.run_id, *([self.task_name] if self.task_name else []), "Why"]

    @property
    def run_argument(self) -> str:
        return self.place.argument

    # ---- reading

    def look(self) -> None:
        """Ask why."""
        leader = self.console.state.leader
        self._leads = _who(leader)

        def why(client: Client) -> Read:
            run = client.run(self.run_id)
            return client.why(self.run_id, self.task_name, leader=leader), run.pipeline_id

        self.ask("why", why, self._show)

    def take(self, batch: Batch) -> None:
        if batch.lost or batch.runs & self._concerned():
            self.look()

    def _concerned(self) -> set[str]:
        """The run, and the runs of whoever holds it."""
        found = self._found
        holders = found.holders if found is not None else ()
        return {self.run_id, *(each.partition("/")[0] for each in holders)}

    def vitals(self, state: State) -> None:
        if _who(state.leader) != self._leads:
            self.look()

    def _show(self, answer: Read) -> None:
        self._found, self._pipeline = answer
        deeds = present.deeds(self._found)
        self.table.replace(deeds)
        self.table.styles.height = 1 + min(_MOST_ROWS, max(1, len(deeds)), max(1, self.size.height // 3))
        self._tell(self.now())
        self.console.show_frame()

    def _tell(self, now: datetime) -> None:
        if self._found is not None:
            self.query_one("#head", Strips).show([present.title(self._found, self.looks)])
            self.query_one(Card).show(present.told(self._found, now, self.looks))
            self._close_up()

    def _close_up(self) -> None:
        """What can be done stands right below the reason; a long reason takes what room there is, and scrolls."""
        told, table = self.query_one(Card), self.table.styles.height
        room = self.size.height - 2 - (int(table.value) if table is not None else 0)
        told.styles.height = told.rows + 1 if 0 < told.rows < room else "1fr"

    def on_resize(self) -> None:
        """As much as there is room for."""
        self._close_up()

    def tick(self, now: datetime) -> None:
        self._tell(now)

    def copied(self) -> str:
        """The command under the cursor while it has the focus, else all that is said."""
        deed = self.table.selected
        return deed.command if deed is not None and self.table.has_focus else self.query_one(Card).text

    # ---- doing something about it

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter does it."""
        event.stop()
        deed = self.table.selected
        if deed is not None:
            self.act(deed)

    def act(self, deed: Deed) -> None:
        """What the command means, here."""
        if deed.verb in _CHANGING and deed.names[:1] == (self.run_id,):
            self._perform(_CHANGING[deed.verb], [each for each in deed.names[1:] if not _state(deed.verb, each)])
        elif deed.verb in _GOING and deed.names:
            self.go(_GOING[deed.verb], " ".join(deed.names[:2]))
        elif deed.verb == "dlq show" and deed.names:
            self.go("letter", deed.names[0])
        elif deed.verb == "dlq requeue" and deed.names:
            self._perform("letter.edit", deed.names[:1])
        elif deed.verb == "connections test" and deed.names:
            self._test(deed.names[0])
        elif deed.verb == "engine":
            self._perform("engine.start", None)
        elif screens.entry(deed.verb) is not None:
            self.go(deed.verb)
        else:
            self.console.say(f"Type it outside of the console: {deed.command}")

    def _perform(self, name: str, names: Sequence[str] | None) -> None:
        """Through the action table, so that a read-only console refuses it as it refuses its key."""
        action = next(each for each in self.console.keymap.actions if each.id == name)
        self._names = names
        self.console.perform(action)
        self._names = None

    def _test(self, connection: str) -> None:
        def test(client: Client) -> tuple[bool, str] | None:
            return client.test(client.connection(connection))

        def tested(answer: tuple[bool, str] | None) -> None:
            if answer is None:
                self.console.say(f"Nothing can test the connection '{connection}'.")
            else:
                self.console.say(f"{connection}: {answer[1]}", "ok" if answer[0] else "bad")

        self.console.say(f"Testing {connection}{self.looks.ellipsis}")
        self.ask("test", test, tested, about=connection)

    def _tasks(self) -> list[str]:
        """What a key works on: the tasks the deed names, else the one the view is about, else the causes."""
        if self._names is not None:
            return list(self._names)
        if self.task_name is not None:
            return [self.task_name]
        causes = self._found.causes if self._found is not None else ()
        return [label(each.task_id, each.map_index) for each in causes if each.task_id is not None]

    def _change(self, change: Callable[[changing.Hands], None], names: list[str]) -> None:
        """The run is read, then the same preview as in its own view."""

        def shown(detail: RunDetail) -> None:
            if self.shown and len(self.app.screen_stack) == 1:
                change(_Hand(self, detail, names))

        self.ask("run", lambda client: read(client, self.run_id, None), shown, about=(change, tuple(names)))

    def do_run_retry(self) -> None:
        self._change(lambda hands: changing.retry(hands, downstream=False), self._tasks())

    def do_run_cancel(self) -> None:
        self._change(changing.cancel, self._tasks())

    def do_run_mark(self) -> None:
        self._change(changing.mark, self._tasks())

    def do_letter_edit(self) -> None:
        deeds = present.deeds(self._found) if self._found is not None else []
        open_ones = [each.names[0] for each in deeds if each.verb == "dlq requeue" and each.names]
        chosen = self._names if self._names is not None else open_ones
        redrive.edit(self, redrive.Chosen(ids=tuple(chosen)), self.look)

    def do_run_logs(self) -> None:
        self.go("logs", self.run_argument)

    def do_run_graph(self) -> None:
        self.go("run", self.run_argument)


class _Hand:
    """What console.screens.changing needs of a view: here for the tasks a reason names."""

    def __init__(self, view: WhyView, detail: RunDetail, names: list[str]) -> None:
        self._view = view
        self.detail: RunDetail | None = detail
        self.run_id = view.run_id
        self._names = names

    @property
    def looks(self) -> Look:
        return self._view.looks

    def chosen_tasks(self) -> list[str]:
        return self._names

    @property
    def console(self) -> changing.Voice:
        return self._view.console

    @property
    def listing(self) -> changing.Marks:
        return self._view.table

    def send(self, command: str, arguments: Mapping[str, Any]) -> None:
        self._view.send(command, arguments)

    def preview(self, preview: Preview, then: Callable[[Confirmed], None]) -> None:
        self._view.preview(preview, then)


def _state(verb: str, word: str) -> bool:
    """`mark RUN TASK success`: the last word is no task."""
    return verb == "mark" and word in ("success", "failed")


def _who(leader: Any) -> object:
    return None if leader is None else (leader.holder, leader.epoch)
