"""What a task hands to those downstream: JSON, small ones inline, large ones as staged files.

Law: an output is plain JSON or it is a LogicError that names the type; never a pickle. A staged file is named
by the hash of its bytes, published by rename, and read only below the staging folder and only with that hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError, LogicError
from engine.ports.executor import AttemptSpec

MARK = "$file"  # {"$file": path below staging, "sha256": ..., "bytes": n}
_HASH = re.compile(r"[0-9a-f]{64}")


def plain_json(value: Any, what: str) -> Any:
    """A copy of `value` made of plain JSON values; LogicError names what in it is not."""
    return json.loads(json_text(value, what))


def json_text(value: Any, what: str) -> str:
    """`value` as JSON text; LogicError names what in it is not JSON."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text.encode()
        return text
    except TypeError as error:
        culprit = _culprit(value)
        raise LogicError(
            f"{what} is not JSON: it holds a {culprit}. Give plain values: None, bool, int, float, str, list, dict."
        ) from error
    except UnicodeEncodeError as error:
        raise LogicError(f"{what} is not JSON: its text holds half a surrogate pair.") from error
    except (ValueError, RecursionError) as error:
        raise LogicError(f"{what} is not JSON: {_sentence(error)}") from error


def _culprit(value: Any) -> str:
    """The type name of the first thing that JSON has no word for."""
    waiting, seen = [value], 0
    while waiting and seen < 100_000:
        seen += 1
        one = waiting.pop()
        if isinstance(one, Mapping) and type(one) is dict:
            for key in one:
                if not isinstance(key, str | int | float | bool | None):
                    return f"{type(key).__name__} as a key"
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif not isinstance(one, str | int | float | bool | None):
            return type(one).__name__
    return type(value).__name__


def _sentence(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    text = str(error)
    if "Circular" in text:
        return "it contains itself."
    return "it holds NaN or an infinity." if "float" in text else f"{text}."


class Outputs:
    """The outputs of one attempt so far."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def set(self, name: str, value: Any) -> None:
        """One output; the last value given under a name counts."""
        if not name:
            raise LogicError("An output's name is a non-empty text.")
        if isinstance(value, Mapping) and MARK in value:
            raise LogicError(f"Output '{name}' uses the key '{MARK}', which is kept for staged files.")
        self._texts[name] = json_text(value, f"Output '{name}'")

    def merge(self, returned: Any) -> None:
        """What a function returned: a mapping is merged, None adds nothing, anything else becomes `result`."""
        if returned is None:
            return
        if not isinstance(returned, Mapping):
            self.set("result", returned)
            return
        for name, value in returned.items():
            self.set(name if isinstance(name, str) else json_text(name, "An output's name"), value)

    def values(self) -> dict[str, Any]:
        """All of them, in full."""
        return {name: json.loads(text) for name, text in self._texts.items()}

    def publish(self, folder: Path, staging: Path, inline: int) -> dict[str, Any]:
        """All of them, the largest staged below `folder` until the rest fits into `inline` bytes."""
        sizes = {name: len(name.encode()) + len(text.encode()) + 6 for name, text in self._texts.items()}
        total = sum(sizes.values())
        published: dict[str, Any] = {}
        for name in sorted(sizes, key=lambda one: sizes[one], reverse=True):
            if total > inline:
                published[name] = _stage(self._texts[name].encode(), folder, staging)
                total -= sizes[name]
            else:
                published[name] = json.loads(self._texts[name])
        return {name: published[name] for name in self._texts}


def _stage(data: bytes, folder: Path, staging: Path) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{digest}.json"
    partial = folder / f".{digest}.{os.getpid()}"
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the outcome's commit will point here: it must not be newer than the bytes
        partial.rename(target)
    except OSError:
        partial.unlink(missing_ok=True)  # the disk may be full: the next attempt needs the room
        raise
    return {MARK: str(target.relative_to(staging)), "sha256": digest, "bytes": len(data)}


def staging_folder(spec: AttemptSpec, staging: Path) -> Path:
    """staging/<run>/<task>/<map index>/<attempt>."""
    index = "-" if spec.map_index is None else str(spec.map_index)
    return staging / spec.run_id / spec.task_id / index / str(spec.attempt)


def load_staged(value: Any, staging: Path) -> Any:
    """`value` with every reference to a staged file replaced by what the file holds."""
    if isinstance(value, Mapping):
        if MARK in value:
            return _read(value, staging)
        return {key: load_staged(item, staging) for key, item in value.items()}
    if isinstance(value, list):
        return [load_staged(item, staging) for item in value]
    return value


def _read(reference: Mapping[str, Any], staging: Path) -> Any:
    name, digest = str(reference[MARK]), str(reference.get("sha256", ""))
    path = (staging / name).resolve()
    if not _HASH.fullmatch(digest) or not path.is_relative_to(staging.resolve()):
        raise ConfigurationError(f"'{name}' is not a staged output of this workspace.")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"The staged output '{name}' is gone; retry the task that made it together with this one."
        ) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ConfigurationError(
            f"The staged output '{name}' is not what its task wrote; retry the task that made it."
        )
    return json.loads(data)
