"""Attempts that mean harm, or do it without meaning to (faults 33, 34, 35)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.executors.lines import LONGEST_LINE, Lines
from engine.executors.logfile import AttemptLog
from engine.executors.mask import Masker
from engine.model.errors import ErrorKind
from engine.ports.executor import CheckpointOffered, Measured, Progressed
from engine.sdk import wire
from tests.runtime.attempt_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, log_mb_per_attempt=4)
    yield bench
    bench.close()


HOSTILE = """
import json, socket, struct, time
link = socket.socket(fileno=3)
def frame(body): link.sendall(struct.pack(">I", len(body)) + body)
def say(**message): frame(json.dumps(message).encode())
def end(): say(t="outcome", outcome={"result": "success", "outputs": {"ok": 1}}); time.sleep(1000)
def junk(ctx):
    frame(b"{"); frame(b"\\xff\\xfe"); frame(b"[" * 100_000); say(t="nonsense"); say(t="metric", name=1, value="x")
    frame(b'{"t":"metric","name":"n","value":1e999}'); frame(b'"\\\\ud800"')
    link.sendall(struct.pack(">I", 3_000_000)); link.sendall(b"x" * 3_000_000)
    end()
def flood(ctx):
    for n in range(30_000):
        say(t="progress", done=n, total=None, unit="u" * 1000); say(t="metric", name=str(n), value=n)
    end()
def big(ctx): say(t="outcome", outcome={"result": "success", "outputs": {"x": "y" * 900_000}}); time.sleep(1000)
def deep(ctx):
    nest = b"[" * 200 + b"]" * 200
    frame(b'{"t":"outcome","outcome":{"result":"success","outputs":{"x":' + nest + b"}}}"); time.sleep(1000)
def odd(ctx): say(t="outcome", outcome={"result": "victory"}); time.sleep(1000)
def checkpoints(ctx):
    for n in range(1000): say(t="checkpoint", number=n, value=n)
    end()
def forks(ctx):
    import os
    if os.fork() == 0: return {"who": "child"}
    os.wait(); return {"who": "parent"}
"""


@pytest.fixture
def hostile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("engine.executors.supervisor.LINGER_AFTER_OUTCOME", 0.1)
    bench.module("hostile", HOSTILE)
    return bench


def test_messages_that_are_not_understood_are_ignored_and_noted(hostile: Bench) -> None:
    """Fault 35; and what lingers after its outcome is ended without losing it."""
    finished = hostile.end(hostile.python("hostile:junk"))
    assert finished.outcome.result == "success"
    assert finished.outcome.outputs == {"ok": 1}
    assert hostile.text().count("ignored") == 5


@pytest.mark.parametrize(("call", "words"), [("big", "inline"), ("deep", "deeply"), ("odd", "victory")])
def test_a_report_that_cannot_be_accepted_is_a_failure(hostile: Bench, call: str, words: str) -> None:
    error = hostile.end(hostile.python(f"hostile:{call}")).outcome.error
    assert error is not None
    assert error.kind is ErrorKind.LOGIC
    assert words in error.message


def test_a_flood_of_messages_is_throttled_here_too(hostile: Bench) -> None:
    token = hostile.python("hostile:flood")
    assert hostile.end(token).outcome.result == "success"
    assert len([one for one in hostile.reports if isinstance(one, Progressed)]) < 200
    assert len([one for one in hostile.reports if isinstance(one, Measured)]) < 30_000


def test_one_checkpoint_at_a_time(hostile: Bench) -> None:
    token = hostile.python("hostile:checkpoints")
    hostile.end(token)
    assert len([one for one in hostile.reports if isinstance(one, CheckpointOffered)]) == 1


def test_a_fork_that_comes_back_through_the_engine_says_nothing(hostile: Bench) -> None:
    assert hostile.end(hostile.python("hostile:forks")).outcome.outputs == {"who": "parent"}


def test_a_fork_bomb_is_ended_and_others_go_on(bench: Bench) -> None:
    """Fault 33, with a bomb that never grows past two hundred processes, however late it is ended."""
    leaf = "while :; do sleep 0.1; done"  # goes on forking for ever, one at a time
    both = "f $(($1 - 1)) & f $(($1 - 1)) & wait"
    bomb = f"f() {{ if [ $1 = 0 ]; then {leaf}; fi; {both}; }}; touch lit; f 5 & f 5 & wait"
    token = bench.shell(f"ulimit -t 5; {bomb}", timeout_seconds=3.0, grace_seconds=0.0)
    bench.marked("lit")
    other = bench.shell("echo fine", log="other.jsonl")
    assert bench.end(other).outcome.result == "success"
    assert bench.end(token).killed_for == "timeout"


def test_a_flood_of_output_is_capped_and_harms_nobody(bench: Bench) -> None:
    """Fault 34: 64 MiB without a newline, with NUL and bad UTF-8; another attempt's end comes through meanwhile."""
    code = (
        "import os,sys\nfor n in range(64): os.write(1, (b'\\0' + b'\\xff' + b'a' * 1022) * 1024)\nopen('done','w')"
    )
    flood = bench.shell(["python3", "-c", code], log="flood.jsonl")
    bench.started(flood)
    other = bench.shell("echo fine", log="other.jsonl")
    assert bench.end(other).outcome.result == "success"
    assert bench.text("other.jsonl") == "fine"
    assert bench.end(flood).outcome.result == "success"
    size = sum(path.stat().st_size for path in bench.logs.glob("flood.jsonl*"))
    assert 2_000_000 < size < 4_600_000
    lines = bench.lines("flood.jsonl")
    assert all("b64" in line for line in lines if line["stream"] == "stdout")
    assert any("are missing here" in line.get("text", "") for line in lines)


def test_a_flood_of_short_lines_keeps_the_first_half_and_the_last(bench: Bench) -> None:
    """LOG-09"""
    bench.end(bench.shell("seq 1 120000"))
    lines = bench.lines()
    seqs = [line["seq"] for line in lines]
    assert seqs == sorted(seqs)
    assert len(set(seqs)) == len(seqs)
    shown = [line["text"] for line in lines if line["stream"] == "stdout"]
    assert shown[0] == "1"
    assert shown[-1] == "120000"
    gap = next(line for line in lines if line["stream"] == "engine")
    missing = int(gap["text"].split()[0])
    assert missing == 120000 - len(shown)


def test_a_log_that_cannot_be_written_costs_lines_and_nothing_else(bench: Bench) -> None:
    """Fault 15"""
    bench.logs.mkdir()
    (bench.logs / "blocked").write_text("a file where a folder should be")
    token = bench.shell("echo one; echo two", log="blocked/attempt.jsonl")
    assert bench.end(token).outcome.result == "success"


def test_lines_that_were_dropped_are_counted_when_writing_works_again(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "gone" / "a.jsonl", cap=10_000, now=lambda: datetime.now(UTC))
    (tmp_path / "gone").write_text("in the way")
    for _ in range(3):
        log.add("stdout", "INFO", b"lost", at="x")
    log.flush()
    (tmp_path / "gone").unlink()
    log.add("stdout", "INFO", b"kept", at="x")
    log.close()
    text = (tmp_path / "gone" / "a.jsonl").read_text()
    assert "3 lines could not be written" in text
    assert "kept" in text
    assert '"lost"' not in text


def test_lines_of_which_no_note_could_be_written_either_stay_counted(tmp_path: Path) -> None:
    """FAULTS 15: the note about lost lines is lost like them, and is none of them."""
    log = AttemptLog(tmp_path / "gone" / "a.jsonl", cap=10_000, now=lambda: datetime.now(UTC))
    (tmp_path / "gone").write_text("in the way")
    for count in range(1, 4):
        log.add("stdout", "INFO", b"lost", at="x")
        log.flush()
        assert log.lost == count
    log.close()
    assert log.lost == 3


def test_a_log_written_in_part_counts_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, room = tmp_path / "a.jsonl", os.write, [250]

    def little(handle: int, data: bytes | memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(room[0], len(data))
        room[0] -= taken
        return write(handle, data[:taken])

    log = AttemptLog(path, cap=100_000, now=lambda: datetime.now(UTC))
    for _ in range(10):
        log.add("stdout", "INFO", b"a line", at="x")
    monkeypatch.setattr(os, "write", little)
    log.flush()
    whole = path.read_bytes().count(b"\n")
    assert 0 < whole < 10
    assert log.lost == 10 - whole
    room[0] = 10_000
    log.add("stdout", "INFO", b"the end", at="x")
    log.close()
    text = path.read_text()
    assert f"{10 - whole} lines could not be written here" in text and "the end" in text
    assert text.count('"a line"') == whole
    assert log.lost == 0


def test_a_long_line_is_cut_and_its_pieces_add_up() -> None:
    lines = Lines(Masker())
    data = b"".join(b"%06d" % n for n in range(40_000))
    pieces = [piece for at in range(0, len(data), 1000) for piece in lines.feed(data[at : at + 1000])]
    pieces += list(lines.feed(b"\nnext"))
    pieces += list(lines.end())
    assert b"".join(piece for piece, _ in pieces) == data + b"next"
    assert all(len(piece) <= LONGEST_LINE for piece, _ in pieces)
    assert [more for _, more in pieces] == [True, True, True, False, False]


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_no_cut_goes_through_a_secret(step: int) -> None:
    masker = Masker()
    masker.add(["the-secret-value"])
    lines = Lines(masker)
    data = b"a" * (LONGEST_LINE - 8) + b"the-secret-value" + b"b" * 30
    pieces = [piece for at in range(0, len(data), step) for piece, _ in lines.feed(data[at : at + step])]
    pieces += [piece for piece, _ in lines.end()]
    assert b"".join(pieces) == data.replace(b"the-secret-value", b"***")


def test_secrets_are_masked_in_the_spellings_they_take() -> None:
    masker = Masker()
    masker.add(['p"w/d é', "line one\nline two", "abc"])
    text = masker.text('p"w/d é  p\\"w/d é  p%22w%2Fd%20%C3%A9  line two  abc')
    assert text == "***  ***  ***  ***  abc"


def test_an_oversized_frame_is_skipped_without_being_kept() -> None:
    reader = wire.FrameReader(cap=10)
    data = (20).to_bytes(4, "big") + b"x" * 20 + (3).to_bytes(4, "big") + b"abc"
    frames = [frame for at in range(len(data)) for frame in reader.feed(data[at : at + 1])]
    assert frames == [b"abc"]
    assert reader.skipped == 1
