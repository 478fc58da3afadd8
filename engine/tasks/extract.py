"""`extract`: rows of one source, staged as the task's output dataset.

Law: rows are on the disk before anything names them. A read that can be taken up again keeps a checkpoint of closed
parts and its position, so that another attempt fetches nothing twice; one that is complete keeps its manifest.
Messages are confirmed after that. The watermark travels in the manifest and moves with the load of these rows, not
with reading them, unless the config says otherwise.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.dataset import DatasetTouch, WatermarkMove
from engine.model.errors import ConfigurationError, Problem
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.source import Reading, Source
from engine.ports.tasktype import Mode, TaskContext
from engine.tasks import reading as keys
from engine.tasks.kept import keep, kept

if TYPE_CHECKING:
    from engine.dataflow.staging import Staged

KEEP_EVERY = 5.0  # seconds between two checkpoints of a read that can be taken up again
KEEP_SHARE = 0.01  # of the time it has taken, where that is longer: a read of a day has hundreds of parts, no more
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["connection"],
    "properties": keys.READ,
}


class ExtractTask:
    """See engine.ports.tasktype.TaskType."""

    name = "extract"
    category = "extract"

    def __init__(self, source: Callable[[Connection], Source]) -> None:
        self._source = source

    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return True

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        given = config.get("connection")
        return (given,) if isinstance(given, str) else ()

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        return keys.check_reading(config)

    def run(self, ctx: TaskContext) -> Outcome:
        reference = finished(ctx)
        if reference is None:
            connection = ctx.connection(str(ctx.config["connection"]))
            with closing(self._source(connection)) as source:
                extraction = Extraction(ctx, ctx.config, source)
                with closing(extraction.open()) as opened:
                    reference = extraction.stage(opened)
                    failpoint.hit("extract.staged")
                    opened.acknowledge()
        _report(ctx, reference)
        return Outcome(result="success", outputs={"dataset": reference, "rows": reference["rows"]})


def _report(ctx: TaskContext, reference: Mapping[str, Any]) -> None:
    """What was read, and how far, as the manifest has it: another attempt may have read it."""
    import msgspec

    from engine.dataflow.staging import read_manifest

    manifest = read_manifest(reference, ctx.staging)
    for touch in msgspec.convert(manifest["reads"], tuple[DatasetTouch, ...]):
        ctx.touch(touch)
    if manifest.get("watermark") and keys.moved_by_extract(ctx.config):
        ctx.move(msgspec.convert(manifest["watermark"], WatermarkMove))
    ctx.metric("rows", reference["rows"])


def finished(ctx: TaskContext) -> dict[str, Any] | None:
    """The dataset that an earlier attempt has staged whole before it was lost, or failed at what comes after."""
    from engine.dataflow.staging import intact, read_manifest

    reference = kept(ctx).get("manifest")
    if not isinstance(reference, dict):
        return None
    try:
        parts = read_manifest(reference, ctx.staging)["parts"]
    except ConfigurationError:
        return None  # swept since
    return reference if intact(parts, ctx.staging) else None


class Extraction:
    """One source, read into a staged dataset."""

    def __init__(self, ctx: TaskContext, config: Mapping[str, Any], source: Source) -> None:
        self._ctx, self._config, self._source = ctx, config, source
        self.name = keys.source_name(config, ctx)
        self._window = keys.window(config, self.name, ctx.watermarks)
        self._before: Sequence[Mapping[str, Any]] = ()  # parts of an earlier attempt
        self._begun = self._kept_at = time.monotonic()

    @property
    def resumed(self) -> bool:
        """Whether rows of an earlier attempt stand."""
        return bool(self._before)

    def open(self) -> Reading:
        """The read, going on where an earlier attempt has stopped if its rows are there and look the same."""
        from engine.dataflow.staging import intact

        saved = kept(self._ctx)
        position, parts = saved.get("position"), saved.get("parts") or ()
        if position is None or not parts or not intact(parts, self._ctx.staging):
            return self._source.read(keys.selection(self._config, self._window))
        opened = self._source.read(keys.selection(self._config, self._window, position))
        if _shape(opened) == saved.get("shape"):
            self._before = parts
            return opened
        opened.close()
        self._ctx.log.warning("The columns of %s have changed since the last attempt; it is read anew.", self.name)
        return self._source.read(keys.selection(self._config, self._window))

    def stage(self, opened: Reading) -> dict[str, Any]:
        """All rows on the disk; the reference to them, which is kept."""
        from engine.dataflow.staging import Staged

        staged = Staged(self._ctx.staging_folder, self._ctx.staging, opened.schema, self._before)
        try:
            self._copy(opened, staged)
            failpoint.hit("extract.read")
            reference = staged.publish(self._details(opened, staged.rows))
        finally:
            staged.abandon()
        keep(self._ctx, {"manifest": reference})
        return reference

    def _copy(self, opened: Reading, staged: Staged) -> None:
        batches = iter(opened)
        while True:
            try:
                batch = next(batches, None)
            except Exception:
                self._keep(staged, opened)  # the source has failed: what it gave before is not asked for again
                raise
            if batch is None:
                return
            if batch.num_rows:
                staged.write(batch)
            self._ctx.progress(staged.rows)
            now = time.monotonic()
            if now - self._kept_at >= max(KEEP_EVERY, KEEP_SHARE * (now - self._begun)):
                self._kept_at = now
                self._keep(staged, opened)
            failpoint.hit("extract.batch")

    def _keep(self, staged: Staged, opened: Reading) -> None:
        position = opened.position()
        if position is not None and staged.rows:
            keep(self._ctx, {"parts": staged.close_part(), "position": position, "shape": _shape(opened)})

    def _details(self, opened: Reading, rows: int) -> dict[str, Any]:
        """What the manifest says besides its parts: what was read, how far, and from where on."""
        import msgspec

        touches = keys.named(opened.touches(), self._config)
        alone = len(touches) == 1  # then our count stands: the reading's own may be of this attempt only
        touches = [replace(each, rows=rows if alone or each.rows is None else each.rows) for each in touches]
        details: dict[str, Any] = {"source": self.name, "reads": msgspec.to_builtins(touches)}
        seen = opened.seen()
        if seen is None:
            return details
        details["moved_by"] = "extract" if keys.moved_by_extract(self._config) else "load"
        details["newness"] = {  # also where nothing was new: a lookback has read what was loaded before
            "producer": self._ctx.task_id,
            "strategy": seen.strategy.value,
            "column": seen.column,
            "resets": keys.resets(self.name, self._ctx.watermarks),
            "after": self._window.after if self._window else None,
            "limit": seen.limit,
        }
        move = watermark_move(self._ctx, self.name, opened)
        return details if move is None else {**details, "watermark": msgspec.to_builtins(move)}


def _shape(opened: Reading) -> str:
    """Names and types of the columns, in order."""
    return hashlib.sha256(opened.schema.to_string().encode()).hexdigest()[:16]


def watermark_move(ctx: TaskContext, source: str, opened: Reading) -> WatermarkMove | None:
    """Where a reading has come to; None when it is not incremental or found nothing new."""
    seen = opened.seen()
    if seen is None or seen.value is None:
        return None
    return WatermarkMove(
        producer=ctx.task_id,
        source=source,
        column=seen.column,
        strategy=seen.strategy,
        value=seen.value,
        fingerprint=seen.fingerprint,
        resets=keys.resets(source, ctx.watermarks),
    )
