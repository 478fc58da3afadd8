"""The command line as such: help, spelling, refusals, exit codes, costs. No engine is needed here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.cli import main
from engine.cli.app import MEMBERS

SUBCOMMANDS = [
    "dlq show", "dlq requeue", "dlq discard", "dlq restore", "schedule pause", "schedule resume", "schedule next",
    "connections test", "engine status", "engine stop",
]  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("command", [*MEMBERS, *SUBCOMMANDS])
def test_every_help_shows_an_example_and_the_common_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *command.split(), "--help")
    assert (code, err) == (0, "")
    assert f"penstock {command}" in out.split("Example")[1]
    for option in ("--workspace", "--profile", "--json"):
        assert option in out


@pytest.mark.parametrize("later", ["backfill"])
def test_commands_of_later_versions_are_refused_and_absent(later: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, later, "--from", "2024-01-01")
    assert code == 2
    assert "not in this version" in err
    assert later not in run(capsys, "--help")[1]


def test_options_of_later_versions_are_refused_and_absent(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "engine", "--api", "127.0.0.1:8080")
    assert (code, out) == (2, "")
    assert "not in this version" in err
    assert "--api" not in run(capsys, "engine", "--help")[1]
    code, out, err = run(capsys, "lineage", "mart.orders", "--column", "price")
    assert (code, out) == (2, "")
    assert "not in this version" in err
    assert "--column" not in run(capsys, "lineage", "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("valdate",), "validate"),
        (("dlq", "requeu", "x"), "requeue"),
        (("run", "x", "--detatch"), "--detach"),
        (("--jsn",), "--json"),
    ],
)
def test_a_misspelling_is_told_with_what_is_near(
    arguments: tuple[str, ...], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert f"Did you mean {near}?" in err
    assert err.startswith("penstock: ")
    assert len(err.splitlines()) == 1


def test_an_error_with_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "valdate", "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == 2
    assert json.loads(out)["error"]["message"] in err


def test_a_missing_argument_is_a_request_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "mark", "last", "load", "success")
    assert code == 2
    assert "--reason" in err


@pytest.mark.parametrize(
    "arguments", [("dlq", "--queue", "odd"), ("runs", "--limit", "0"), ("runs", "--state", "x")]
)
def test_an_option_with_a_wrong_value_is_a_request_error(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, *arguments)[0] == 2


def test_a_groups_own_option_before_a_subcommand_is_not_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "dlq", "--queue", "system", "show", "x")
    assert code == 2
    assert "--queue belongs to" in err


def test_without_a_command_and_a_console_it_says_what_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert "penstock --help" in err


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["run", "--help"]])
def test_starting_loads_nothing_heavy(command: list[str]) -> None:
    """`penstock --help` answers in under 150 ms: nothing that takes time to import is imported."""
    code = (
        f"import sys; from engine.cli import main; assert main({command!r}) == 0\n"
        "heavy = set('sqlalchemy jinja2 jsonschema croniter requests rich textual psutil yaml'.split())\n"
        "found = heavy & set(sys.modules); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "console", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0
