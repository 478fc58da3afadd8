"""From an attempt's end to the Finished report.

Law: pure of handles and time. What the attempt reported counts if it is well-formed; a timeout overrules it;
without a report the exit code or signal speaks.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from engine.executors.live import Live
from engine.model.errors import ErrorKind, TaskError
from engine.model.run import Outcome
from engine.ports.executor import AttemptSpec, Finished
from engine.rules.classify import classify_exit, timed_out
from engine.sdk.wire import INLINE_OUTPUTS

LOST_LINES = "log_lines_lost"
RESULTS = ("success", "failed", "skipped", "not_yet")
DEEPEST = 100  # levels of nesting; readers of the store recurse
_encode = msgspec.json.Encoder().encode


def conclude(live: Live, exited: Mapping[str, Any], at: datetime) -> Finished:
    """`exited`: what the zygote said of the end (status as of wait, cpu, peak_kb)."""
    code, number = split_status(int(exited["status"]))
    outcome = _outcome(live, code, number)
    code, number = _of_the_command(outcome, code, number)
    usage = live.usage
    return Finished(
        token=live.spec.token,
        outcome=_masked(live, _with_losses(live, _with_last_words(live, outcome))),
        exit_code=code,
        signal=number,
        at=at,
        cpu_seconds=max(float(exited["cpu"]), usage.cpu_seconds),
        peak_mb=round(max(float(exited["peak_kb"]) / 1024, usage.peak_mb), 1),
        read_bytes=usage.read_bytes if usage.taken else None,
        write_bytes=usage.write_bytes if usage.taken else None,
        killed_for=live.killed_for,
    )


def never_started(spec: AttemptSpec, why: str, at: datetime) -> Finished:
    """The end of an attempt that was killed while it was waiting to be started."""
    kind = ErrorKind.LOST if why == "shutdown" else ErrorKind.LOGIC
    error = TaskError(type="Cancelled", kind=kind, message=f"It was ended by the engine ({why}) before it started.")
    outcome = Outcome(result="failed", error=error)
    return Finished(token=spec.token, outcome=outcome, exit_code=None, signal=None, at=at, killed_for=why)


def split_status(status: int) -> tuple[int | None, int | None]:
    """Exit code and signal from a wait status; one of them is None."""
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def _outcome(live: Live, code: int | None, number: int | None) -> Outcome:
    if live.killed_for == "timeout":
        said = live.outcome.metrics if live.outcome else {}
        return Outcome(result="failed", error=timed_out(live.spec.timeout_seconds), metrics=said)
    if live.outcome is not None and not (live.killed_for == "shutdown" and live.outcome.result == "failed"):
        return live.outcome
    if live.killed_for is not None:
        return Outcome(result="failed", error=_ended_for(live.killed_for, code, number))
    if number is None and code == 0:
        error = TaskError(
            type="exit 0",
            kind=ErrorKind.LOGIC,
            message="The process ended without an outcome: something in it called os._exit().",
        )
        return Outcome(result="failed", error=error)
    return Outcome(result="failed", error=classify_exit(code, number))


def _ended_for(why: str, code: int | None, number: int | None) -> TaskError:
    kind = ErrorKind.LOST if why == "shutdown" else ErrorKind.LOGIC
    ended = f"signal {number}" if number is not None else f"exit {code}"
    return TaskError(type=ended, kind=kind, message=f"It was ended by the engine ({why}).")


def _of_the_command(outcome: Outcome, code: int | None, number: int | None) -> tuple[int | None, int | None]:
    """What a shell task's own command ended with; the process around it ended in order to tell."""
    what, _, given = (outcome.error.type if outcome.error else "").partition(" ")
    if what == "signal" and given.isdigit():
        return None, int(given)
    return code, number


def _with_last_words(live: Live, outcome: Outcome) -> Outcome:
    """Programs say on stderr what went wrong; the exit code alone would send everybody to the log."""
    error = outcome.error
    if error is None or live.killed_for is not None or not error.type.startswith(("exit ", "signal ")):
        return outcome
    words = live.last_error_line()
    if not words:
        return outcome
    told = dataclasses.replace(error, message=f"{error.message} Last line of stderr: {words}")
    return dataclasses.replace(outcome, error=told)


def _with_losses(live: Live, outcome: Outcome) -> Outcome:
    """A log without lines must not look like the log of a task that said nothing."""
    if not live.log.lost:
        return outcome
    return dataclasses.replace(outcome, metrics={**outcome.metrics, LOST_LINES: float(live.log.lost)})


def _masked(live: Live, outcome: Outcome) -> Outcome:
    error = outcome.error
    if error is not None:
        error = dataclasses.replace(
            error,
            type=live.masker.text(error.type)[:200],
            message=live.masker.text(error.message)[:8192],
            traceback=None if error.traceback is None else live.masker.text(error.traceback)[: 32 << 10],
        )
    return dataclasses.replace(outcome, error=error, outputs=live.mask(outcome.outputs))


def examine(outcome: Outcome) -> Outcome:
    """A reported outcome, or the failure that takes its place when it cannot be accepted."""
    problem = _problem(outcome)
    if problem is None:
        return outcome
    return Outcome(
        result="failed",
        error=TaskError(
            type="LogicError", kind=ErrorKind.LOGIC, message=f"The attempt's report is refused: {problem}."
        ),
    )


def _problem(outcome: Outcome) -> str | None:
    if outcome.result not in RESULTS:
        return f"'{outcome.result[:40]}' is no result"
    if outcome.result == "failed" and outcome.error is None:
        return "it says failed and names no error"
    size = len(_encode(outcome.outputs))
    if size > INLINE_OUTPUTS + 4096:
        return f"its outputs take {size} bytes inline, {INLINE_OUTPUTS} fit"
    if len(outcome.metrics) > 1000:
        return f"it has {len(outcome.metrics)} metrics, 1000 fit"
    return "its outputs are nested too deeply" if too_deep(outcome.outputs) else None


def too_deep(value: Any) -> bool:
    """Whether JSON is nested deeper than anybody needs."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        if isinstance(one, Mapping):
            waiting.extend((item, depth + 1) for item in one.values() if isinstance(item, Mapping | list))
        elif isinstance(one, list):
            waiting.extend((item, depth + 1) for item in one if isinstance(item, Mapping | list))
    return False
