"""What reaches a real terminal: sanitised text, and live progress that leaves stdout alone (faults 40, 41)."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.acceptance.workspaces import Workspace, command

HOSTILE = (
    "  - id: a\n    name: A\n    type: shell\n"
    "    config: {command: \"printf '\\\\033]0;owned\\\\007title \\\\033[2Jcleared\\\\n'; exit 3\"}"
)


def on_a_terminal(workspace: Workspace, *arguments: str) -> tuple[int, bytes]:
    """Exit code and every byte the terminal was sent, stdout and stderr together."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments),
        cwd=workspace.root,
        env={**workspace.environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen = bytearray()
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: everybody has closed the other end
                break
            if not chunk:
                break
            seen += chunk
        os.close(ours)
        return process.wait(timeout=60), bytes(seen)


def test_a_terminal_never_gets_what_a_task_wrote_as_control(workspace: Workspace) -> None:
    workspace.pipeline("hostile", HOSTILE)
    assert workspace.penstock("run", "hostile").code == 1
    code, seen = on_a_terminal(workspace, "logs", "last")
    assert code == 0
    assert "␛title ␛cleared".encode() in seen
    assert b"owned" not in seen
    assert b"\x1b[2J" not in seen


def test_names_and_reasons_are_sanitised_too(workspace: Workspace) -> None:
    workspace.pipeline("hostile", HOSTILE)
    assert workspace.penstock("run", "hostile").code == 1
    reason = "by hand \x1b]0;owned\x07\x1b[2J"
    assert workspace.penstock("mark", "last", "a", "success", "--reason", reason).code == 0
    for arguments in (("why", "last", "a"), ("audit",), ("runs", "--pipeline", "x\x1b]0;owned\x07")):
        _, seen = on_a_terminal(workspace, *arguments)
        assert b"owned" not in seen
        assert b"\x1b[2J" not in seen


def test_a_run_shows_progress_and_ends_with_its_result(workspace: Workspace) -> None:
    workspace.pipeline("quick", "  - {id: a, name: A, type: shell, config: {command: 'true'}}")
    code, seen = on_a_terminal(workspace, "run", "quick")
    assert code == 0
    assert "✓ SUCCESS".encode() in seen
    assert seen.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?25l" not in seen or b"\x1b[?25h" in seen


def test_restore_asks_on_a_terminal(workspace: Workspace, tmp_path: Path) -> None:
    workspace.pipeline("quick", "  - {id: a, name: A, type: shell, config: {command: 'true'}}")
    assert workspace.penstock("run", "quick").code == 0
    copy = tmp_path / "copy.db"
    assert workspace.penstock("backup", str(copy)).code == 0
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("restore", str(copy)), cwd=workspace.root, env=workspace.environment, stdin=theirs,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        os.write(ours, b"n\n")
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 2
    assert "Nothing was changed." in said
