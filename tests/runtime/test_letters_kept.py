"""Open dead letters keep their runs past retention, and not for ever (DEP-06, DLQ-01, DLQ-07)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.bootstrap.host import host
from engine.bootstrap.workspace import Workspace, open_workspace
from engine.client.commands import Ticket
from engine.model.errors import NotFound
from engine.model.event import AuditEntry
from engine.model.run import DeadLetter, LetterStatus
from tests.runtime.crash_engine import DONE_WITHIN, eventually

DAYS, LETTERS_DAYS = 10, 30
PIPELINE = """\
id: {name}
name: {name}
tasks:
  - {{id: pay, name: Pay, type: shell, config: {{command: "exit {code}"}}}}
"""


class Later:
    """A clock that is put on by hand."""

    def __init__(self, clock: object) -> None:
        self._clock = clock
        self._by = timedelta()

    def now(self) -> datetime:
        return self._clock.now() + self._by  # type: ignore[attr-defined,no-any-return]  # a Clock

    def put_on(self, days: float) -> None:
        self._by += timedelta(days=days)

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)


@pytest.fixture
def later(tmp_path: Path) -> Iterator[tuple[Workspace, Later]]:
    """A workspace in which one run has failed and one has not."""
    root = tmp_path / "ws"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text(
        "version: 1\ndefaults: {retry_policy: {max_attempts: 1}}\n"
        f"retention: {{days: {DAYS}, letters_days: {LETTERS_DAYS}}}\n"
    )
    for name, code in (("owed", 3), ("paid", 0)):
        (root / "pipelines" / f"{name}.yaml").write_text(PIPELINE.format(name=name, code=code))
    workspace = open_workspace(root)
    clock = Later(workspace.clock)
    workspace.clock = clock  # type: ignore[assignment]  # a Clock in all it does
    for name in ("owed", "paid"):
        send(workspace, "run.trigger", pipeline_id=name, run_id=name)
    mine = host(workspace, "engine")
    assert mine.acquire()
    mine.start()
    mine.finish(["owed", "paid"], DONE_WITHIN)
    yield workspace, clock
    for each in threading.enumerate():
        if each.name == "sweep":
            each.join()  # it would keep the next test from sweeping
    workspace.close()


def send(workspace: Workspace, name: str, **arguments: object) -> Ticket:
    return workspace.client.commands.send(name, arguments)


@contextmanager
def leading(workspace: Workspace) -> Iterator[None]:
    mine = host(workspace, "engine")
    assert mine.acquire()
    mine.start()
    try:
        yield
    finally:
        mine.stop()


def letter(workspace: Workspace) -> DeadLetter:
    """The one of the run: by its id, because it may go from one status to the next between two questions."""
    (only,) = {
        each.id
        for status in LetterStatus
        for each in workspace.queries.letters(status=status)[0]
        if each.run_id == "owed"
    }
    return workspace.queries.letter(only)


def gone(workspace: Workspace, run_id: str = "owed") -> bool:
    try:
        workspace.queries.resolve_run(run_id)
    except NotFound:
        return True
    return False


def discards(workspace: Workspace) -> list[AuditEntry]:
    return [each for each in workspace.queries.audit() if each.action == "letter.discard"]


def test_a_run_with_an_open_letter_outlives_its_retention_and_can_still_be_requeued(
    later: tuple[Workspace, Later],
) -> None:
    """DLQ-05: what somebody still owes is there to be done."""
    workspace, clock = later
    clock.put_on(DAYS + 1)
    with leading(workspace):
        clock.put_on(1)  # the engine looks after five minutes, and then every hour
        eventually(lambda: gone(workspace, "paid"), DONE_WITHIN, "the run beside it goes")
        ticket = send(workspace, "letter.requeue", letter_ids=[letter(workspace).id])
        answer = workspace.client.commands.wait(ticket, timeout=DONE_WITHIN)
        assert answer is not None and answer.accepted, answer
        eventually(
            lambda: letter_count(workspace) == 2 and workspace.queries.resolve_run("owed").state.terminal,
            DONE_WITHIN,
            "it is tried again, and fails again",
        )
    assert not discards(workspace)


def letter_count(workspace: Workspace) -> int:
    return sum(len(workspace.queries.letters(status=status)[0]) for status in LetterStatus)


def test_a_closed_letter_keeps_nothing(later: tuple[Workspace, Later]) -> None:
    workspace, clock = later
    clock.put_on(DAYS + 1)
    with leading(workspace):
        send(workspace, "letter.discard", letter_ids=[letter(workspace).id], reason="paid by hand")
        eventually(lambda: letter(workspace).status is LetterStatus.DISCARDED, DONE_WITHIN, "it is closed")
        clock.put_on(1)
        eventually(lambda: gone(workspace), DONE_WITHIN, "the run goes")
    assert letter_count(workspace) == 0


def test_a_letter_nobody_took_up_for_all_that_time_is_discarded_with_an_entry_in_the_trail(
    later: tuple[Workspace, Later],
) -> None:
    """DLQ-07: the queue does not grow without bound; AUD: nobody has to guess where a letter went."""
    workspace, clock = later
    open_letter = letter(workspace)
    clock.put_on(LETTERS_DAYS + 1)
    with leading(workspace):
        clock.put_on(1)
        eventually(lambda: discards(workspace), DONE_WITHIN, "it is closed")
        clock.put_on(1)
        eventually(lambda: gone(workspace), DONE_WITHIN, "the run goes")
    (entry,) = discards(workspace)
    assert entry.actor.name == "engine" and entry.event_type == "SYSTEM_EVENT"
    assert entry.resource_id == open_letter.id
    assert entry.details["touched"] == ["owed/pay"]
    assert f"{LETTERS_DAYS} days" in str(entry.details["message"])
    assert entry.at > datetime.now(UTC) + timedelta(days=LETTERS_DAYS)
    assert workspace.queries.verify_audit()[1] is None
