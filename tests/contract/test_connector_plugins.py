"""Connectors of installed packages: found by entry point, tried before they are trusted (SRC-01)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.connectors import plugins
from engine.connectors.registry import TYPES, Connectors
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection

MODULE = """
class Mainframe:
    def __init__(self, connection, root): self.connection = connection
    def test(self): return f"{self.connection.id} answers"
    def close(self): pass

def connect(connection, root): return Mainframe(connection, root)
number = 3
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package as pip leaves it: a module, and metadata beside it."""

    def made(**points: str) -> None:
        (tmp_path / "penstock_mainframe.py").write_text(MODULE)
        folder = tmp_path / "penstock_mainframe-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock-mainframe\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {value}" for name, value in points.items())
        (folder / "entry_points.txt").write_text(f"[penstock.connectors]\n{lines}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "penstock_mainframe", raising=False)

    return made


def test_a_package_adds_a_type_of_connection(install: Install, tmp_path: Path) -> None:
    install(mainframe="penstock_mainframe:connect")
    assert plugins.types(TYPES) == {"mainframe"}
    assert [(each.type, each.package, each.problem) for each in plugins.looked_at(TYPES)] == [
        ("mainframe", "penstock-mainframe", None)
    ]
    assert Connectors(tmp_path).test(Connection(id="hr", type="mainframe")) == "hr answers"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no_such_module:connect", "No module named 'no_such_module'"),
        ("penstock_mainframe:absent", "has no attribute 'absent'"),
        ("penstock_mainframe:number", "cannot be called"),
    ],
)
def test_one_that_cannot_be_loaded_is_a_row_with_its_reason(
    install: Install, tmp_path: Path, value: str, problem: str
) -> None:
    install(mainframe=value)
    (row,) = plugins.looked_at(TYPES)
    assert problem in (row.problem or "")
    with pytest.raises(ConfigurationError, match="penstock-mainframe is not available"):
        Connectors(tmp_path).open(Connection(id="hr", type="mainframe"))


def test_none_takes_the_place_of_a_type_that_is_there(install: Install, tmp_path: Path) -> None:
    install(sqlite="penstock_mainframe:connect")
    assert plugins.types(TYPES) == frozenset()
    assert "taken already" in (plugins.looked_at(TYPES)[0].problem or "")
    opened = Connectors(tmp_path).open(Connection(id="x", type="http", config={"base_url": "http://127.0.0.1:1"}))
    assert type(opened).__name__ != "Mainframe"
