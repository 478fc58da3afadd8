"""What a load's `target` means: one file, or a folder of files.

Law: a name with a known ending is a file, one that ends with a slash or has none is a folder; `partition_by` makes
folders. Files of a load carry its token's hash in their names, so that the same load makes the same files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.connectors.files.names import parts_of, shown
from engine.connectors.files.options import FORMATS, WriteOptions, write_options
from engine.connectors.files.sniffing import by_name, delimiter_of
from engine.model.errors import ConfigurationError
from engine.ports.destination import Mode, Order

_LONGEST = 120  # bytes of a name that others are made from


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One target's name, taken apart."""

    parent: tuple[str, ...]
    base: str

    @property
    def name(self) -> str:
        return "/".join((*self.parent, self.base))

    @property
    def key(self) -> str:
        """The stem of what is kept beside the target."""
        if len(os.fsencode(self.base)) <= _LONGEST:
            return self.base
        return hashlib.sha256(os.fsencode(self.base)).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One load on one target."""

    aim: Aim
    folder: bool
    options: WriteOptions
    stem: str  # of the files in a folder; '' for a file

    @property
    def tree(self) -> bool:
        """Whether several files have to appear at once."""
        return self.folder and bool(self.options.partition_by)


def aim_at(target: str, root: str = "") -> Aim:
    """ConfigurationError for a name that is none."""
    parts = parts_of(target, root)
    if not parts:
        raise ConfigurationError("A `target` is a file or folder below the connection's `path`; this one is empty.")
    if any(part == ".penstock" for part in parts):
        raise ConfigurationError(f"'{shown(target)}': ledgers are kept in `.penstock`; choose another name.")
    return Aim(parent=parts[:-1], base=parts[-1])


def digest(token: str) -> str:
    """A token as part of a file's name."""
    return hashlib.sha256(token.encode()).hexdigest()[:20]


def shot(order: Order, aim: Aim, config: Mapping[str, Any]) -> Shot:
    """What an order asks of a target. ConfigurationError for what files cannot do."""
    if order.mode not in (Mode.APPEND, Mode.REPLACE):
        raise ConfigurationError(
            f"'{shown(order.target)}': rows of files are not overwritten by key, so there is no `mode: "
            f"{order.mode}`; "
            "use replace, append to a folder, or load into a database."
        )
    named, outer = by_name(aim.base)
    folder = order.target.endswith("/") or named is None or bool(order.options.get("partition_by"))
    if order.mode is Mode.APPEND and not folder:
        raise ConfigurationError(
            f"'{shown(order.target)}' is one file, to which nothing can be added atomically; write `mode: "
            f"replace`, or "
            f"name a folder to get one file per load: '{shown(order.target.split('.', 1)[0])}/'."
        )
    kind = str(order.options.get("format") or named or config.get("format") or "parquet")
    if kind not in FORMATS:
        raise ConfigurationError(f"There is no format '{shown(kind)}'; there are {', '.join(FORMATS)}.")
    compression = order.options.get("compression") or outer
    options = write_options(order, {"delimiter": delimiter_of(aim.base), **config}, kind, compression)
    return Shot(aim=aim, folder=folder, options=options, stem=f"part-{digest(order.token)}" if folder else "")
