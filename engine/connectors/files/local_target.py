"""A local folder as a destination.

Law, step by step, for each load:
 1. rows are written to `.penstock/files/NAME.HASH.stage` beside the target and synced: nobody looks;
 2. under the target's lock the seal is asked, and the ledger is renamed into place with the load as pending and a
    proof of what is about to appear;
 3. ONE rename makes the rows visible: the file over the old one, the part into its folder, the new folder exchanged
    for the old. This is the commit: the pending entry's proof holds from here;
 4. the ledger is marked done.
Killed before 3, the target is as it was and the next attempt begins again; killed after it, the next attempt finds
the proof and reports from the ledger. `publish` keeps what was there as `.before` until `discard`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from engine.connectors.files import ledger as ledgers
from engine.connectors.files.aim import Aim, Shot, aim_at, digest, shot
from engine.connectors.files.beside import STALE, Beside
from engine.connectors.files.folder import Folder
from engine.connectors.files.local import LocalFolder
from engine.connectors.files.names import naming, shown
from engine.connectors.files.publishing import Publishing
from engine.connectors.files.sinks import write_rows
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Loaded, Order
from engine.ports.stream import Stream


class LocalTarget:
    """See engine.connectors.files.target.Target."""

    def __init__(self, place: LocalFolder, connection: Connection) -> None:
        self._place, self._connection = place, connection

    def create(self, target: str) -> None:
        aim = aim_at(target, self._place.root)
        with self._at(aim, create=True) as beside:
            if target.endswith("/"):
                beside.parent.make(aim.base)

    def ledger(self, token: str, target: str) -> Loaded | None:
        aim = aim_at(target, self._place.root)
        with self._looked(aim) as beside:
            found = beside.ledger().find(token) if beside is not None else None
            return ledgers.loaded(found, self._place.uri(aim.name), already=True) if found is not None else None

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        with self._looked(aim_at(target, self._place.root)) as beside:
            found = beside.ledger().newest(scope) if beside is not None and scope else None
            return dict(found["seal"]) if found is not None else None

    def load(self, stream: Stream, order: Order) -> Loaded:
        one = self._shot(order)
        with self._opened(one, order) as publishing:
            done = publishing.already(order.token)
            if done is not None:
                return done
            try:
                return publishing.publish(self._write(publishing, stream, order), order, keep=False)
            except BaseException:
                publishing.beside.side.remove(publishing.stage)
                raise

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        one = self._shot(order)
        with self._opened(one, order) as publishing:
            done = publishing.already(order.token)
            try:
                staged = {} if done is not None else self._write(publishing, stream, order)
            except BaseException:
                publishing.beside.side.remove(publishing.stage)
                raise
            return {"target": order.target, "digest": digest(order.token), **staged}

    def _write(self, publishing: Publishing, stream: Stream, order: Order) -> dict[str, Any]:
        one, beside = publishing.shot, publishing.beside
        beside.side.remove(publishing.stage)
        if one.folder:
            beside.side.make(publishing.stage)
        prefix = f"{publishing.stage}/" if one.folder else publishing.stage
        written = write_rows(stream, order, one.options, one.stem, lambda name: beside.side.create(prefix + name))
        failpoint.hit("files.written")
        return {"rows": written.rows, "bytes": written.bytes, "files": written.files}

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        one = self._shot(order)
        with self._opened(one, order) as publishing:
            done = publishing.already(order.token)
            if done is not None:
                return done
            if "rows" not in staged or publishing.beside.side.stat(publishing.stage) is None:
                raise ConfigurationError(f"What was staged for '{shown(order.target)}' is gone; retry the load.")
            return publishing.publish(dict(staged), order, keep=True)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        one = self._shot(order)
        with self._looked(one.aim) as beside:
            if beside is not None:
                Publishing(beside, one, digest(order.token), "").undo(order.token)

    def discard(self, staged: Mapping[str, Any]) -> None:
        aim = aim_at(str(staged["target"]), self._place.root)
        with self._looked(aim) as beside:
            if beside is not None:
                for kind in STALE:
                    beside.side.remove(f"{aim.key}.{staged['digest']}{kind}")

    def _shot(self, order: Order) -> Shot:
        with naming(self._connection.id):
            return shot(order, aim_at(order.target, self._place.root), self._connection.config)

    @contextmanager
    def _opened(self, one: Shot, order: Order) -> Iterator[Publishing]:
        """The target and what is beside it; made where the order says so."""
        if not order.create:
            self._check_there(one.aim, order.target)
        with self._at(one.aim, create=True) as beside:
            beside.sweep()
            yield Publishing(beside, one, digest(order.token), self._place.uri(one.aim.name))

    def _check_there(self, aim: Aim, target: str) -> None:
        if self._place.find(aim.name) is None and not self._place.is_folder(aim.name):
            folder = os.path.join(self._place.root, *aim.parent)
            there = os.listdir(folder) if os.path.isdir(folder) else ()
            raise ConfigurationError(
                f"There is no target '{shown(target)}' in connection '{self._connection.id}', and `create: false` "
                f"forbids to make it.{ledgers.near(aim.base, there)}"
            )

    @contextmanager
    def _looked(self, aim: Aim) -> Iterator[Beside | None]:
        """The same for looking only; None where nothing was ever loaded."""
        parts = self._place.parts("/".join(aim.parent))
        if not os.path.isdir(os.path.join(self._place.root, *parts, ledgers.FOLDER)):
            yield None
            return
        with self._at(aim, create=False) as beside:
            yield beside

    @contextmanager
    def _at(self, aim: Aim, *, create: bool) -> Iterator[Beside]:
        parts = self._place.parts("/".join(aim.parent))
        with (
            closing(Folder(self._place.open_folder(parts, create=create))) as parent,
            closing(Folder(self._place.open_folder((*parts, *ledgers.FOLDER.split("/")), create=create))) as side,
        ):
            try:
                yield Beside(parent, side, aim)
            except OSError as error:
                raise self._place.failure(error, aim.name) from error
