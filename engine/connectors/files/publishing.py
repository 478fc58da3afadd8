"""Steps 2 to 4 of a local load, and their way back. The law is in engine.connectors.files.local_target."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from engine.connectors.files import ledger as ledgers
from engine.connectors.files.aim import Shot
from engine.connectors.files.beside import Beside
from engine.connectors.files.folder import Folder
from engine.connectors.files.names import shown
from engine.connectors.files.sinks import ending
from engine.model.errors import ConfigurationError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order


class Publishing:
    """One load of one target. `digest` names what it leaves beside the target."""

    def __init__(self, beside: Beside, shot: Shot, digest: str, uri: str) -> None:
        self.beside, self.shot, self._uri = beside, shot, uri
        self.stage = f"{shot.aim.key}.{digest}.stage"
        self._before = f"{shot.aim.key}.{digest}.before"
        self._parent, self._side, self._base = beside.parent, beside.side, shot.aim.base
        self._part = shot.stem + ending(shot.options)

    def already(self, token: str) -> Loaded | None:
        """The load of this token, from the ledger."""
        found = self.beside.ledger().find(token)
        return None if found is None else ledgers.loaded(found, self._uri, already=True)

    def publish(self, written: Mapping[str, Any], order: Order, *, keep: bool) -> Loaded:
        """Make what was staged visible. `keep`: what `undo` needs stays beside the target."""
        with self.beside.locked():
            done = self.already(order.token)
            if done is not None:
                return done  # another attempt was faster
            had = self._check_kind()
            proof = self._prepared(order.mode, had)
            if keep:
                self._keep_file(order.mode, had)
            entry = ledgers.entry(order, written, proof, time.time()) | {"had": had, "files": written["files"][:1]}
            ledger = self.beside.ledger()
            self.beside.keep(ledger.open(entry))
            failpoint.hit("files.sealed")
            self._show(order.mode, had)
            failpoint.hit("files.published")
            self.beside.keep(ledger.settle(order.token))
            failpoint.hit("files.settled")
            self._tidy(order.mode, had, keep)
            return ledgers.loaded(entry, self._uri, already=False, created=not had)

    def _check_kind(self) -> bool:
        """Whether the target is there; ConfigurationError when it is not what is going to be written."""
        found = self._parent.stat(self._base)
        if found is not None and self._parent.is_folder(self._base) != self.shot.folder:
            what, other = ("a folder", "a file") if self.shot.folder else ("a file", "a folder")
            raise ConfigurationError(
                f"'{shown(self.shot.aim.name)}' would be {what}, and there is {other} (or a link) of that name; "
                f"choose "
                "another target."
            )
        return found is not None

    @property
    def _one_part(self) -> bool:
        return self.shot.folder and not self.shot.tree

    def _prepared(self, mode: Mode, had: bool) -> dict[str, Any]:
        """Everything but the last rename; the proof of what it will show."""
        if self._one_part and mode is Mode.APPEND:
            self._parent.make(self._base)
            with closing(self._side.below(self.stage)) as staged:
                return self.beside.proof(staged, self._part, part=self._part)
        if self.shot.tree and mode is Mode.APPEND and had:
            with closing(self._parent.below(self._base)) as old, closing(self._side.below(self.stage)) as new:
                link_all(old, new)  # files that stay get a second name in the new folder
        return self.beside.proof(self._side, self.stage)

    def _keep_file(self, mode: Mode, had: bool) -> None:
        if not self.shot.folder:
            self._side.remove(self._before)
            if had:
                self._parent.link(self._base, self._side, self._before)

    def _show(self, mode: Mode, had: bool) -> None:
        """The commit: one rename."""
        if not self.shot.folder:
            self._side.rename(self.stage, self._base, self._parent)
        elif self._one_part and mode is Mode.APPEND:
            with closing(self._side.below(self.stage)) as staged, closing(self._parent.below(self._base)) as folder:
                staged.rename(self._part, self._part, folder)
                folder.sync()
        elif not had:
            self._side.rename(self.stage, self._base, self._parent)
        elif not self._side.exchange(self.stage, self._parent, self._base):
            self.beside.swap(self.stage)
        self._parent.sync()

    def _tidy(self, mode: Mode, had: bool, keep: bool) -> None:
        """A folder that was replaced now lies where the new one was staged."""
        if keep and had and self.shot.folder and mode is Mode.REPLACE:
            self._side.remove(self._before)
            self._side.rename(self.stage, self._before)
        else:
            self._side.remove(self.stage)

    def undo(self, token: str) -> None:
        """Take a published load back. What others have written since stays."""
        with self.beside.locked():
            ledger = self.beside.ledger()
            entry = ledger.find(token)
            if entry is None:
                return
            self._take_back(entry)
            self._parent.sync()
            failpoint.hit("files.undone")
            self.beside.keep(ledger.forget(token))

    def _take_back(self, entry: Mapping[str, Any]) -> None:
        if not self.shot.folder:
            ours = self.beside.proven(entry["proof"])
            if ours and self._side.stat(self._before) is not None:
                self._side.rename(self._before, self._base, self._parent)
            elif ours and not entry["had"]:
                self._parent.remove(self._base)
        elif entry["mode"] == Mode.APPEND or not entry["had"]:
            self._remove_ours(entry)
        else:
            self._restore()

    def _remove_ours(self, entry: Mapping[str, Any]) -> None:
        if self._parent.is_folder(self._base):
            with closing(self._parent.below(self._base)) as folder:
                remove_named(folder, self.shot.stem)
            if not entry["had"]:
                self._parent.remove_empty(self._base)

    def _restore(self) -> None:
        """The old folder for the new one, with the files that came after."""
        old = next((name for name in (self._before, self.stage) if self._side.is_folder(name)), None)
        if old is None or not self._parent.is_folder(self._base):
            return
        with closing(self._parent.below(self._base)) as new, closing(self._side.below(old)) as before:
            if not holds(new, self.shot.stem):
                return  # somebody has replaced it since
            link_all(new, before, but=self.shot.stem)
        if not self._side.exchange(old, self._parent, self._base):
            self.beside.swap(old)
        self._side.remove(old)


def link_all(old: Folder, new: Folder, but: str = "") -> None:
    """A second name in `new` for each file of `old` that it does not have; not for those whose name begins with
    `but`."""
    for name in old.names():
        if old.is_folder(name):
            new.make(name)
            with closing(old.below(name)) as deeper, closing(new.below(name)) as made:
                link_all(deeper, made, but)
            new.remove_empty(name)
        elif new.stat(name) is None and not (but and name.startswith(but)):
            old.link(name, new, name)


def holds(folder: Folder, stem: str) -> bool:
    """Whether a file of this load is in it."""
    for name in folder.names():
        if folder.is_folder(name):
            with closing(folder.below(name)) as deeper:
                if holds(deeper, stem):
                    return True
        elif name.startswith(stem):
            return True
    return False


def remove_named(folder: Folder, stem: str) -> None:
    """The files of one load, and the folders they leave empty."""
    for name in folder.names():
        if folder.is_folder(name):
            with closing(folder.below(name)) as deeper:
                remove_named(deeper, stem)
            folder.remove_empty(name)
        elif name.startswith(stem):
            folder.remove(name)
