"""One load into several targets: all of them or none (TXN-01 to 04).

First every target stages the rows, unseen. Then one after the other publishes them, each in one atomic step with a
token of its own. If one cannot, those that have are taken back in reverse order, and the task fails with what went
wrong. What has been done is kept before the next step is taken, so that an attempt which takes over from one that
was killed goes on where that stopped: it stages what is missing, publishes the rest, or goes on taking back.

Law: an attempt that ends by itself leaves all targets loaded, or none. A failure that may pass (network, time-out,
rate, resources) is tried again within the attempt before anything is taken back; any other, and being asked to end,
takes back at once. Every step may be done twice: targets know their token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NoReturn, TypeVar

from engine.model.errors import ErrorKind, TaskFailure
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Destination, Loaded, Order
from engine.ports.source import Source
from engine.ports.tasktype import TaskContext
from engine.rules.classify import classify
from engine.tasks import writing
from engine.tasks.feed import Feed, open_feed
from engine.tasks.kept import keep, kept
from engine.tasks.load import Written, columns, keep_sample

T = TypeVar("T")
PATIENCE = (1.0, 2.0, 4.0)  # seconds before a step is tried again
_PASSING = frozenset({ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.RATE_LIMITED, ErrorKind.RESOURCE})


def load_all(
    ctx: TaskContext,
    targets: Sequence[Mapping[str, Any]],
    open_source: Callable[[Connection], Source],
    open_destination: Callable[[Connection], Destination],
) -> list[Written]:
    """The rows in every target. Raises what kept them from one, when no target has them."""
    progress = Progress(ctx, len(targets))
    steps = [Step(ctx, target, at, progress, open_destination) for at, target in enumerate(targets)]
    if progress.failed is not None:
        _take_back(ctx, steps, progress, progress.failed)
    with ExitStack() as stack:
        feed = None
        if None in progress.staged:
            feed = stack.enter_context(closing(open_feed(ctx, open_source)))
            progress.sees(feed)
            _stage(ctx, steps, feed, progress)
        _publish(ctx, steps, progress)
        if feed is not None:
            feed.acknowledge()
            keep_sample(ctx, feed, int(progress.published[0]["rows"]))
    failpoint.hit("saga.complete")
    _discard(ctx, steps, progress)
    failpoint.hit("saga.discarded")
    return [step.written(done) for step, done in zip(steps, progress.published, strict=True)]


class Progress:
    """What has been done, as the checkpoint has it."""

    def __init__(self, ctx: TaskContext, count: int) -> None:
        self._ctx = ctx
        saved = kept(ctx).get("saga") or {}
        self.staged: list[Any] = saved.get("staged") or [None] * count
        self.published: list[Any] = saved.get("published") or [None] * count
        self.undone: list[int] = saved.get("undone") or []
        self.scope: str = saved.get("scope") or ""
        self.seal: Mapping[str, Any] = saved.get("seal") or {}
        self.failed: Mapping[str, Any] | None = saved.get("failed")

    def sees(self, feed: Feed) -> None:
        """The rows are there whole, so what the ledgers are to keep beside them is known."""
        self.scope, self.seal = feed.scope, feed.seal()

    def keep(self) -> None:
        """On return it is committed."""
        saga = {
            "staged": self.staged,
            "published": self.published,
            "undone": self.undone,
            "scope": self.scope,
            "seal": self.seal,
            "failed": self.failed,
        }
        keep(self._ctx, {**kept(self._ctx), "saga": saga})

    def forget(self) -> None:
        """None of it holds any more: the next attempt begins anew, with the same rows."""
        keep(self._ctx, {key: value for key, value in kept(self._ctx).items() if key != "saga"})


class Step:
    """What one target does. Its connection is opened for each step: one that broke is of no use to the next."""

    def __init__(
        self,
        ctx: TaskContext,
        target: Mapping[str, Any],
        at: int,
        progress: Progress,
        open_destination: Callable[[Connection], Destination],
    ) -> None:
        self._ctx, self.target, self._progress, self._open = ctx, target, progress, open_destination
        self._part = f"#{at}"
        self.name = f"{target['connection']}:{target['target']}"

    @contextmanager
    def _destination(self) -> Iterator[tuple[Destination, Order]]:
        progress = self._progress
        order = writing.order(
            self._ctx, self.target, scope=progress.scope, seal=lambda: progress.seal, part=self._part
        )
        with closing(self._open(self._ctx.connection(str(self.target["connection"])))) as destination:
            yield destination, order

    def stage(self, feed: Feed) -> Mapping[str, Any]:
        """All rows beside the target."""
        with self._destination() as (destination, order):
            return dict(destination.stage(feed.rows(self.target, destination, order), order))

    def publish(self, staged: Mapping[str, Any]) -> Mapping[str, Any]:
        """The staged rows in the target, once."""
        with self._destination() as (destination, order):
            loaded = destination.publish(staged, order)
        return {
            "rows": loaded.rows,
            "bytes": loaded.bytes,
            "uri": loaded.uri,
            "created": loaded.created,
            "already": loaded.already,
            "seal": dict(loaded.seal) if loaded.already else {},
            "notes": list(loaded.notes),
        }

    def undo(self, staged: Mapping[str, Any]) -> None:
        """The target as it was."""
        with self._destination() as (destination, order):
            destination.undo(staged, order)

    def discard(self, staged: Mapping[str, Any]) -> None:
        """What lies beside the target goes."""
        with self._destination() as (destination, _):
            destination.discard(staged)

    def written(self, done: Mapping[str, Any]) -> Written:
        """The target as it is now."""
        with self._destination() as (destination, _):
            seal = done["seal"] or self._progress.seal
            return Written(self.target, Loaded(**done), seal, columns(destination, self.target))


def _stage(ctx: TaskContext, steps: Sequence[Step], feed: Feed, progress: Progress) -> None:
    """Rows beside every target. A failure leaves what is staged to the next attempt, or nothing."""
    for at, step in enumerate(steps):
        if progress.staged[at] is not None:
            continue
        try:
            progress.staged[at] = step.stage(feed)
        except Exception as error:
            if classify(error).kind not in _PASSING:
                _discard(ctx, steps, progress)
                progress.forget()
            raise
        failpoint.hit("saga.staged")
        progress.keep()
        failpoint.hit("saga.staged_kept")


def _publish(ctx: TaskContext, steps: Sequence[Step], progress: Progress) -> None:
    """One target after the other; if one cannot, or the task is asked to end, none of them."""
    name = ""
    try:
        for at, step in enumerate(steps):
            name = step.name
            if progress.published[at] is None:
                progress.published[at] = _patiently(ctx, step.publish, progress.staged[at])
                failpoint.hit("saga.published")
                progress.keep()
                failpoint.hit("saga.published_kept")
                ctx.metric("targets_published", at + 1)
    except BaseException as error:  # noqa: BLE001  # being asked to end too; it is raised again
        progress.failed = {"kind": classify(error).kind.value, "message": f"{name}: {error}"}
        progress.keep()
        failpoint.hit("saga.failed_kept")
        _take_back(ctx, steps, progress, progress.failed, error)


def _take_back(
    ctx: TaskContext,
    steps: Sequence[Step],
    progress: Progress,
    failed: Mapping[str, Any],
    error: BaseException | None = None,
) -> NoReturn:
    """Undo in reverse order what was published, or may have been; then raise what went wrong."""
    for at in reversed(range(len(steps))):
        if at not in progress.undone:
            _patiently(ctx, steps[at].undo, progress.staged[at])
            failpoint.hit("saga.undone")
            progress.undone.append(at)
            progress.keep()
            failpoint.hit("saga.undone_kept")
    back = [step.name for step, done in zip(steps, progress.published, strict=True) if done is not None]
    ctx.metric("targets_published", 0)
    ctx.metric("targets_undone", len(back))
    _discard(ctx, steps, progress)
    progress.forget()
    if error is not None and not isinstance(error, Exception):
        raise error  # asked to end
    said = f" The rows were in {', '.join(back)} already and have been taken back." if back else ""
    raise _again(failed["kind"], f"{failed['message']} No target has the rows.{said}") from error


def _discard(ctx: TaskContext, steps: Sequence[Step], progress: Progress) -> None:
    """What stays behind does no harm, and the next load of the target removes it."""
    for step, staged in zip(steps, progress.staged, strict=True):
        if staged is not None:
            try:
                step.discard(staged)
            except TaskFailure as error:
                ctx.log.warning("What was staged beside %s is still there: %s", step.name, error)


def _patiently(ctx: TaskContext, do: Callable[[Mapping[str, Any]], T], staged: Mapping[str, Any]) -> T:
    """A step, tried again where its failure may pass."""
    for wait in PATIENCE:
        try:
            return do(staged)
        except Exception as error:
            if classify(error).kind not in _PASSING or ctx.cancelled:
                raise
            ctx.log.warning("It is tried again in %g s: %s", wait, error)
            time.sleep(wait)
    return do(staged)


def _again(kind: str, message: str) -> TaskFailure:
    """The failure of another attempt, or of this one, with its kind: that decides whether it is tried again."""
    found = next((each for each in TaskFailure.__subclasses__() if each.kind.value == kind), TaskFailure)
    return found(message)
