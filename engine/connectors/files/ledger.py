"""The ledger of one target: which loads it holds, kept beside it under `.penstock/files/`.

Law: an entry is written before its data is published, as *pending*, with a proof of what the published data will be
(inode, size and time of the file; the inode of the folder; the token in the object). It counts from the moment the
proof holds, whether or not anybody lived to mark it *done*; marked done, it counts whatever becomes of the data. So
one rename or put of the data commits rows, watermark and token together. Kept small: entries older than 90 days go,
but for the newest of each scope.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.connectors.files.names import shown
from engine.model.errors import ConfigurationError
from engine.ports.destination import Loaded, Order

FOLDER = ".penstock/files"  # not `.penstock` itself: at a workspace's root that is the engine's
KEEP_SECONDS = 90 * 86_400
MOST_ENTRIES = 2_000
LARGEST = 64 << 20

Entry = dict[str, Any]
Proven = Callable[[Mapping[str, Any]], bool]


class Ledger:
    """The entries of one target, oldest first."""

    def __init__(self, data: bytes | None, proven: Proven, name: str) -> None:
        self.entries: list[Entry] = _entries(data, name)
        self._proven = proven

    def find(self, token: str) -> Entry | None:
        """The load of this token, if the target holds it."""
        return next((one for one in reversed(self.entries) if one["token"] == token and self._holds(one)), None)

    def newest(self, scope: str) -> Entry | None:
        """The last load of this scope that the target holds."""
        return next((one for one in reversed(self.entries) if one["scope"] == scope and self._holds(one)), None)

    def _holds(self, entry: Entry) -> bool:
        return entry["state"] == "done" or self._proven(entry["proof"])

    def open(self, entry: Entry) -> bytes:
        """With a load that is about to be published; what an earlier one proves by now is settled first."""
        for one in self.entries:
            if one["state"] == "pending" and self._proven(one["proof"]):
                one["state"] = "done"
        self.entries = [one for one in self.entries if one["token"] != entry["token"]]
        self.entries.append(entry)
        self._prune(entry["at"])
        return self.data()

    def settle(self, token: str) -> bytes:
        """With this load marked done."""
        for one in self.entries:
            if one["token"] == token:
                one["state"] = "done"
        return self.data()

    def forget(self, token: str) -> bytes:
        """Without this load."""
        self.entries = [one for one in self.entries if one["token"] != token]
        return self.data()

    def data(self) -> bytes:
        """As it is kept."""
        return json.dumps({"version": 1, "loads": self.entries}, ensure_ascii=True, indent=1).encode()

    def _prune(self, now: float) -> None:
        last = {one["scope"]: one["token"] for one in self.entries if one["scope"]}
        kept = [
            one
            for at, one in enumerate(self.entries)
            if (one["at"] > now - KEEP_SECONDS and at >= len(self.entries) - MOST_ENTRIES)
            or last.get(one["scope"]) == one["token"]
        ]
        self.entries = kept


def _entries(data: bytes | None, name: str) -> list[Entry]:
    if data is None:
        return []
    try:
        found = json.loads(data)
        if found["version"] == 1:
            return list(found["loads"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError(
        f"The ledger of '{shown(name)}' under `{FOLDER}/` is damaged or of a newer version; nothing is loaded, "
        f"lest rows "
        "come twice. Put it back from a copy, or remove it if the target may be loaded anew."
    )


def entry(order: Order, written: Mapping[str, Any], proof: Mapping[str, Any], now: float) -> Entry:
    """One load, about to be published. The order's seal is asked here."""
    return {
        "token": order.token,
        "scope": order.scope,
        "mode": order.mode.value,
        "rows": written["rows"],
        "bytes": written["bytes"],
        "at": now,
        "state": "pending",
        "proof": dict(proof),
        "seal": dict(order.seal()),
    }


def loaded(one: Mapping[str, Any], uri: str, *, already: bool, created: bool = False) -> Loaded:
    """A load as its caller is told of it."""
    return Loaded(
        rows=int(one["rows"]), bytes=one["bytes"], uri=uri, created=created, already=already, seal=one["seal"]
    )


def near(name: str, there: Iterable[str]) -> str:
    """A hint at a target of a like name."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(there), n=1)
    return f" Did you mean '{shown(found[0])}'?" if found else ""
