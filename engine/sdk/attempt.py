"""The inside of an attempt: context, rendering, running, classifying.

Law: whatever the task does ends as one Outcome; its exceptions are kept with their stack, logged and classified,
none is swallowed. This file knows no task type and no adapter: type and renderer are handed in.
"""

from __future__ import annotations

import linecache
import logging
import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from engine.model.errors import ErrorKind, SkipTask, TaskError
from engine.model.run import Outcome, Reason
from engine.ports import failpoint
from engine.ports.executor import AttemptSpec
from engine.ports.tasktype import TaskType
from engine.rules.classify import classify
from engine.sdk import signals
from engine.sdk.channel import Channel, ConnectionRefused, Workplace
from engine.sdk.context import Context, Datasets, Render
from engine.sdk.outputs import load_staged, staging_folder
from engine.sdk.wire import INLINE_OUTPUTS

_OURS = str(Path(__file__).resolve().parents[1])  # frames below are the engine's, not the author's


class Cancelled(BaseException):
    """Raised in a task that never looks at `ctx.cancelled` when it is asked to end, so that its `finally`
    blocks run. Not an Exception: `except Exception` must not hold it up."""


def run_attempt(
    spec: AttemptSpec,
    channel: Channel,
    place: Workplace,
    *,
    task_type: TaskType,
    render: Render,
    datasets: Datasets,
) -> Outcome:
    """Run one attempt to its outcome."""
    log_through(channel)
    environment = attempt_environment(spec)
    try:
        variables = _variables(spec, place, environment)
        config = render(spec.config, variables)
        ctx = Context(
            spec,
            channel,
            place,
            variables=variables,
            config=config,
            render=render,
            environment=environment,
            datasets=datasets,
        )
        stop_on_signal(ctx, channel)
        failpoint.hit("attempt.before_run")
        outcome = task_type.run(ctx)
        failpoint.hit("attempt.after_run")
        ctx.flush_progress()
        return _complete(outcome, ctx, spec, place)
    except SkipTask as skip:
        channel.log("INFO", "engine", f"Skipped: {skip}" if str(skip) else "Skipped.")
        return Outcome(result="skipped", reason=Reason.SKIP_RAISED)
    except BaseException as error:  # noqa: BLE001 - this is where every failure of a task becomes a value
        return Outcome(result="failed", error=_failure(error, spec, channel))


def attempt_environment(spec: AttemptSpec) -> dict[str, str]:
    """The PENSTOCK_* variables of one attempt."""
    given = {
        "RUN_ID": spec.run_id,
        "PIPELINE_ID": spec.pipeline_id,
        "TASK_ID": spec.task_id,
        "ATTEMPT": str(spec.attempt),
        "LOGICAL_DATE": spec.context.get("logical_date"),
        "DS": spec.context.get("ds"),
        "DS_NODASH": spec.context.get("ds_nodash"),
        "ATTEMPT_TOKEN": spec.token,
    }
    return {f"PENSTOCK_{name}": str(value) for name, value in given.items() if value is not None}


def _variables(spec: AttemptSpec, place: Workplace, environment: Mapping[str, str]) -> dict[str, Any]:
    """What templates see: the dispatcher's context, staged outputs read back, the environment of this process."""
    upstream = load_staged(spec.context.get("upstream") or {}, place.staging)
    return {"env": Surroundings(), **spec.context, "upstream": upstream}


class Surroundings(Mapping[str, str]):
    """The environment of this process less the attempt's token, read when a template asks: few do, and decoding
    all of it is a tenth of what an attempt that does nothing takes."""

    def __getitem__(self, name: str) -> str:
        if name == "PENSTOCK_ATTEMPT_TOKEN":
            raise KeyError(name)
        return os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in os.environ if name != "PENSTOCK_ATTEMPT_TOKEN")

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _complete(outcome: Outcome, ctx: Context, spec: AttemptSpec, place: Workplace) -> Outcome:
    """The type's outcome with the outputs and metrics that were given on the way."""
    if not (outcome.outputs or ctx.metrics or ctx.results or ctx.touches or ctx.moves):
        return outcome  # as most are: nothing was given
    ctx.results.merge(dict(outcome.outputs))
    outputs = ctx.results.publish(staging_folder(spec, place.staging), place.staging, INLINE_OUTPUTS)
    return Outcome(
        result=outcome.result,
        error=outcome.error,
        reason=outcome.reason,
        outputs=outputs,
        metrics={**ctx.metrics, **outcome.metrics},
        touches=(*ctx.touches, *outcome.touches),
        moves=(*ctx.moves, *outcome.moves),
    )


def _failure(error: BaseException, spec: AttemptSpec, channel: Channel) -> TaskError:
    if isinstance(error, Cancelled):
        return TaskError(type="Cancelled", kind=ErrorKind.LOGIC, message="It was asked to end, and did.")
    if isinstance(error, SystemExit):
        return _system_exit(error)
    text = trimmed_traceback(error)
    channel.log("ERROR", "engine", text)
    if isinstance(error, ConnectionRefused):
        return TaskError(type="ConfigurationError", kind=error.kind, message=str(error), traceback=text)
    return classify(error, attempt=spec.attempt, traceback=text)


def _system_exit(error: SystemExit) -> TaskError:
    """`sys.exit(...)` in a Python task means what it means in a script; 0 is no success here, for the caller
    expects the function to return."""
    code = error.code if isinstance(error.code, int) else 1
    said = f": {error.code}" if isinstance(error.code, str) else ""
    return TaskError(
        type=f"exit {code}",
        kind=ErrorKind.LOGIC,
        message=f"The task called sys.exit({code}){said}. Return to succeed, or raise what went wrong.",
    )


def trimmed_traceback(error: BaseException) -> str:
    """The stack from the author's first frame on; all of it where no frame is the author's."""
    linecache.checkcache()
    shown = traceback.TracebackException.from_exception(error)
    waiting, seen = [shown], 0
    while waiting and seen < 20:
        one = waiting.pop()
        seen += 1
        theirs = [frame for frame in one.stack if not _is_ours(frame.filename)]
        if theirs:
            one.stack = traceback.StackSummary.from_list(theirs)
        waiting.extend(link for link in (one.__cause__, one.__context__) if link is not None)
    return "".join(shown.format()).rstrip()


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))


class ChannelHandler(logging.Handler):
    """Sends every record of `logging` over the channel; in a child of user code, to stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._channel: Channel | None = None
        self._pid = 0
        self.setFormatter(logging.Formatter("%(message)s"))

    def attach(self, channel: Channel | None) -> None:
        """From now on, for this process; None: to stderr."""
        self._channel, self._pid = channel, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record).encode("utf-8", "backslashreplace").decode()
            if self._channel is None or os.getpid() != self._pid:
                os.write(2, f"{record.levelname} {record.name}: {text}\n".encode())
                return
            for at in range(0, max(len(text), 1), 200_000):  # a frame has a cap; a log record has none
                self._channel.log(record.levelname, record.name, text[at : at + 200_000])
        except Exception:  # noqa: BLE001 - logging's own contract: a handler never breaks its caller
            self.handleError(record)


_HANDLER = ChannelHandler()  # made in the zygote: one made in each attempt costs each a quarter of a millisecond


def log_through(channel: Channel | None) -> None:
    """Have `logging` send what it is told over the channel."""
    _HANDLER.attach(channel)
    root = logging.root
    if root.handlers != [_HANDLER] or root.level != logging.INFO:  # in a zygote the rehearsal has left it so
        root.handlers[:] = [_HANDLER]
        root.setLevel(logging.INFO)


def stop_on_signal(ctx: Context, channel: Channel) -> None:
    """TERM asks this attempt to end: `ctx.cancelled` becomes true, and a task that never looks is interrupted."""
    if threading.get_ident() != threading.main_thread().ident:
        return
    owner = os.getpid()

    def asked(_number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(143)  # a child of user code: TERM means for it what it always means
        ctx.stopping = True
        if ctx.polite:
            return
        ctx.polite = True  # once: a `finally` block is not interrupted again
        if getattr(channel, "speaking", False):
            channel.interruption = Cancelled()  # type: ignore[attr-defined]  # only a SocketChannel speaks
        else:
            raise Cancelled

    signals.handle(signals.TERM, asked)
