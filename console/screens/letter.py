"""One dead letter: what went wrong in each attempt, what was done about it, and what it would run again with.

Law: two cards beside each other where there is room, else one below the other in one. Read anew when anything was
done with letters or with its run.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.messages import Batch
from console.place import Place
from console.present import letters as present
from console.present.cells import Cell, cell
from console.present.letters import LetterDetail
from console.screens import redrive
from console.screens.letterdeeds import LetterDeeds
from console.screens.redrive import Chosen
from console.widgets.card import Card
from engine.client.names import label
from engine.model.errors import NotFound

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_CHANGES = ("command.accepted", "run.reopened")


class LetterView(LetterDeeds):
    """A letter."""

    NAME = "letter"
    DEFAULT_CSS = """
    LetterView #body { height: 1fr; }
    LetterView #happened { width: 1fr; }
    LetterView #payload { width: 1fr; padding: 0 0 0 1; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._detail: LetterDetail | None = None
        self._none = ""  # why there is no letter

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield Card(self.looks, id="happened")
            yield Card(self.looks, id="payload")

    def on_mount(self) -> None:
        """Room decides what is there."""
        self._tell()

    def on_resize(self) -> None:
        """Room decides what is there."""
        self._tell()

    @property
    def detail(self) -> LetterDetail | None:
        """What was read."""
        return self._detail

    @property
    def crumbs(self) -> list[str]:
        if self._detail is None:
            return ["Dead letters", self.place.argument or "newest"]
        letter = self._detail.letter
        name = f"{letter.pipeline_id}/{label(letter.task_id, letter.map_index)}"
        return ["Dead letters", letter.queue.value, name, letter.id]

    @property
    def run_argument(self) -> str:
        if self._detail is None:
            return ""
        letter = self._detail.letter
        return f"{letter.run_id} {label(letter.task_id, letter.map_index)}"

    # ---- reading

    def look(self) -> None:
        """The letter and all about it."""
        name = self._detail.letter.id if self._detail is not None else self.place.argument
        self.ask("letter", lambda client: read_letter(client, name), self._show, fail=self._missing)

    def take(self, batch: Batch) -> None:
        if letters_changed(batch) or (self._detail and batch.concerns(self._detail.letter.run_id)):
            self.look()

    def _missing(self, sentence: str) -> None:
        if self._detail is None:
            self._none = sentence
            self._tell()
        self.complain(sentence)

    def _show(self, detail: LetterDetail) -> None:
        self._detail = detail
        self._tell()
        self.console.show_frame()

    def _tell(self) -> None:
        left, right = self.query_one("#happened", Card), self.query_one("#payload", Card)
        right.display = self.wide
        if self._detail is None:
            left.show([[cell(self._none, "bad") if self._none else Cell("Reading" + self.looks.ellipsis, "dim")]])
            return
        told, payload = present.happened(self._detail, self.now()), present.payload(self._detail.letter)
        left.show(told if self.wide else [*told, [], *payload])
        right.show(payload)

    def tick(self, now: datetime) -> None:
        if self._detail is not None:
            self._tell()

    def copied(self) -> str:
        return self._detail.letter.id if self._detail is not None else ""

    # ---- actions

    def chosen(self) -> Chosen:
        """What actions work on."""
        return Chosen(ids=(self._detail.letter.id,)) if self._detail is not None else Chosen()


def letters_changed(batch: Batch) -> bool:
    """Whether letters may be other than they were."""
    return batch.lost or any(each.type in _CHANGES or each.type.startswith("letter.") for each in batch.events)


def read_letter(client: Client, name: str) -> LetterDetail:
    """The letter by its id or a unique prefix; without a name the newest open one."""
    queries = client.queries
    if name:
        letter = queries.letter(name)
    else:
        found, _ = queries.letters(limit=1)
        if not found:
            raise NotFound("No dead letter is open. `:dlq` lists them when there are some.")
        letter = found[0]
    try:
        run = client.run(letter.run_id)
    except NotFound:  # pruned: the letter outlives its run
        return LetterDetail(letter=letter, alike=queries.failures_like(letter.fingerprint))
    attempts = queries.attempts(letter.run_id, letter.task_id)
    return LetterDetail(
        letter=letter,
        attempts=[each for each in attempts if each.execution_id == letter.execution_id],
        alike=queries.failures_like(letter.fingerprint),
        below=redrive.skipped_below(client.pinned(run), queries.executions(letter.run_id), {letter.task_id}),
    )
