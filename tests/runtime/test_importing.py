"""An author's module comes out of the short way as it comes out of Python's; only what is plain goes that way."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from engine.tasks import importing
from engine.tasks.python import load_callable

SOURCE = '"""What it is for."""\n\nANSWER = 42\n\n\ndef told(ctx):\n    return __name__\n'
TOLD = ("__name__", "__doc__", "__file__", "__cached__", "__package__", "ANSWER")
OF_SPEC = ("name", "origin", "cached", "has_location", "parent", "submodule_search_locations")


class Folder:
    """Two folders at the head of the path, as in an attempt; `short` are the names that went the short way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.short: list[str] = []
        (root / "udfs").mkdir()

    def name(self) -> str:
        """A module's name that no test has had."""
        return f"module_{uuid.uuid4().hex}"

    def write(self, name: str, source: str = SOURCE, *, below: str = "", compiled: bool = True) -> Path:
        file = self.root / below / f"{name}.py"
        file.write_text(source)
        if compiled:
            py_compile.compile(str(file), doraise=True)
        return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    found = Folder(tmp_path)
    known = set(sys.modules)
    executed = importing._executed

    def noted(name: str, *rest: object) -> ModuleType:
        found.short.append(name)
        return executed(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "_executed", noted)
    monkeypatch.setattr(importing, "_SHORT", True)  # pytest has a finder of its own
    monkeypatch.syspath_prepend(str(tmp_path / "udfs"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield found
    for name in set(sys.modules) - known:
        if name.startswith("module_"):
            del sys.modules[name]


@pytest.mark.parametrize("below", ["", "udfs"])
def test_a_plain_module_is_what_python_makes_of_it(folder: Folder, below: str) -> None:
    name = folder.name()
    folder.write(name, below=below)
    ours = importing.import_module(name)
    assert folder.short == [name] and sys.modules[name] is ours
    assert importing.import_module(name) is ours  # once
    del sys.modules[name]
    theirs = importlib.import_module(name)
    assert [getattr(ours, each) for each in TOLD] == [getattr(theirs, each) for each in TOLD]
    assert ours.__spec__ is not None and theirs.__spec__ is not None
    assert [getattr(ours.__spec__, each) for each in OF_SPEC] == [
        getattr(theirs.__spec__, each) for each in OF_SPEC
    ]
    assert type(ours.__loader__) is type(theirs.__loader__)
    assert set(vars(ours)) == set(vars(theirs))
    assert importlib.reload(theirs).ANSWER == 42


def test_a_source_that_was_changed_is_read_anew(folder: Folder) -> None:
    name = folder.name()
    file = folder.write(name)
    file.write_text(SOURCE.replace("42", "1042"))
    assert importing.import_module(name).ANSWER == 1042 and not folder.short


def test_a_source_changed_within_its_size_is_read_anew(folder: Folder) -> None:
    name = folder.name()
    file = folder.write(name)
    file.write_text(SOURCE.replace("42", "43"))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert importing.import_module(name).ANSWER == 43 and not folder.short


@pytest.mark.parametrize("spoil", [lambda data: data[:40], lambda data: b"", lambda data: b"\0" * 16 + data[16:]])
def test_bytecode_that_is_torn_or_anothers_is_not_run(folder: Folder, spoil: object) -> None:
    name = folder.name()
    file = folder.write(name)
    cached = Path(importlib.util.cache_from_source(str(file)))
    cached.write_bytes(spoil(cached.read_bytes()))  # type: ignore[operator]
    try:
        assert importing.import_module(name).ANSWER == 42
    except EOFError:  # Python's own answer to a torn file with a sound head
        pass
    assert not folder.short


def test_what_python_would_take_first_is_taken_first(folder: Folder) -> None:
    package = folder.name()
    folder.write(package)
    (folder.root / package).mkdir()
    (folder.root / package / "__init__.py").write_text("ANSWER = 'package'\n")
    assert importing.import_module(package).ANSWER == "package"
    both = folder.name()
    folder.write(both, "ANSWER = 'root'\n")
    folder.write(both, "ANSWER = 'udfs'\n", below="udfs")
    assert importing.import_module(both).ANSWER == "root"
    assert folder.short == [both]


def test_a_module_without_bytecode_or_with_a_dotted_name_is_pythons(folder: Folder) -> None:
    name = folder.name()
    folder.write(name, compiled=False)
    assert importing.import_module(name).ANSWER == 42
    assert importing.import_module("json.decoder") is sys.modules["json.decoder"]
    assert importing.import_module("math").pi > 3
    with pytest.raises(ModuleNotFoundError):
        importing.import_module(folder.name())
    assert not folder.short


@pytest.mark.parametrize("name", ["__hello__", "distutils"])
def test_a_module_that_comes_before_any_folder_does_so_here(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delitem(sys.modules, name, raising=False)
    file = folder.write(name, "ANSWER = 'ours'\n")
    found: list[str] = []
    monkeypatch.setattr(
        importing.importlib, "import_module", lambda asked: found.append(asked) or ModuleType(asked)
    )
    assert importing.import_module(name).__name__ == name
    assert found == [name] and not folder.short and file.exists()


def test_a_path_that_begins_where_one_stands_is_not_looked_for_at_the_root(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = folder.name()
    folder.write(name)
    monkeypatch.chdir(folder.root)
    monkeypatch.setattr(sys, "path", ["", *sys.path[2:]])
    assert importing.import_module(name).ANSWER == 42 and not folder.short


def test_a_module_that_fails_leaves_nothing_and_may_be_tried_again(folder: Folder) -> None:
    name = folder.name()
    folder.write(name, "import module_of_nobody\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="module_of_nobody"):
            importing.import_module(name)
        assert name not in sys.modules
    assert folder.short == [name, name]


def test_a_circle_of_imports_is_named_as_python_names_it(folder: Folder) -> None:
    first, second = folder.name(), folder.name()
    folder.write(first, f"from {second} import THERE\nHERE = 1\n")
    folder.write(second, f"from {first} import HERE\nTHERE = 1\n")
    with pytest.raises(ImportError, match="partially initialized module"):
        importing.import_module(first)


def test_a_task_finds_its_function_that_way(folder: Folder) -> None:
    name = folder.name()
    folder.write(name)
    assert load_callable(f"{name}:told")(None) == name
    assert folder.short == [name]
