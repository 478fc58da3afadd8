"""An object store as a destination.

Law: an object appears whole, when its upload is completed, and carries its load's token as metadata. The ledger
is put before, with the load as pending and that token as its proof, and marked done after: killed before the
completion, the target is as it was; killed after it, the next attempt finds the token. The ledger is put on the
condition that nobody else has put it meanwhile, where the store knows conditions. Several objects cannot appear
at once in a store: `partition_by` and replacing a folder are refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import obstore
from obstore import exceptions as trouble

from engine.connectors.files import ledger as ledgers
from engine.connectors.files.aim import Aim, Shot, aim_at, digest, shot
from engine.connectors.files.ledger import Ledger
from engine.connectors.files.names import naming, shown
from engine.connectors.files.object_failures import Missing
from engine.connectors.files.objects import ObjectStore
from engine.connectors.files.sinks import Written, ending, write_rows
from engine.model.errors import ConfigurationError, ResourceExhaustion
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

TOKEN = "penstocktoken"
"""Azure takes no hyphen in a name of metadata, and some servers before an S3 drop names with an underscore."""
TOKEN_BEFORE = "penstock-token"
"""What objects have that were written before Azure was reached."""
_BUFFER = 8 << 20
_TRIES = 10


class ObjectTarget:
    """See engine.connectors.files.target.Target."""

    def __init__(self, place: ObjectStore, connection: Connection) -> None:
        self._place, self._connection = place, connection

    def create(self, target: str) -> None:
        aim_at(target)  # a store has no folders; the name has to be one

    def ledger(self, token: str, target: str) -> Loaded | None:
        aim = aim_at(target)
        found = self._ledger(aim)[0].find(token)
        return ledgers.loaded(found, self._place.uri(aim.name), already=True) if found is not None else None

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        found = self._ledger(aim_at(target))[0].newest(scope) if scope else None
        return dict(found["seal"]) if found is not None else None

    def load(self, stream: Stream, order: Order) -> Loaded:
        one, name = self._aimed(order)
        done = self.ledger(order.token, order.target)
        if done is not None:
            return done
        upload, written = self._write(stream, order, one, name)
        return self._publish(one.aim, name, written, order, upload.complete)

    def _aimed(self, order: Order) -> tuple[Shot, str]:
        with naming(self._connection.id):
            one = shot(order, aim_at(order.target), self._connection.config)
        if one.tree or (one.folder and order.mode is Mode.REPLACE):
            raise ConfigurationError(
                f"'{shown(order.target)}': several objects cannot appear at once in an object store; write one "
                f"object "
                "(`target` with an ending such as .parquet), or append to a folder without `partition_by`."
            )
        name = f"{one.aim.name}/{one.stem}{ending(one.options)}" if one.folder else one.aim.name
        if not order.create and not self._place.is_folder(one.aim.name) and self._place.find(one.aim.name) is None:
            raise ConfigurationError(
                f"There is no target '{shown(order.target)}' in connection '{self._connection.id}', and `create: "
                "false` forbids to make it."
            )
        return one, name

    def _write(self, stream: Stream, order: Order, one: Shot, name: str) -> tuple[_Upload, Written]:
        upload = _Upload(self._place, name, digest(order.token))
        written = write_rows(stream, order, one.options, "", lambda _: upload)
        failpoint.hit("files.written")
        return upload, written

    def _publish(self, aim: Aim, name: str, written: Written, order: Order, show: Callable[[], None]) -> Loaded:
        had = self._place.find(name) is not None
        proof = {"name": name, "token": digest(order.token)}
        counts = {"rows": written.rows, "bytes": written.bytes}
        entry = ledgers.entry(order, counts, proof, time.time()) | {"had": had}
        self._update(aim, lambda ledger: ledger.open(dict(entry)))
        failpoint.hit("files.sealed")
        show()
        failpoint.hit("files.published")
        self._update(aim, lambda ledger: ledger.settle(order.token))
        return ledgers.loaded(entry, self._place.uri(aim.name), already=False, created=not had)

    # ---------------------------------------------------------------------------- many destinations

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        one, _ = self._aimed(order)
        staged: dict[str, Any] = {"target": order.target, "digest": digest(order.token)}
        if self.ledger(order.token, order.target) is None:
            upload, written = self._write(stream, order, one, self._beside(one.aim, digest(order.token), "stage"))
            upload.complete()
            staged |= {"rows": written.rows, "bytes": written.bytes}
        return staged

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        done = self.ledger(order.token, order.target)
        if done is not None:
            return done
        one, name = self._aimed(order)
        source = self._beside(one.aim, digest(order.token), "stage")
        if "rows" not in staged or self._place.find(source) is None:
            raise ConfigurationError(f"What was staged for '{shown(order.target)}' is gone; retry the load.")
        if self._place.find(name) is not None:
            self._copy(name, self._beside(one.aim, digest(order.token), "before"))
        written = Written(rows=int(staged["rows"]), bytes=int(staged["bytes"]))
        return self._publish(one.aim, name, written, order, lambda: self._copy(source, name))

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        one, name = self._aimed(order)
        entry = self._ledger(one.aim)[0].find(order.token)
        if entry is None:
            return
        before = self._beside(one.aim, digest(order.token), "before")
        if self._proven(entry["proof"]):  # else somebody has written it since
            if entry["had"] and self._place.find(before) is not None:
                self._copy(before, name)
            else:
                self._remove(name)
        self._update(one.aim, lambda ledger: ledger.forget(order.token))

    def discard(self, staged: Mapping[str, Any]) -> None:
        aim = aim_at(str(staged["target"]))
        for kind in ("stage", "before"):
            self._remove(self._beside(aim, str(staged["digest"]), kind))

    # ------------------------------------------------------------------------------------ the store

    def _beside(self, aim: Aim, name: str, kind: str) -> str:
        return "/".join((*aim.parent, ledgers.FOLDER, f"{aim.key}.{name}.{kind}"))

    def _copy(self, name: str, to: str) -> None:
        place = self._place
        place.asked(lambda: obstore.copy(place.store, place.key(name), place.key(to)), to)

    def _remove(self, name: str) -> None:
        place = self._place
        if place.find(name) is not None:
            with suppress(Missing):  # somebody else was faster
                place.asked(lambda: obstore.delete(place.store, place.key(name)), name)

    def _proven(self, proof: Mapping[str, Any]) -> bool:
        """Whether the object is the one this load has written."""
        place, name = self._place, str(proof["name"])
        if place.find(name) is None:
            return False
        got = place.asked(lambda: obstore.get(place.store, place.key(name), options={"head": True}), name)
        return proof["token"] in (got.attributes.get(TOKEN), got.attributes.get(TOKEN_BEFORE))

    def _ledger(self, aim: Aim) -> tuple[Ledger, Any]:
        """The ledger, and the condition that it is still this one when it is put again."""
        place, name = self._place, self._ledger_name(aim)
        found = place.find(name)
        if found is None:
            return Ledger(None, self._proven, aim.name), "create"
        got = place.asked(lambda: obstore.get(place.store, place.key(name)), name)
        data = bytes(place.asked(got.bytes, name))
        version = {key: got.meta[key] for key in ("e_tag", "version") if got.meta.get(key)}
        return Ledger(data, self._proven, aim.name), version or "overwrite"

    def _ledger_name(self, aim: Aim) -> str:
        return "/".join((*aim.parent, ledgers.FOLDER, f"{aim.key}.json"))

    def _update(self, aim: Aim, change: Callable[[Ledger], bytes]) -> None:
        """Put the ledger changed; again, from what there is then, when somebody else was faster."""
        for _ in range(_TRIES):
            ledger, condition = self._ledger(aim)
            if self._put(aim, change(ledger), condition):
                return
        raise ResourceExhaustion(f"Other loads keep writing the ledger of '{shown(aim.name)}'; retry later.")

    def _put(self, aim: Aim, data: bytes, condition: Any) -> bool:
        place = self._place
        key = place.key(self._ledger_name(aim))

        def put(mode: Any) -> None:
            obstore.put(place.store, key, data, mode=mode, use_multipart=False)

        def tried() -> bool:
            try:
                put(condition)
            except (trouble.PreconditionError, trouble.AlreadyExistsError):
                return False
            except trouble.NotSupportedError:
                put("overwrite")
            return True

        return bool(place.asked(tried, aim.name))


class _Upload:
    """One object on its way; unseen until it is completed. See engine.connectors.files.sinks.OutFile."""

    def __init__(self, place: ObjectStore, name: str, token: str) -> None:
        self._place, self._name = place, name
        self._writer = obstore.open_writer(
            place.store, place.key(name), attributes={TOKEN: token}, buffer_size=_BUFFER, max_concurrency=2
        )

    def write(self, data: Any) -> None:
        self._place.asked(lambda: self._writer.write(bytes(data)), self._name)

    def close(self) -> None:
        """Everything was handed over; `complete` makes it an object."""

    def complete(self) -> None:
        """The commit."""
        self._place.asked(self._writer.close, self._name)

    def abandon(self) -> None:
        """Nothing appears: an upload that is not completed is no object."""
