"""The contract of Mailbox: commands, and the lease that says which engine leads."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from engine.model.event import Actor
from tests.contract.store_records import T0, Rig, at, command, lease, patiently

CONTENDER = """
import sys
from datetime import timedelta
from pathlib import Path
from engine.model.workspace import Settings
from engine.stores.open import open_mailbox
from tests.contract.store_records import T0, lease, patiently

mailbox = open_mailbox(Settings(root=Path(sys.argv[1]), state=sys.argv[2]))
name = sys.argv[3]
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    now = T0 + timedelta(seconds=100 * number)
    candidate = lease(name, acquired_at=now, expires_at=now + timedelta(seconds=10))
    won = patiently(lambda: mailbox.acquire(candidate, now, holder_gone=False))
    print(won.epoch if won else 0, flush=True)
mailbox.close()
"""


def test_commands_come_in_order_and_go_when_they_are_answered(rig: Rig) -> None:
    box = rig.mailbox()
    hostile = command(
        "q1", arguments={"x": "'; -- \x1b é", "n": [1]}, actor=Actor(name="a", address="b", session="c")
    )
    box.send(hostile)
    box.send(command("q2"))
    box.send(command("q2"))  # sent again after a reply that was lost
    assert list(box.pending()) == [hostile, command("q2")]
    assert list(box.pending(limit=1)) == [hostile]
    box.remove(["q1", "unknown"])
    box.remove([])
    assert [each.request_id for each in rig.mailbox().pending()] == ["q2"]


def test_a_command_is_noticed_by_who_watches(rig: Rig) -> None:
    reader, sender = rig.mailbox(), rig.mailbox()
    _, token = reader.changed(None)
    assert reader.changed(token)[0] is False
    for number in range(3):
        sender.send(command(f"q{number}"))
        changed, token = reader.changed(token)
        assert changed
        assert reader.changed(token)[0] is False
    reader.send(command("own"))  # from another thread of the same process
    assert reader.changed(token)[0]


def test_many_threads_and_processes_lose_no_command(rig: Rig) -> None:
    box = rig.mailbox()

    def send_some(name: str) -> None:
        for number in range(10):
            one = command(f"{name}-{number}")
            patiently(lambda one=one: box.send(one))  # type: ignore[misc]

    threads = [threading.Thread(target=send_some, args=(str(each),)) for each in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(box.pending()) == 50


def test_the_lease_is_held_by_one_until_it_is_given_back(rig: Rig) -> None:
    one, two = rig.mailbox(), rig.mailbox()
    assert one.lease() is None
    held = one.acquire(lease("a"), T0, holder_gone=False)
    assert held == replace(lease("a"), epoch=1)
    assert two.lease() == held
    assert two.acquire(lease("b"), at(9), holder_gone=False) is None
    assert one.renew(held, at(20))
    assert two.acquire(lease("b"), at(19), holder_gone=False) is None
    one.release(held)
    assert one.lease() is None
    assert not one.renew(held, at(30))
    after = two.acquire(lease("b", 40), at(21), holder_gone=False)
    assert after is not None
    assert after.epoch == 2
    one.release(held)  # no longer ours: nothing happens
    assert two.lease() == after


def test_an_expired_lease_is_taken_over_and_its_holder_knows(rig: Rig) -> None:
    """FAULTS 5: who comes back past the lease finds that it is no longer theirs."""
    box = rig.mailbox()
    old = box.acquire(lease("a"), T0, holder_gone=False)
    assert old is not None
    new = box.acquire(lease("b", 30), at(10), holder_gone=False)
    assert new is not None
    assert new.epoch == old.epoch + 1
    assert not box.renew(old, at(60))
    assert box.lease() == new


def test_a_holder_proven_gone_is_followed_at_once_but_only_that_holder(rig: Rig) -> None:
    box = rig.mailbox()
    dead = box.acquire(lease("dead"), T0, holder_gone=False)
    assert dead is not None
    quick = box.acquire(lease("quick", epoch=dead.epoch), at(1), holder_gone=True)
    assert quick is not None
    assert box.acquire(lease("slow", epoch=dead.epoch), at(1), holder_gone=True) is None


def test_an_epoch_is_never_given_twice(rig: Rig) -> None:
    """FAULTS 19: not after a release, not when the mailbox is lost but the state remembers, not after a restore."""
    box = rig.mailbox()
    held = box.acquire(lease("a", epoch=7), T0, holder_gone=False)  # the state has seen epoch 7
    assert held is not None
    assert held.epoch == 8
    box.release(held)
    box.raise_epoch(20)
    box.raise_epoch(5)
    assert box.epoch() == 20
    again = box.acquire(lease("a"), T0, holder_gone=False)
    assert again is not None
    assert again.epoch == 21


def test_of_eight_processes_exactly_one_wins_each_epoch(rig: Rig) -> None:
    """FAULTS 7."""
    names = [f"engine-{number}" for number in range(8)]
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", CONTENDER, str(rig.settings.root), rig.settings.state]
    engines = [
        subprocess.Popen([*arguments, name], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    try:
        assert [engine.stdout.readline() for engine in engines if engine.stdout] == ["ready\n"] * 8
        for number in range(1, 6):
            for engine in engines:
                assert engine.stdin is not None
                engine.stdin.write(f"{number}\n")
                engine.stdin.flush()
            answers = sorted(int(engine.stdout.readline()) for engine in engines if engine.stdout)
            assert answers == [0] * 7 + [number]
    finally:
        for engine in engines:
            engine.communicate()
    standing = rig.mailbox().lease()
    assert standing is not None
    assert standing.epoch == 5


def test_looking_into_a_mailbox_that_is_not_there_creates_nothing(file_rig: Rig) -> None:
    box = file_rig.mailbox()
    assert (list(box.pending()), box.lease(), box.epoch()) == ([], None, 0)
    box.remove(["q1"])
    _, token = box.changed(None)
    assert not box.changed(token)[0]
    assert list(file_rig.settings.root.iterdir()) == []
    file_rig.mailbox().send(command("q1"))
    assert box.changed(token)[0]
    assert [each.request_id for each in box.pending()] == ["q1"]


def test_a_mailbox_that_was_deleted_is_made_again(file_rig: Rig) -> None:
    box = file_rig.mailbox()
    box.send(command("q1"))
    mailbox = file_rig.path.with_name("mailbox.db")
    mailbox.unlink()
    assert list(box.pending()) == []
    box.send(command("q2"))
    assert [each.request_id for each in box.pending()] == ["q2"]
    assert not [each for each in mailbox.parent.iterdir() if each.name.endswith(("-wal", "-journal"))]
