"""`penstock graph` into files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.acceptance.workspaces import Workspace

TASKS = """
  - {id: a, type: shell, config: {command: "true"}}
  - {id: b, type: shell, dependencies: [a], config: {command: exit 3}}
"""


@pytest.fixture
def drawn(workspace: Workspace) -> Workspace:
    workspace.pipeline("p", TASKS)
    return workspace


def test_a_page_of_a_run_tells_what_failed(drawn: Workspace) -> None:
    drawn.penstock("run", "p")
    assert drawn.penstock("graph", "--run", "last", "-o", str(drawn.root / "p.html")).code == 0
    page = (drawn.root / "p.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "FAILED" in page and "exit 3" in page


def test_the_ending_of_the_file_chooses_the_format(drawn: Workspace) -> None:
    assert drawn.penstock("graph", "p", "-o", str(drawn.root / "p.graphml")).code == 0
    assert "<graphml" in (drawn.root / "p.graphml").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="this machine has no rsvg-convert to draw with")
def test_a_png_is_drawn(drawn: Workspace) -> None:
    assert drawn.penstock("graph", "p", "-o", str(drawn.root / "p.png")).code == 0
    assert (drawn.root / "p.png").read_bytes().startswith(b"\x89PNG")


def test_without_anything_to_draw_a_png_with_it_says_what_is_missing(
    drawn: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    said = drawn.penstock("graph", "p", "-o", str(drawn.root / "p.png"))
    assert said.code == 2
    assert "rsvg-convert" in said.err and "penstock[png]" in said.err
    assert not (drawn.root / "p.png").exists()


def test_an_unknown_format_names_those_there_are(drawn: Workspace) -> None:
    said = drawn.penstock("graph", "p", "-f", "pdf")
    assert said.code == 2
    assert "graphml" in said.err
