"""The rate of a connection over the processes of a workspace, by the moments at which it lets requests go."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.connectors.rest import rate as rates
from engine.connectors.rest.patience import Patience
from engine.connectors.rest.rate import LONGEST_HOLD, Rate, file_of
from engine.ports.connector import Fetched
from tests.contract.web_service import Answer, Asked, serving

NEAR = 1e-6
SECONDS = 60  # a deadline for a loaded machine, not a measurement


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".penstock").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def file(root: Path) -> Path:
    found = file_of(root, "api")
    assert found is not None
    return found


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for each in begun:
        each.kill()
        each.communicate()


def begin(root: Path, url: str, per_second: float, count: int) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PENSTOCK_TIME_SCALE"}
    command = [sys.executable, "-m", "tests.contract.rate_process", str(root), url, str(per_second), str(count)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path.cwd()
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def moments(said: str) -> list[float]:
    """Of the requests."""
    told = [line.split() for line in said.splitlines()]
    return [float(moment) for what, moment in told if what == "request"]


def taken(rate: Rate, now: float) -> float:
    """When a request may go that is wanted now; it is taken then."""
    while wait := rate.wait(now):
        now += wait
    return now


class TestProcesses:
    def test_two_processes_together_keep_the_rate(self, root: Path, processes: list[subprocess.Popen[str]]) -> None:
        """SRC-10, RES-02: no two requests have one moment, and the service sees none too early."""
        arrived: list[float] = []
        with serving(lambda asked: arrived.append(time.monotonic())) as service:
            processes += [begin(root, service.url, 25.0, 15) for _ in range(2)]
            for each in processes:
                assert each.stdin is not None
                print("go", file=each.stdin, flush=True)
            said = [each.communicate(timeout=SECONDS)[0] for each in processes]
        assert [each.returncode for each in processes] == [0, 0]
        gone = sorted(moment for each in said for moment in moments(each))
        assert len(gone) == len(arrived) == 30
        for number in range(2, 30):  # two may go at once, and never more than that
            assert gone[number] - gone[number - 2] >= 1 / 25 - NEAR
        for number, at in enumerate(sorted(arrived)):
            assert at >= gone[0] + (number - 1) / 25 - NEAR

    def test_what_a_service_asks_one_of_them_all_wait(
        self, root: Path, processes: list[subprocess.Popen[str]]
    ) -> None:
        """SRC-10, FAULTS 30: Retry-After holds the other processes too."""
        refused: list[float] = []

        def answer(asked: Asked) -> Answer:
            if refused:
                return Answer(200, {})
            refused.append(time.monotonic())
            return Answer(429, {}, {"Retry-After": "1"})

        with serving(answer) as service:
            one, other = begin(root, service.url, 1000.0, 1), begin(root, service.url, 1000.0, 1)
            processes += [one, other]
            assert one.stdin is not None
            print("go", file=one.stdin, flush=True)
            one.communicate(timeout=SECONDS)
            assert one.returncode == 0  # it has waited, and asked again
            held = held_until(root)
            assert held >= refused[0] + 1
            later, _ = other.communicate("go\n", timeout=SECONDS)
        assert other.returncode == 0 and moments(later)
        assert all(moment >= held - NEAR for moment in moments(later))

    def test_who_is_killed_while_waiting_leaves_nothing_behind(
        self, root: Path, file: Path, processes: list[subprocess.Popen[str]]
    ) -> None:
        """FAULTS 2: neither a lock nor a request that nobody makes."""
        with serving(lambda asked: {}) as service:
            one = begin(root, service.url, 0.01, 3)
            processes.append(one)
            assert one.stdin is not None and one.stdout is not None
            print("go", file=one.stdin, flush=True)
            told = [one.stdout.readline().split() for _ in range(3)]
            assert [what for what, _ in told] == ["request", "request", "wait"]
            one.send_signal(signal.SIGTERM)
            assert one.wait(SECONDS) == -signal.SIGTERM  # a hundred seconds before its time
        first, waiting = float(told[0][1]), float(told[2][1])
        assert taken(Rate(0.01, 2, file), waiting) == pytest.approx(first + 100, abs=NEAR)


def held_until(root: Path) -> float:
    file = file_of(root, "api")
    assert file is not None
    return float(json.loads(file.read_bytes())[2])


class TestFile:
    def test_two_rates_of_a_file_are_one(self, file: Path) -> None:
        one, other = Rate(2.0, 2, file), Rate(2.0, 2, file)
        assert [taken(each, 100.0) for each in (one, other, one, other)] == [100.0, 100.0, 100.5, 101.0]

    def test_who_has_to_wait_takes_nothing(self, file: Path) -> None:
        one, other = Rate(1.0, 1, file), Rate(1.0, 1, file)
        assert [one.wait(100.0), other.wait(100.25), other.wait(100.5), one.wait(101.0)] == [0.0, 0.75, 0.5, 0.0]

    def test_other_connections_and_workspaces_have_files_of_their_own(self, root: Path, tmp_path: Path) -> None:
        """FAULTS 39: whatever a connection is called, its file is in the folder."""
        names = [file_of(root, name) for name in ("api", "API", "a/../../b", "a_.._.._b")]
        assert len(set(names)) == 4
        assert all(each is not None and each.parent == root / ".penstock/rates" for each in names)
        assert file_of(tmp_path / "elsewhere", "api") is None and file_of(None, "api") is None

    @pytest.mark.parametrize(
        "content",
        [
            b"\0" * 160,
            b"[1, 2",
            b"{}",
            b'["BOOT", 1, null]',
            b'["BOOT", NaN, 0]',
            b'["BOOT", 1e300, 0]',
            b'["BOOT", 0, 1e9]',
            b"[" * 160,
        ],
    )
    def test_a_damaged_file_stands_for_a_burst_that_is_spent(self, file: Path, content: bytes) -> None:
        """FAULTS 18: no storm, no wait without end; and the file is mended."""
        taken(Rate(1.0, 3, file), 50.0)
        file.write_bytes(content.replace(b"BOOT", rates._boot().encode()))
        one, other = Rate(1.0, 3, file), Rate(1.0, 3, file)
        assert [taken(one, 100.0), taken(other, 100.0), taken(one, 100.0)] == [100.0, 101.0, 102.0]

    def test_a_file_of_before_a_boot_counts_for_nothing(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clock begins again with each boot."""
        with monkeypatch.context() as before:
            before.setattr(rates, "_boot", lambda: "another")
            assert [taken(Rate(1.0, 1, file), 5000.0) for _ in range(3)][-1] == 5002.0
        assert taken(Rate(1.0, 1, file), 10.0) == 10.0
        assert taken(Rate(1.0, 1, file), 10.0) == 11.0

    def test_whatever_becomes_of_the_file_a_process_keeps_the_rate(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is deleted, or a machine that shares the folder and no clock writes it too."""
        one = Rate(1.0, 1, file)
        assert one.wait(100.0) == 0.0
        file.unlink()
        assert one.wait(100.25) == 0.75
        with monkeypatch.context() as there:
            there.setattr(rates, "_boot", lambda: "another machine's")
            assert Rate(1.0, 1, file).wait(7.0) == 0.0
        assert one.wait(100.5) == 0.5

    def test_where_the_file_cannot_be_had_the_rate_holds_within_the_process(self, file: Path) -> None:
        file.parent.write_text("no folder")
        one = Rate(1.0, 1, file)
        assert [taken(one, 100.0) for _ in range(3)] == [100.0, 101.0, 102.0]
        assert taken(Rate(1.0, 1, file), 100.0) == 100.0

    def test_a_link_in_its_place_is_not_followed(self, file: Path, tmp_path: Path) -> None:
        """FAULTS 39."""
        (tmp_path / "mine").write_text("mine")
        file.parent.mkdir()
        file.symlink_to(tmp_path / "mine")
        assert taken(Rate(1.0, 1, file), 100.0) == 100.0
        assert (tmp_path / "mine").read_text() == "mine"

    def test_who_stands_still_with_the_lock_holds_nobody_up(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """FAULTS 6: it knows what it was given before, and goes on by itself."""
        monkeypatch.setattr(rates, "LOCK_SECONDS", 0.0)
        one = Rate(1.0, 1, file)
        assert taken(one, 100.0) == 100.0
        with file.open("r+b") as stopped:
            fcntl.flock(stopped, fcntl.LOCK_EX)
            assert taken(one, 100.0) == 101.0
        assert taken(Rate(1.0, 1, file), 100.0) == 101.0  # what it took meanwhile was its own business

    def test_no_two_requests_have_one_moment(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """RES-02: many at once."""
        monkeypatch.setattr(rates, "LOCK_SECONDS", float(SECONDS))
        with ThreadPoolExecutor(4) as many:
            gone = [*many.map(lambda _: taken(Rate(64.0, 1, file), 100.0), range(400))]
        assert sorted(gone) == [100.0 + number / 64 for number in range(400)]

    def test_the_file_is_as_private_as_the_folder_around_it(self, root: Path, file: Path) -> None:
        taken(Rate(1.0, 1, file), 0.0)
        assert (file.parent.stat().st_mode & 0o7777, file.stat().st_mode & 0o777) == (0o700, 0o600)
        (root / "group/.penstock").mkdir(parents=True)
        (root / "group/.penstock").chmod(0o2770)
        shared = file_of(root / "group", "api")
        assert shared is not None
        taken(Rate(1.0, 1, shared), 0.0)
        assert (shared.parent.stat().st_mode & 0o7777, shared.stat().st_mode & 0o777) == (0o2770, 0o660)

    def test_a_hold_holds_all_and_they_go_one_by_one_after_it(self, file: Path) -> None:
        one, other = Rate(1.0, 3, file), Rate(1.0, 3, file)
        other.hold(110.0, 100.0)
        assert one.wait(101.0) == 9.0
        assert [taken(each, 101.0) for each in (one, other, one)] == [110.0, 111.0, 112.0]

    def test_no_hold_is_longer_than_an_attempt_waits(self, file: Path) -> None:
        """FAULTS 30: a huge Retry-After is the retry policy's."""
        Rate(1.0, 1, file).hold(1e9, 100.0)
        assert taken(Rate(1.0, 1, file), 100.0) == 100.0 + LONGEST_HOLD


class TestWaiting:
    def test_nobody_waits_with_the_lock_in_hand(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PENSTOCK_TIME_SCALE", raising=False)
        clock, slept = [100.0], []

        def sleep(seconds: float) -> None:
            with file.open("r+b") as looked:
                fcntl.flock(looked, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError were it held
            slept.append(seconds)
            clock[0] += seconds

        patience = Patience(rate=Rate(2.0, 1, file), monotonic=lambda: clock[0], sleep=sleep)
        for _ in range(3):
            patience.ask(lambda: Fetched(url="", status=200), "x")
        assert slept == pytest.approx([0.5, 0.5])

    def test_who_waits_when_a_server_asks_for_patience_waits_longer(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PENSTOCK_TIME_SCALE", raising=False)
        clock, asked = [100.0], []

        def sleep(seconds: float) -> None:
            if clock[0] == 100.0:
                Rate(1.0, 1, file).hold(110.0, 100.0)  # another process was told so meanwhile
            clock[0] += seconds

        patience = Patience(rate=Rate(1.0, 1, file), monotonic=lambda: clock[0], sleep=sleep)
        for _ in range(2):
            patience.keep_rate()
            asked.append(clock[0])
        assert asked == [100.0, 110.0]
