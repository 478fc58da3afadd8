"""What an attempt says, turned into reports.

Law: progress and metrics reach the dispatcher at most five times a second an attempt, the last of each always;
one checkpoint and one connection are asked for at a time, as an honest `ctx` does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.executors.conclude import examine, too_deep
from engine.executors.live import Live
from engine.model.errors import ErrorKind, NotFound, RequestError, TaskFailure
from engine.ports.executor import CheckpointOffered, Measured, Progressed
from engine.rules.classify import classify
from engine.sdk import wire

if TYPE_CHECKING:
    from engine.executors.supervisor import Supervisor

TELL_EVERY = 0.2
MOST_METRICS = 1000


def hear(supervisor: Supervisor, live: Live, said: wire.FromAttempt) -> None:
    """One message."""
    if live.outcome is not None:
        return  # its last word has been said
    match said:
        case wire.SaidLog():
            live.say_log(said)
        case wire.SaidProgress():
            live.progress = said
            _tell_soon(supervisor, live)
        case wire.SaidMetric():
            if said.name in live.metrics or len(live.metrics) < MOST_METRICS:
                live.metrics[said.name] = said.value
                _tell_soon(supervisor, live)
        case wire.OfferedCheckpoint():
            _offer(supervisor, live, said)
        case wire.WantedConnection():
            _connect(supervisor, live, said)
        case wire.SaidOutcome():
            live.outcome = examine(said.outcome)
            supervisor.end_soon(live)


def _tell_soon(supervisor: Supervisor, live: Live) -> None:
    if live.telling:
        return
    rest = live.told_at + TELL_EVERY - time.monotonic()
    if rest <= 0:
        tell_latest(supervisor, live)
        return
    live.telling = True
    supervisor.loop.later(rest, lambda: tell_latest(supervisor, live))


def tell_latest(supervisor: Supervisor, live: Live) -> None:
    """Deliver the latest progress and metrics."""
    live.telling = False
    live.told_at = time.monotonic()
    progress, live.progress = live.progress, None
    metrics, live.metrics = live.metrics, {}
    token = live.spec.token
    if progress is not None:
        unit = live.masker.text(progress.unit)[:40]
        supervisor.report(Progressed(token, progress.done, progress.total, unit))
    for name, value in metrics.items():
        supervisor.report(Measured(token, live.masker.text(name)[:200], value))


def _offer(supervisor: Supervisor, live: Live, said: wire.OfferedCheckpoint) -> None:
    if live.waiting_checkpoint is not None or too_deep(said.value):
        live.warn("The attempt offered a checkpoint that is refused: one at a time, nested at most 100 levels.")
        return
    live.waiting_checkpoint = said.number
    supervisor.report(CheckpointOffered(live.spec.token, said.number, live.mask(said.value)))


def acknowledge(supervisor: Supervisor, token: str, number: int) -> None:
    """The checkpoint is committed."""
    live = supervisor.live.get(token)
    if live is not None and live.waiting_checkpoint == number:
        live.waiting_checkpoint = None
        live.tell(wire.Acknowledged(number=number))
        supervisor.rewatch(live)


def _connect(supervisor: Supervisor, live: Live, said: wire.WantedConnection) -> None:
    if live.waiting_connection is not None:
        live.warn("The attempt asked for a second connection before it had the first; that is ignored.")
        return
    live.waiting_connection = said.number
    token, setting = live.spec.token, supervisor.setting

    def resolve() -> None:  # on a thread of its own: a key ring may ask somebody
        try:
            found = setting.connections(said.id, live.spec.profile)
            resolved, secrets = setting.secrets.resolve(found)
            answer = wire.Connected(number=said.number, connection=_plain(resolved))
        except Exception as error:  # noqa: BLE001 - told to the attempt, whose failure it becomes
            secrets = ()
            answer = wire.Connected(number=said.number, error=str(error)[:2000], kind=_kind(error))
        supervisor.loop.call(lambda: _answer(supervisor, token, answer, secrets))

    supervisor.answers.send(resolve)


def _answer(supervisor: Supervisor, token: str, answer: wire.Connected, secrets: Any) -> None:
    supervisor.masker.add(secrets)  # before the attempt has them, so that no line of it comes too early
    live = supervisor.live.get(token)
    if live is not None:
        live.waiting_connection = None
        live.tell(answer)
        supervisor.rewatch(live)


def _plain(connection: object) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = msgspec.to_builtins(connection)
    return plain


def _kind(error: Exception) -> str:
    if isinstance(error, NotFound | RequestError):
        return ErrorKind.CONFIGURATION
    return error.kind if isinstance(error, TaskFailure) else classify(error).kind
