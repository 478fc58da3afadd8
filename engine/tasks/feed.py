"""What a load is fed with: a staged dataset of an upstream task, or a source read in the same attempt.

Law: a feed hands out its rows once per target. A source that is to be written to several targets, or that can be
taken up where it stopped, is staged first, inside the load's own attempt; any other streams from source to target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.model.dataset import DatasetTouch, Strategy, WatermarkMove
from engine.model.errors import ConfigurationError, DataQualityError
from engine.model.workspace import Connection
from engine.ports.destination import Destination, Growing, Mode, Order
from engine.ports.source import Reading, Source
from engine.ports.stream import RawText, Stream
from engine.ports.tasktype import TaskContext
from engine.rules.watermarks import newer
from engine.tasks import reading as keys
from engine.tasks.extract import Extraction, finished, watermark_move

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.dataflow.sampling import Sampled
    from engine.dataflow.streams import Counted

MARK = "$dataset"  # as engine.dataflow.staging.MARK, which takes Arrow with it


def open_feed(ctx: TaskContext, open_source: Callable[[Connection], Source]) -> Feed:
    """The feed that the load's config names."""
    given = ctx.config.get("source")
    if not isinstance(given, Mapping):
        return StagedFeed(ctx, _upstream_dataset(ctx, given))
    reference = finished(ctx)
    if reference is not None:
        return StagedFeed(ctx, reference)
    source = open_source(ctx.connection(str(given["connection"])))
    try:
        return _read_here(ctx, given, source)
    except BaseException:
        source.close()
        raise


def _read_here(ctx: TaskContext, given: Mapping[str, Any], source: Source) -> Feed:
    extraction = Extraction(ctx, given, source)
    opened = extraction.open()
    try:
        several = len(ctx.config.get("targets") or ()) > 1
        if several or opened.position() is not None:
            return StagedFeed(ctx, extraction.stage(opened), source, opened)
        return ReadFeed(ctx, given, extraction.name, source, opened)
    except BaseException:
        opened.close()
        raise


def _upstream_dataset(ctx: TaskContext, named: Any) -> Mapping[str, Any]:
    """The reference that the upstream task left in its outputs."""
    if named is None:
        having = [task for task, outputs in ctx.upstream.items() if _reference(outputs) is not None]
        if len(having) != 1:
            there = f"found {', '.join(having)}" if having else "found none"
            raise ConfigurationError(
                f"Without `source`, one upstream task has a dataset; {there}. Name it in `source`."
            )
        named = having[0]
    found = _reference(ctx.upstream.get(named))
    if found is None:
        raise ConfigurationError(
            f"Upstream task '{named}' has left no dataset; name an `extract` or `transform` above this task."
        )
    return found


def _reference(outputs: Any) -> Mapping[str, Any] | None:
    given = outputs.get("dataset") if isinstance(outputs, Mapping) else None
    return given if isinstance(given, Mapping) and MARK in given else None


class Feed:
    """What both kinds share: the watermark's way from the read to the ledger."""

    def __init__(self, ctx: TaskContext) -> None:
        self._ctx = ctx
        self.after: Any = None  # the watermark the read began at
        self.scope = ""
        self.told: tuple[Strategy | None, str] = (None, "")  # how rows are told to be new, and by which column
        self.limit: Any = None  # the source's clock: what is dated later is read again

    def stream(self) -> Stream:
        """All rows, from the beginning."""
        raise TypeError(f"{type(self).__name__} hands out no rows")  # both subclasses do

    def raw(self) -> RawText | None:
        """The rows as text, where they lie as such."""
        return None

    def touches(self) -> Sequence[DatasetTouch]:
        """What the rows were read from, for lineage."""
        return ()

    def move(self) -> WatermarkMove | None:
        """How far the rows handed out so far reach."""
        return None

    def acknowledge(self) -> None:
        """The rows are where they belong."""

    def sample(self, rows: int) -> Mapping[str, Any] | None:
        """The first of the `rows` that were loaded, as staged rows, where no task above has staged them."""
        return None

    def seal(self) -> Mapping[str, Any]:
        """What the ledger keeps beside the token: all that an attempt needs which finds the load done."""
        import msgspec

        move = self.move()
        reads = [replace(each, parts=each.parts[:5]) for each in self.touches()]
        sealed = {"reads": msgspec.to_builtins(reads)}
        return sealed if move is None else {**sealed, "watermark": msgspec.to_builtins(move)}

    def rows(self, target: Mapping[str, Any], destination: Destination, order: Order) -> Stream:
        """The rows as the target takes them: only new ones, columns mapped, values converted."""
        from engine.dataflow.conform import conform
        from engine.dataflow.newer import only_newer
        from engine.dataflow.streams import Counted

        stream = self.stream()
        there = destination.target_schema(order.target)
        if not stream.schema.names:
            sends = destination.modes() == {Mode.APPEND}  # rows as they are: no columns are made there
            return stream if sends else _nothing(stream, there, order, f"{target['connection']}:{order.target}")
        strategy, column = self.told
        if order.mode is Mode.APPEND and strategy in (Strategy.TIMESTAMP, Strategy.ID) and column:
            after = self._already_there(destination, order)
            stream = only_newer(stream, column, after, self.limit, lambda: self._early(column))
        conformed = conform(
            stream,
            columns=target.get("columns") or {},
            target=there,
            drift=str(target.get("on_drift", "fail")),
            nulls=str(target.get("nulls", "keep")),
            keep=(order.delete_when,) if order.delete_when else (),
            where=f"{target['connection']}:{order.target}",
            note=lambda sentence: self._ctx.log.warning("%s", sentence),
        )
        if there is not None:
            self._grow(destination, order, [each for each in conformed.schema if each.name not in there.names])
        return Counted(conformed, self._ctx.progress)

    def _grow(self, destination: Destination, order: Order, fields: Sequence[pa.Field]) -> None:
        """Add what the target lacks; `conform` leaves such columns in the rows for `on_drift: add` only."""
        new = [each for each in fields if each.name != order.delete_when]
        if not new:
            return
        if not isinstance(destination, Growing):
            raise ConfigurationError(
                f"No column can be added to {order.target} from here; add '{new[0].name}' there, or say "
                "`on_drift: ignore`."
            )
        destination.add_columns(order.target, new)
        names = ", ".join(f"'{each.name}'" for each in new)
        self._ctx.log.warning("%s has a new column: %s (on_drift: add).", order.target, names)

    def _early(self, column: str) -> None:
        self._ctx.log.warning(
            "There are rows whose '%s' is later than the source's own clock. They would be read again and appended "
            "twice, so they are left out until that time has come; `mode: upsert` takes them now.",
            column,
        )

    def _already_there(self, destination: Destination, order: Order) -> Any:
        """Up to which value the target has its rows: appending them again would double them."""
        if not order.scope:
            return self.after
        kept = (destination.watermark(order.scope, order.target) or {}).get("watermark") or {}
        value = kept.get("value")
        return value if newer(value, self.after) else self.after

    def close(self) -> None:
        """Let go of what is read from."""


class StagedFeed(Feed):
    """Rows that lie under the staging folder. `source`, `opened`: where this very attempt has read them from, to be
    told when they are safe."""

    def __init__(
        self,
        ctx: TaskContext,
        reference: Mapping[str, Any],
        source: Source | None = None,
        opened: Reading | None = None,
    ) -> None:
        import msgspec

        from engine.dataflow.staging import StagedDataset

        super().__init__(ctx)
        self._source, self._opened = source, opened
        self._dataset = StagedDataset(reference, ctx.staging)
        manifest = self._dataset.manifest
        self._touches = msgspec.convert(manifest.get("reads") or (), tuple[DatasetTouch, ...])
        self._move: WatermarkMove | None = None
        self._reference = reference
        self._ours = ours = isinstance(ctx.config.get("source"), Mapping)
        if newness := manifest.get("newness"):
            self.told = Strategy(newness["strategy"]), newness["column"]
            self.after, self.limit = newness["after"], newness["limit"]
        if newness and (ours or manifest.get("moved_by") != "extract"):
            self.scope = scope(ctx, newness["producer"], manifest["source"], newness["resets"])
            if manifest.get("watermark"):
                self._move = msgspec.convert(manifest["watermark"], WatermarkMove)

    def stream(self) -> Stream:
        return self._dataset

    def touches(self) -> Sequence[DatasetTouch]:
        return self._touches

    def move(self) -> WatermarkMove | None:
        return self._move

    def acknowledge(self) -> None:
        if self._opened is not None:
            self._opened.acknowledge()

    def sample(self, rows: int) -> Mapping[str, Any] | None:
        return self._reference if self._ours else None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._source is not None:
            self._source.close()


class ReadFeed(Feed):
    """Rows that stream straight from their source. `sampled`: the first are kept for who looks at the dataset."""

    def __init__(
        self,
        ctx: TaskContext,
        config: Mapping[str, Any],
        name: str,
        source: Source,
        opened: Reading,
        *,
        sampled: bool = True,
    ) -> None:
        super().__init__(ctx)
        self._config, self._name, self._source, self._opened = config, name, source, opened
        window = keys.window(config, name, ctx.watermarks)
        self._read: Counted | None = None
        self._samples = sampled
        self._sampled: Sampled | None = None
        if window is not None:
            self.after = window.after
            self.scope = scope(ctx, ctx.task_id, name, keys.resets(name, ctx.watermarks))
        if (seen := opened.seen()) is not None:
            self.told, self.limit = (seen.strategy, seen.column), seen.limit

    def stream(self) -> Stream:
        from engine.dataflow.streams import Counted

        self._read = Counted(self._taken() if self._samples else self._opened)
        return self._read

    def raw(self) -> RawText | None:
        text = self._opened.raw()
        return self._taken().text(text) if text is not None else None

    def _taken(self) -> Sampled:
        from engine.dataflow.sampling import Sampled

        self._sampled = Sampled(self._opened, self._ctx.staging_folder, self._ctx.staging)
        return self._sampled

    def sample(self, rows: int) -> Mapping[str, Any] | None:
        if self._sampled is None:
            return None
        return self._sampled.publish(self._read.rows if self._read is not None else rows)

    def touches(self) -> Sequence[DatasetTouch]:
        rows = self._read.rows if self._read is not None else None
        touches = keys.named(self._opened.touches(), self._config)
        return [replace(each, rows=rows if each.rows is None else each.rows) for each in touches]

    def acknowledge(self) -> None:
        self._opened.acknowledge()

    def move(self) -> WatermarkMove | None:
        return watermark_move(self._ctx, self._name, self._opened)

    def close(self) -> None:
        (self._sampled or self._opened).close()
        self._source.close()


def _nothing(stream: Stream, there: pa.Schema | None, order: Order, where: str) -> Stream:
    """A source that had no rows and so no columns (a web service with an empty list), as the target takes it."""
    import pyarrow as pa

    from engine.dataflow.streams import Batches

    if there is None:
        raise DataQualityError(
            f"{where}: the source has no rows, and nothing tells the columns of a target that is not there yet. "
            "Name them in the source's `types`, or make the target first."
        )
    keys = {each.lower() for each in order.keys}
    fields = [each for each in there if each.name.lower() in keys] or [there.field(0)]
    flag = [pa.field(order.delete_when, pa.bool_())] if order.delete_when else []
    return Batches(pa.schema([*fields, *flag]), (batch for batch in stream if batch.num_rows), stream.close)


def scope(ctx: TaskContext, producer: str, source: str, resets: int) -> str:
    """Whose watermark a seal holds; a reset begins another one."""
    return f"{ctx.profile or ''}/{ctx.pipeline_id}/{producer}/{source}/{ctx.task_id}#{resets}"
