"""What others wrote never steers the terminal: every registered view on a real terminal, over the worst of names.

The screen of these tests knows what Textual itself sends and calls everything else strange.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from console.screens import VIEWS
from tests.console.conftest import HostKeeper
from tests.console.ptyplay import console, workspace

BAD = (
    '\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;b3duZWQ=\x07\x1b[6n\x1bP$q"p\x1b\\'
    "\x1b[2J\x1b[31m\x9b6n\x90q\x9c\u202eflip\u2066 [bold red]markup[/] [@click=app.bell]x[/]\r\b"
)
_COLOUR = re.compile(r"(^|;)(3[0-7]|38|4[0-7]|48|9[0-7]|10[0-7])(;|$)")
_RICH = re.compile(r"(^|;)[34]8(;|$)")  # colours beyond the sixteen


def hostile(root: Path) -> None:
    """Names, descriptions, tags, owner, parameters, logs, errors and data, all of them bad."""
    text = json.dumps(BAD)  # a JSON string is a YAML string
    shell = "".join(rf"\\{byte:03o}" for byte in BAD.encode())  # for printf, in a quoted YAML string
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\nlinger: 1\ndefaults: {retry_policy: {max_attempts: 1}}\n")
    (root / "pipelines" / "bad.yaml").write_text(
        f"id: bad\nname: {text}\ndescription: {text}\nowner: {text}\ntags: [{text}]\n"
        f"parameters:\n  region: {{type: string, default: {text}, description: {text}}}\n"
        "tasks:\n"
        f"  - {{id: good, name: {text}, type: shell, config: {{command: \"printf '{shell}'\"}}}}\n"
        "  - id: fails\n"
        f"    name: {text}\n"
        "    type: shell\n"
        "    dependencies: [good]\n"
        f"    config: {{command: \"printf '{shell}' >&2; exit 3\"}}\n"
    )
    (root / "pipelines" / "broken.yaml").write_text(f"id: broken\nname: x\ntasks: {text}\n")


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["narrow", "wide"])
def test_no_view_lets_anything_of_others_through(tmp_path: Path, size: tuple[int, int]) -> None:
    """OSC 0/8/52, CSI 6n, DCS, C1, bidi and markup in every place there is text of others."""
    root = tmp_path / "shop\x1b]0;owned\x07\u202e[bold]"
    hostile(root)
    with workspace(root) as opened:
        run_id = HostKeeper(opened).run("bad")
        task = {"task": f"{run_id} fails", "run": run_id, "pipeline": "bad"}
        with console(root, "--no-engine", "--read-only", size=size) as line:
            line.until("go to")
            seen = ""
            for name, entry in VIEWS.items():
                line.press(f":{name} {task.get(entry.takes, '')}".rstrip())
                line.press("\r")
                line.quiet(0.35)
                seen += line.text
                if name == "run":
                    for key in ("t", "b", "e", "g", "d", "escape"):
                        line.press(key)
                        line.quiet(0.2)
                        seen += line.text
                if name == "help":
                    line.press("escape")
                    line.quiet(0.2)
            assert "[bold red]markup[/]" in seen  # shown as it is written
            assert line.screen.strange == []
            line.press("ctrl+q")
            assert line.wait() == 0 and line.restored() == {}


def test_without_colour_and_with_sixteen_states_are_glyphs_and_words(tmp_path: Path) -> None:
    """NO_COLOR sends no colour, TERM=xterm none beyond sixteen; both say FAILED in a glyph and a word."""
    root = tmp_path / "shop"
    hostile(root)
    with workspace(root) as opened:
        HostKeeper(opened).run("bad")
        for environment in ({"NO_COLOR": "1"}, {"TERM": "xterm", "COLORTERM": ""}):
            with console(root, "--no-engine", **environment) as line:
                line.until("go to")
                line.press(":runs\r")
                line.until(lambda: "✗ FAILED" in line.text)
                line.quiet()
                sent = line.screen.colours
                unwanted = _COLOUR if "NO_COLOR" in environment else _RICH
                assert not [each for each in sent if unwanted.search(each)], environment
                assert line.screen.strange == []
