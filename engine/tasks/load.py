"""`load`: rows into one target, or into several or none of them.

Law: a load is done once per token, whatever happens to its attempts: a token in the target's ledger is reported,
not loaded again, and nothing is read for it. The watermark is sealed into the same step as the rows it stands for,
and what the ledger says of it counts more than what the engine remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.dataset import Column, DatasetTouch, Direction, WatermarkMove
from engine.model.errors import Problem
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Destination, Loaded, Mode, Order
from engine.ports.source import Source
from engine.ports.stream import Stream
from engine.ports.tasktype import Mode as RunMode
from engine.ports.tasktype import TaskContext
from engine.tasks import writing
from engine.tasks.feed import Feed, open_feed
from engine.tasks.reading import past


class LoadTask:
    """See engine.ports.tasktype.TaskType."""

    name = "load"
    category = "load"

    def __init__(
        self, source: Callable[[Connection], Source], destination: Callable[[Connection], Destination]
    ) -> None:
        self._source = source
        self._destination = destination

    def schema(self) -> Mapping[str, Any]:
        return writing.SCHEMA

    def mode(self, config: Mapping[str, Any]) -> RunMode:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return True

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        source = config.get("source")
        named = [source.get("connection")] if isinstance(source, Mapping) else []
        named += [each.get("connection") for each in writing.targets(config)]
        return tuple(dict.fromkeys(each for each in named if isinstance(each, str)))

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        return writing.check_writing(config)

    def run(self, ctx: TaskContext) -> Outcome:
        targets = writing.targets(ctx.config)
        if len(targets) > 1:
            from engine.tasks.saga import load_all

            return report(ctx, load_all(ctx, targets, self._source, self._destination))
        target = targets[0]
        if history := past(ctx.config):
            from engine.tasks.history import load_history

            return report(ctx, [load_history(ctx, history, self._source, self._destination)])
        with closing(self._destination(ctx.connection(str(target["connection"])))) as destination:
            done = destination.ledger(ctx.load_token, str(target["target"]))
            if done is None:
                with closing(open_feed(ctx, self._source)) as feed:
                    return report(ctx, [_load(ctx, feed, target, destination)])
            ctx.log.info("%s was loaded by an earlier attempt; nothing is loaded again.", target["target"])
            return report(ctx, [Written(target, done, done.seal, columns(destination, target))])


def _load(ctx: TaskContext, feed: Feed, target: Mapping[str, Any], destination: Destination) -> Written:
    order = writing.order(ctx, target, scope=feed.scope, seal=feed.seal)
    loaded, stream = _from_text(destination, feed, target, order), None
    if loaded is None:
        stream = feed.rows(target, destination, order)
        loaded = destination.load(stream, order)
    failpoint.hit("load.published")
    feed.acknowledge()
    keep_sample(ctx, feed, loaded.rows)
    seal = loaded.seal if loaded.already else feed.seal()
    return Written(target, loaded, seal, columns(destination, target, stream))


def keep_sample(ctx: TaskContext, feed: Feed, rows: int) -> None:
    """The first rows as an output, for who looks at what was read (engine.client.samples)."""
    sample = feed.sample(rows)
    if sample is not None:
        ctx.output("sample", sample)


def _from_text(destination: Destination, feed: Feed, target: Mapping[str, Any], order: Order) -> Loaded | None:
    """The file's own bytes, where source and destination both can and no column is to be looked at."""
    if order.mode is not Mode.APPEND or not writing.as_it_is(target) or feed.scope:
        return None
    text = feed.raw()
    return destination.load_raw(text, order) if text is not None else None


@dataclass(frozen=True, slots=True)
class Written:
    """One target as it is now."""

    target: Mapping[str, Any]
    loaded: Loaded
    seal: Mapping[str, Any]  # Feed.seal, of the attempt that loaded it
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return f"{self.target['connection']}:{self.target['target']}"


def columns(
    destination: Destination, target: Mapping[str, Any], stream: Stream | None = None
) -> tuple[Column, ...]:
    """What the target looks like: as it says itself, or as its rows did."""
    from engine.dataflow.kinds import columns_of

    schema = destination.target_schema(str(target["target"]))
    if schema is None and stream is not None:
        schema = stream.schema
    return columns_of(schema) if schema is not None else ()


def report(ctx: TaskContext, all_written: Sequence[Written]) -> Outcome:
    """What was read and written, as lineage, metrics and outputs; the watermark as the ledgers have it."""
    import msgspec

    seal = next((one.seal for one in all_written if one.loaded.already), all_written[0].seal)
    for touch in msgspec.convert(seal.get("reads") or (), tuple[DatasetTouch, ...]):
        ctx.touch(touch)
    for one in all_written:
        ctx.touch(_touch(one))
        for note in one.loaded.notes:
            ctx.log.warning("%s", note)
    if seal.get("watermark"):
        ctx.move(msgspec.convert(seal["watermark"], WatermarkMove))
    rows = sum(one.loaded.rows for one in all_written)
    ctx.metric("rows", rows)
    ctx.progress(rows, rows)
    outputs: dict[str, Any] = {"rows": rows, "already": all(one.loaded.already for one in all_written)}
    if len(all_written) > 1:
        outputs["targets"] = {one.name: {"rows": one.loaded.rows, "state": "published"} for one in all_written}
    return Outcome(result="success", outputs=outputs)


def _touch(one: Written) -> DatasetTouch:
    return DatasetTouch(
        direction=Direction.WRITE,
        dataset=str(one.target.get("dataset") or one.name),
        uri=one.loaded.uri,
        rows=one.loaded.rows,
        bytes=one.loaded.bytes,
        columns=one.columns,
        transformation=f"load:{one.target.get('mode', 'append')}",
    )
