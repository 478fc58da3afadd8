"""The destination's half that systems without transactions share: what they can promise, and what they cannot.

Law: rows arrive at least once, under ids that are the same whenever the same content is sent again. Staged rows
wait in a local file. What was sent cannot be taken back, and nothing claims that it can.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.errors import ConfigurationError, TaskFailure
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import RawText, Stream

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = "rows.arrow"


class Spooling:
    """Everything of a Destination but `test`, `load` and `close`."""

    connection: Connection

    def load(self, stream: Stream, order: Order) -> Loaded:
        """Send all rows; each connector has its own way."""
        raise TypeError(f"{type(self).__name__} sends nothing")  # all of them do

    def modes(self) -> frozenset[Mode]:
        """Such a system is only added to."""
        return frozenset({Mode.APPEND})

    def target_schema(self, target: str) -> pa.Schema | None:
        """It has no columns of its own."""
        return None

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        """What has to be made is made by `load`."""

    def ledger(self, token: str, target: str) -> Loaded | None:
        """It keeps none; the id of each batch or message stands for it."""
        return None

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        """It keeps none."""
        return None

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        """Rows are sent as JSON only."""
        return None

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        """Keep the rows in a local file: nothing is sent before all other targets are ready."""
        from engine.dataflow.outgoing import spool

        self.refuse_other_modes(order)
        scratch = order.options.get("scratch")
        file = Path(str(scratch or tempfile.mkdtemp(prefix="penstock-send-"))) / _FILE
        return {"file": str(file), "rows": spool(stream, file), "own_folder": not scratch}

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        """Send what was staged."""
        from engine.dataflow.outgoing import spooled

        stream = spooled(Path(str(staged["file"])))
        try:
            return self.load(stream, order)
        finally:
            stream.close()

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        """Refused: what was accepted may have been acted upon."""
        raise ConfigurationError(
            f"Connection '{self.connection.id}': what was sent to '{order.target.partition('?')[0]}' cannot "
            "be taken back. Put this target last, or undo it there by hand."
        )

    def discard(self, staged: Mapping[str, Any]) -> None:
        """Remove the local file."""
        file = Path(str(staged.get("file", "")))
        if file.name != _FILE:
            return
        file.unlink(missing_ok=True)
        if staged.get("own_folder") and file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def refuse_other_modes(self, order: Order) -> None:
        """Only append."""
        if order.mode is not Mode.APPEND:
            raise ConfigurationError(
                f"Connection '{self.connection.id}' of type {self.connection.type} takes `mode: append`, "
                f"not '{order.mode.value}'."
            )


def after(failure: TaskFailure, sent: int) -> TaskFailure:
    """The same failure, with what is there already."""
    if not sent:
        return failure
    return type(failure)(
        f"{failure} {sent} rows were accepted before; another attempt sends them again under the same ids.",
        retry_after=failure.retry_after,
    )
