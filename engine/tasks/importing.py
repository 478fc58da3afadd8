"""A module of the workspace, imported: as Python does it, and in a third of the time where nothing is unusual.

Law: what an author sees is what `import` gives. The short way is taken only for a plain module whose bytecode is up
to date and which stands in one of the first two folders of the path (the workspace and its udfs/, put there by the
zygote); whatever else there may be (a package, an extension of the same name, a module that Python carries in
itself, a hook) is left to Python.

Why at all: every attempt imports its author's module in a fresh process, and Python's own way through its finders,
locks and caches writes on a hundred and twenty pages that the attempt must copy first, more than all the rest of a
small attempt together.
"""

from __future__ import annotations

import _imp
import importlib
import marshal
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from types import CodeType, ModuleType

_RIVALS = ("", *EXTENSION_SUFFIXES)  # what Python would take first, found beside the source: a folder, an extension
_BYTECODE = f".{sys.implementation.cache_tag}.pyc"
_HEAD = MAGIC_NUMBER + bytes(4)  # checked by the source's time and size; other checks are left to Python
_HEAD_SIZE = 16
_USUAL_FINDERS = ("BuiltinImporter", "FrozenImporter", "PathFinder", "DistutilsMetaFinder")


def _usual() -> bool:
    """Whether this interpreter imports as it was made to."""
    finders = (getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path)
    plain = sys.pycache_prefix is None and not sys.flags.optimize
    return plain and all(name in _USUAL_FINDERS or name.startswith("__editable__") for name in finders)


_SHORT = _usual()  # in the zygote, before any author's code


def import_module(name: str) -> ModuleType:
    """The module of that name. Raises what importing it raises."""
    plain = _SHORT and "." not in name and name not in sys.modules and not _carried(name)
    return (_imported(name) if plain else None) or importlib.import_module(name)


def _carried(name: str) -> bool:
    """Whether Python, or setuptools in its stead, has a module of that name before any folder is looked into."""
    return name in sys.builtin_module_names or _imp.is_frozen(name) or name == "distutils"


def _imported(name: str) -> ModuleType | None:
    """The short way; None: it does not lead there."""
    for folder in sys.path[:2]:
        if not folder.startswith("/"):
            return None  # the current folder, in an interpreter that is no attempt
        stem = f"{folder}/{name}"
        for rival in _RIVALS:
            if os.access(stem + rival, os.F_OK):
                return None
        source = f"{stem}.py"
        if os.access(source, os.F_OK):
            cached = f"{folder}/__pycache__/{name}{_BYTECODE}"
            code = _bytecode(source, cached)
            return None if code is None else _executed(name, source, cached, code)
    return None


def _bytecode(source: str, cached: str) -> CodeType | None:
    """What Python keeps of the source, if that is what the source still is."""
    if not os.access(cached, os.R_OK):
        return None  # asked before, because an exception is dear here
    try:
        seen = os.stat(source)
        handle = os.open(cached, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(handle, os.fstat(handle).st_size + 1)
        finally:
            os.close(handle)
    except OSError:
        return None
    time, size = int(seen.st_mtime) & 0xFFFFFFFF, seen.st_size & 0xFFFFFFFF
    if data[:_HEAD_SIZE] != _HEAD + time.to_bytes(4, "little") + size.to_bytes(4, "little"):
        return None
    try:
        code = marshal.loads(memoryview(data)[_HEAD_SIZE:])
    except (EOFError, ValueError, TypeError):
        return None  # torn; Python says so, or makes it anew
    return code if isinstance(code, CodeType) and code.co_filename == source else None


def _executed(name: str, source: str, cached: str, code: CodeType) -> ModuleType:
    module = ModuleType(name)
    loader = SourceFileLoader(name, source)
    spec = ModuleSpec(name, loader, origin=source)
    spec.has_location = True
    spec.cached = cached
    module.__spec__, module.__loader__, module.__package__ = spec, loader, ""
    module.__file__, module.__cached__ = source, cached  # type: ignore[attr-defined]  # as Python sets it
    spec._initializing = True  # type: ignore[attr-defined]  # a circle of imports is then named for what it is
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    spec._initializing = False  # type: ignore[attr-defined]
    return sys.modules[name]
