"""Historical loading: a long stretch of a source, chunk after chunk, beside the regular incremental loads (INC-09).

Law: each chunk is a load of its own, with its own token, and leaves a temporary watermark in the target's ledger:
another attempt, or another run of the same stretch, goes on after the last chunk that is there. The regular
watermark is neither read from nor moved; it only says where the stretch ends when nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Destination, Loaded
from engine.ports.source import Source, Window
from engine.ports.tasktype import TaskContext
from engine.rules.watermarks import newer, oldest, read, written
from engine.tasks import reading as keys
from engine.tasks import writing
from engine.tasks.feed import ReadFeed, scope
from engine.tasks.load import Written, columns

MOST_CHUNKS = 10_000
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Everything after one watermark, up to and with another."""

    after: Any  # watermark values
    upto: Any


def load_history(
    ctx: TaskContext,
    stretch: Mapping[str, Any],
    open_source: Callable[[Connection], Source],
    open_destination: Callable[[Connection], Destination],
) -> Written:
    """Every chunk that the target does not have yet."""
    config: Mapping[str, Any] = ctx.config["source"]
    (target,) = writing.targets(ctx.config)
    name = keys.source_name(config, ctx)
    regular = oldest(each.value for each in ctx.watermarks if each.source == name) if ctx.watermarks else None
    begin, end = _ends(stretch, regular)
    mine = f"{scope(ctx, ctx.task_id, name, 0)}~{begin['value']}"
    total, last = 0, None
    with closing(open_destination(ctx.connection(str(target["connection"])))) as destination:
        there = (destination.watermark(mine, str(target["target"])) or {}).get("chunk")
        todo = [_rest(there, each) for each in chunks(begin, end, stretch["chunk"]) if not _has(there, each)]
        ctx.log.info("%s chunks of %s to load.", len(todo), name)
        for number, chunk in enumerate(todo, start=1):
            with closing(open_source(ctx.connection(str(config["connection"])))) as source:
                last = _load(ctx, config, name, source, destination, target, chunk, mine)
            failpoint.hit("load.chunk")
            total += last.loaded.rows
            ctx.progress(number, len(todo), "chunks")
        if last is None:
            return Written(target, Loaded(rows=0, already=True), {}, columns(destination, target))
    return Written(target, replace(last.loaded, rows=total), last.seal, last.columns)


def _load(
    ctx: TaskContext,
    config: Mapping[str, Any],
    name: str,
    source: Source,
    destination: Destination,
    target: Mapping[str, Any],
    chunk: Chunk,
    mine: str,
) -> Written:
    window = keys.window(config, name, ())
    assert window is not None  # a stretch is part of `incremental`
    opened = source.read(keys.selection(config, _of(window, chunk)))
    with closing(opened):
        feed = ReadFeed(ctx, config, name, source, opened, sampled=False)
        feed.after, feed.scope = chunk.after, ""
        feed.limit = None  # a chunk is read once, with what in it is still to come
        order = writing.order(
            ctx,
            target,
            scope=mine,
            seal=lambda: {"reads": feed.seal()["reads"], "chunk": chunk.upto},
            part=f"~{chunk.upto['value']}",
        )
        loaded = destination.load(feed.rows(target, destination, order), order)
        return Written(target, loaded, {"reads": feed.seal()["reads"]}, columns(destination, target))


def _of(window: Window, chunk: Chunk) -> Window:
    if window.strategy not in (None, Strategy.TIMESTAMP, Strategy.ID):
        raise ConfigurationError(
            f"History is loaded in chunks of a timestamp or an id, not by strategy {window.strategy}; name the "
            "column in `incremental`."
        )
    return replace(window, after=chunk.after, upto=chunk.upto, lookback_seconds=0.0, fingerprint="")


def _ends(stretch: Mapping[str, Any], regular: Any) -> tuple[Any, Any]:
    begin = _value(stretch["from"])
    end = _value(stretch["to"]) if stretch.get("to") is not None else regular
    if end is None:
        raise ConfigurationError("`incremental.backfill` needs `to`: no watermark says how far regular loads are.")
    if begin["type"] == "timestamp" and end["type"] == "datetime":
        begin = written(read(begin).replace(tzinfo=None))
    if begin["type"] == "timestamp" and end["type"] == "date":
        end = _value(end["value"])
    if not newer(end, begin):
        raise ConfigurationError("`incremental.backfill`: `to` has to be after `from`.")
    return begin, end


def _value(given: Any) -> Any:
    """A number, or a date or time; one without a zone is UTC."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return written(given)
    try:
        found = datetime.fromisoformat(str(given))
    except ValueError:
        raise ConfigurationError(
            f"`incremental.backfill`: '{str(given)[:40]}' is neither a number nor a date such as 2026-01-31."
        ) from None
    return written(found if found.tzinfo else found.replace(tzinfo=UTC))


def chunks(begin: Any, end: Any, size: Any) -> Iterator[Chunk]:
    """From `begin`, which is included, to `end`, which is too."""
    low, high, step = read(begin), read(end), _step(begin, size)
    tick = timedelta(microseconds=1) if isinstance(step, timedelta) else 1
    low = low - tick
    for _ in range(MOST_CHUNKS):
        upto = min(low + step, high)
        yield Chunk(written(low), written(upto))
        if upto >= high:
            return
        low = upto
    raise ConfigurationError(
        f"`incremental.backfill` makes more than {MOST_CHUNKS:,} chunks; a larger `chunk` makes fewer."
    )


def _step(begin: Any, size: Any) -> Any:
    if begin["type"] in ("integer", "float", "decimal"):
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
        raise ConfigurationError("`incremental.backfill`: with numbers, `chunk` is a number: how many ids at once.")
    match = keys.SPAN.match(str(size))
    if match is None or float(match[1]) <= 0:
        raise ConfigurationError("`incremental.backfill`: with times, `chunk` is a span: 12h, 7d, 4w.")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _has(there: Any, chunk: Chunk) -> bool:
    """Whether the target's temporary watermark is at or beyond the chunk's end."""
    return there is not None and not newer(chunk.upto, there)


def _rest(there: Any, chunk: Chunk) -> Chunk:
    """What of the chunk the target does not have: an earlier stretch may have ended in its middle."""
    return replace(chunk, after=there) if there is not None and newer(there, chunk.after) else chunk
