"""Attempt logs read back while they grow, rotate and break; and lines of a run put together."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.logbook import Follower
from engine.executors.logfile import AttemptLog, stamp
from engine.model.errors import RequestError
from engine.model.run import Attempt
from engine.observe import logs
from engine.observe.correlate import LogCorrelator, parse_log_entry
from engine.observe.logs import LogFiles
from engine.ports.logs import LogReader

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOG = "run1/load[2].0.3.jsonl"


def record(seq: int, text: str, level: str = "INFO", seconds: float = 0.0) -> bytes:
    at = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return json.dumps({"seq": seq, "at": at, "stream": "stdout", "level": level, "text": text}).encode() + b"\n"


def write(folder: Path, *records: bytes, log: str = LOG, suffix: str = "") -> Path:
    path = folder / (log + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(records))
    return path


def texts(reader: LogReader, **options: object) -> list[str]:
    return [line.text for line in reader.lines(LOG, **options)]  # type: ignore[arg-type]  # per test


@pytest.fixture
def reader(tmp_path: Path) -> LogReader:
    return LogFiles(tmp_path)


class TestLines:
    def test_no_file_is_no_line(self, reader: LogReader) -> None:
        assert texts(reader) == []
        assert reader.tail(LOG, 5) == []

    def test_a_line_has_everything_that_was_stored(self, reader: LogReader, tmp_path: Path) -> None:
        """LOG-10: logs are kept per attempt."""
        write(tmp_path, record(1, "hello\x1b[31m", "ERROR"))
        (line,) = reader.lines(LOG)
        assert (line.seq, line.at, line.stream, line.level) == (1, START, "stdout", "ERROR")
        assert line.text == "hello\x1b[31m"
        assert (line.task_id, line.map_index, line.attempt) == ("load", 2, 3)

    def test_a_reader_goes_on_where_it_stopped(self, reader: LogReader, tmp_path: Path) -> None:
        path = write(tmp_path, record(1, "a"), record(2, "b"))
        last = list(reader.lines(LOG))[-1].seq
        with path.open("ab") as file:
            file.write(record(3, "c"))
        assert texts(reader, after=last) == ["c"]

    def test_a_line_still_being_written_waits(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, record(1, "a"), record(2, "b")[:-10])
        assert texts(reader) == ["a"]
        assert [line.text for line in reader.tail(LOG, 5)] == ["a"]

    def test_a_damaged_line_hides_no_other(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, record(1, "a"), b'{"seq": 2, "te\x00\n', b"[1]\n", record(4, "d"))
        assert texts(reader)[0] == "a"
        assert texts(reader)[-1] == "d"
        assert "damaged" in texts(reader)[1]

    @pytest.mark.parametrize("damaged", [b"\n", b'{"seq": 1, "te\n', b"\n\n[1]\n"])
    def test_a_damaged_first_line_hides_no_other(self, reader: LogReader, tmp_path: Path, damaged: bytes) -> None:
        """FAULTS 15: the disk was full when the log began."""
        write(tmp_path, damaged, record(2, "b"), record(3, "c"))
        assert texts(reader)[-2:] == ["b", "c"]
        assert [line.text for line in reader.tail(LOG, 2)] == ["b", "c"]

    def test_grep_looks_for_text_not_patterns(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, record(1, "Loaded 3 rows"), record(2, "[ERROR] .*"), record(3, "done"))
        assert texts(reader, grep="loaded") == ["Loaded 3 rows"]
        assert texts(reader, grep=".*") == ["[ERROR] .*"]

    def test_bytes_that_are_no_text_come_back(self, reader: LogReader, tmp_path: Path) -> None:
        """FAULTS 34: bad UTF-8."""
        data = b"bad \xff\x00 byte"
        stored = {"seq": 1, "at": "2026-03-01T12:00:00Z", "stream": "stdout", "level": "INFO"}
        write(tmp_path, json.dumps({**stored, "b64": base64.b64encode(data).decode()}).encode() + b"\n")
        assert texts(reader)[0].encode("utf-8", "surrogateescape") == data

    def test_a_monstrous_line_is_passed_over(self, reader: LogReader, tmp_path: Path) -> None:
        """FAULTS 34: no newline for megabytes."""
        write(tmp_path, record(1, "a"), b"x" * 3_000_000 + b"\n", record(3, "c"))
        assert [texts(reader)[0], texts(reader)[-1]] == ["a", "c"]

    def test_pokes_that_share_a_file_are_all_read(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, record(1, "a"), record(2, "b"), record(1, "c"), record(2, "d"))
        assert texts(reader) == ["a", "b", "c", "d"]
        assert texts(reader, after=3) == ["d"]


class TestRotation:
    def rotated(self, folder: Path, lines: int) -> list[str]:
        """A log written by the executor's own writer past its cap."""
        log = AttemptLog(folder / LOG, cap=4000, now=lambda: START)
        said = [f"line {number}" for number in range(1, lines + 1)]
        for text in said:
            log.add("stdout", "INFO", text.encode(), at=stamp(START))
        log.close()
        return said

    def test_the_parts_are_read_in_order_and_the_gap_is_named(self, reader: LogReader, tmp_path: Path) -> None:
        """LOG-09: size control; a line says how much is missing."""
        said = self.rotated(tmp_path, 200)
        found = list(reader.lines(LOG))
        assert found[0].text == said[0]
        assert found[-1].text == said[-1]
        (gap,) = [line for line in found if line.stream == "engine"]
        assert "are missing here" in gap.text
        assert [line.seq for line in found] == sorted({line.seq for line in found})

    @pytest.mark.parametrize("short", [-1, 1_000_000])
    @pytest.mark.parametrize("count", [1, 5, 40, 1000])
    def test_the_tail_is_the_end_of_the_lines(
        self, reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, short: int
    ) -> None:
        monkeypatch.setattr("engine.observe.logs._SHORT", short)
        self.rotated(tmp_path, 200)
        assert reader.tail(LOG, count) == list(reader.lines(LOG))[-count:]


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, 40), st.integers(1, 200))
def test_the_tail_agrees_with_the_lines_whatever_the_block(
    tmp_path_factory: pytest.TempPathFactory, said: Sequence[str], count: int, block: int
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    write(folder, *(record(number, text) for number, text in enumerate(said, start=1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.observe.logs._BLOCK", block)
        patch.setattr("engine.observe.logs._SHORT", -1)
        reader = LogFiles(folder)
        assert reader.tail(LOG, count) == list(reader.lines(LOG))[-count:]


class TestFollowing:
    def test_a_follower_sees_every_line_once_whatever_the_rotation(self, tmp_path: Path) -> None:
        reader, seen = LogFiles(tmp_path), []
        log = AttemptLog(tmp_path / LOG, cap=100_000, now=lambda: START)
        for number in range(1, 301):
            log.add("stdout", "INFO", f"line {number}".encode(), at=stamp(START))
            if number % 7 == 0:
                log.flush()
                seen += list(reader.lines(LOG, after=seen[-1].seq if seen else 0))
        log.close()
        seen += list(reader.lines(LOG, after=seen[-1].seq))
        assert [line.text for line in seen] == [f"line {number}" for number in range(1, 301)]

    @pytest.mark.parametrize("grep", [None, "line 1"])
    def test_it_reads_only_what_is_new(
        self, reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grep: str | None
    ) -> None:
        path = write(tmp_path, *(record(number, f"line {number}") for number in range(1, 100)))
        last = list(reader.lines(LOG, grep=grep))[-1].seq
        with path.open("ab") as file:
            file.write(record(100, "line 100"))
        decoded: list[object] = []
        real = logs._decode
        monkeypatch.setattr("engine.observe.logs._decode", lambda raw: decoded.append(raw) or real(raw))
        assert texts(reader, after=last, grep=grep) == ["line 100"]
        assert len(decoded) == 2  # the first line, by which parts are put in order, and the new one

    @pytest.mark.parametrize("short", [-1, 1_000_000])
    def test_from_the_tail_on_only_what_is_new_is_read(
        self, reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int
    ) -> None:
        """CON: a pane that shows the end of a long log never reads all of it."""
        monkeypatch.setattr("engine.observe.logs._SHORT", short)
        path = write(tmp_path, *(record(number, f"line {number}") for number in range(1, 100)))
        with path.open("ab") as file:
            file.write(record(100, "line 100")[:-10])  # still being written
        last = reader.tail(LOG, 5)[-1]
        with path.open("ab") as file:
            file.write(record(100, "line 100")[-10:])
        decoded: list[object] = []
        real = logs._decode
        monkeypatch.setattr("engine.observe.logs._decode", lambda raw: decoded.append(raw) or real(raw))
        assert last.text == "line 99" and texts(reader, after=last.seq) == ["line 100"]
        assert len(decoded) == 2  # the first line, by which parts are put in order, and the new one

    @pytest.mark.parametrize("short", [-1, 1_000_000])
    def test_a_follower_may_begin_before_the_end_of_logs_that_are_new_to_it(
        self, reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int
    ) -> None:
        monkeypatch.setattr("engine.observe.logs._SHORT", short)
        path = write(tmp_path, *(record(number, f"line {number}") for number in range(1, 100)))
        first = Attempt(
            token="t", execution_id="e", run_id="run1", task_id="load", map_index=2, number=3, epoch=1,
            submitted_at=START, log=LOG,
        )  # fmt: skip
        follower = Follower(reader, last=2)
        assert [(each.text, each.attempt) for each in follower.poll([first])] == [("line 98", 3), ("line 99", 3)]
        with path.open("ab") as file:
            file.write(b"".join(record(number, f"line {number}") for number in range(100, 105)))
        assert [each.text for each in follower.poll([first])] == [f"line {n}" for n in range(100, 105)]
        assert list(follower.poll([first])) == []

    def test_another_reader_of_the_same_log_starts_where_it_asks(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, *(record(number, str(number)) for number in range(1, 5)))
        assert texts(reader) == ["1", "2", "3", "4"]
        assert texts(reader, after=2) == ["3", "4"]
        assert texts(reader) == ["1", "2", "3", "4"]

    def test_a_file_made_anew_is_read_from_its_beginning(self, reader: LogReader, tmp_path: Path) -> None:
        write(tmp_path, record(1, "a"), record(2, "b")).unlink()
        other = write(tmp_path, record(1, "x"), log="run1/other.0.1.jsonl")
        assert texts(reader) == []
        other.rename(tmp_path / LOG)
        assert texts(reader) == ["x"]


class TestFolder:
    @pytest.mark.parametrize("log", ["../secret", "/etc/passwd", "run1/../../secret", "", "a\x00b"])
    def test_nothing_outside_is_read(self, tmp_path: Path, log: str) -> None:
        """FAULTS 39: path traversal."""
        (tmp_path / "secret").write_bytes(record(1, "secret"))
        (tmp_path / "logs").mkdir()
        with pytest.raises(RequestError, match="not below the logs folder"):
            list(LogFiles(tmp_path / "logs").lines(log))

    def test_a_link_to_the_outside_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(record(1, "secret"))
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "x.jsonl").symlink_to(tmp_path / "secret")
        with pytest.raises(RequestError):
            list(LogFiles(tmp_path / "logs").lines("x.jsonl"))

    def test_a_run_is_deleted_whole_and_alone(self, reader: LogReader, tmp_path: Path) -> None:
        size = write(tmp_path, record(1, "a")).stat().st_size
        size += write(tmp_path, record(9, "z"), suffix=".new").stat().st_size
        kept = write(tmp_path, record(1, "b"), log="run10/x.0.1.jsonl").stat().st_size
        assert reader.used_bytes() == size + kept
        assert reader.delete_run("run1") == size
        assert reader.used_bytes() == kept
        assert reader.delete_run("run1") == 0

    @pytest.mark.parametrize("run_id", [".", "run1/.."])
    def test_all_logs_are_no_run(self, reader: LogReader, tmp_path: Path, run_id: str) -> None:
        write(tmp_path, record(1, "a"))
        assert reader.delete_run(run_id) == 0
        assert texts(reader) == ["a"]


class TestEntries:
    """LOG-02: parse_log_entry."""

    def test_key_value_lines(self) -> None:
        line = (
            "timestamp=2024-01-15T10:30:45Z level=ERROR component=task-executor pipeline_id=pipeline-123 "
            "run_id=run-456 task_id=extract attempt=2 error_type=TIMEOUT_ERROR "
            'message="Database \\"query\\" timeout after 300s"'
        )
        entry = parse_log_entry(line)
        assert entry is not None
        assert entry.timestamp == datetime(2024, 1, 15, 10, 30, 45, tzinfo=UTC)
        assert (entry.level, entry.component, entry.run_id) == ("ERROR", "task-executor", "run-456")
        assert (entry.pipeline_id, entry.task_id, entry.attempt) == ("pipeline-123", "extract", 2)
        assert (entry.error_type, entry.message) == ("TIMEOUT_ERROR", 'Database "query" timeout after 300s')
        assert entry.raw_line == line

    def test_json_lines(self) -> None:
        entry = parse_log_entry('{"at": "2024-01-15T10:30:45Z", "level": "info", "component": "c", "message": "m"}')
        assert entry is not None
        assert (entry.level, entry.component, entry.run_id, entry.message) == ("INFO", "c", None, "m")

    @pytest.mark.parametrize(
        "line", ["", "hello", "{", "[1]", 'level=INFO message="no time"', '{"at": 5, "level": 1}']
    )
    def test_any_other_line_is_none(self, line: str) -> None:
        assert parse_log_entry(line) is None

    @given(st.text(max_size=200))
    def test_no_line_is_an_error(self, line: str) -> None:
        parse_log_entry(line)


class TestCorrelation:
    """LOG-02: correlate_pipeline_logs and find_error_context."""

    @pytest.fixture
    def correlator(self, tmp_path: Path) -> LogCorrelator:
        write(tmp_path, record(1, "start", seconds=1), record(2, "boom", "ERROR", 40), record(3, "end", seconds=90))
        write(tmp_path, record(1, "other task", seconds=20), log="run1/extract.0.1.jsonl")
        engine = tmp_path / "engine.jsonl"
        moments = [(60, "run1"), (5, "run1"), (6, "run12")]
        engine.write_text(
            "".join(
                json.dumps(
                    {
                        "timestamp": (START + timedelta(seconds=seconds)).isoformat(),
                        "level": "INFO",
                        "component": "dispatcher",
                        "run_id": run_id,
                        "message": f"at {seconds}",
                    }
                )
                + "\n"
                for seconds, run_id in moments
            )
            + "run1 in a line that is no entry\n"
        )

        def attempts(run_id: str) -> list[Attempt]:
            common = {"execution_id": "e", "run_id": run_id, "map_index": None, "epoch": 1, "submitted_at": START}
            return [
                Attempt(token="t1", task_id="load", number=3, log=LOG, **common),
                Attempt(token="t2", task_id="extract", number=1, log="run1/extract.0.1.jsonl", **common),
                Attempt(token="t3", task_id="silent", number=1, log=None, **common),
            ]

        return LogCorrelator(LogFiles(tmp_path), attempts, [engine, tmp_path / "gone.jsonl"])

    def test_entries_are_grouped_by_component_and_sorted(self, correlator: LogCorrelator) -> None:
        found = correlator.correlate_pipeline_logs("run1")
        assert {name: [entry.message for entry in entries] for name, entries in found.items()} == {
            "dispatcher": ["at 5", "at 60"],
            "task:extract": ["other task"],
            "task:load": ["start", "boom", "end"],
        }

    def test_the_context_of_an_error_is_what_was_said_around_it(self, correlator: LogCorrelator) -> None:
        assert [entry.message for entry in correlator.find_error_context("run1")] == ["other task", "boom", "at 60"]
        assert [entry.message for entry in correlator.find_error_context("run1", context_seconds=5)] == ["boom"]

    def test_a_run_without_errors_has_no_context(self, correlator: LogCorrelator) -> None:
        assert LogCorrelator(LogFiles(Path("/nowhere")), lambda run_id: []).find_error_context("run1") == []
