"""The supervisor: attempts from submit to their last report, on one thread.

Law: it decides nothing about tasks. Each token submitted ends in exactly one Finished or Vanished, and only when
no process of the attempt is left. Everything runs on the loop's thread; what may block is an errand.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.executors import hearing
from engine.executors.birth import TOKEN_ROOM
from engine.executors.conclude import conclude, never_started
from engine.executors.errands import Errands, remove_tree
from engine.executors.live import Live, Pipe
from engine.executors.loop import Loop
from engine.executors.mask import Masker
from engine.executors.nursery import Nursery
from engine.executors.prepare import Setting, prepare
from engine.executors.sampling import TreeSampler
from engine.executors.zygote_link import ZygoteLink
from engine.ports import failpoint
from engine.ports.executor import AttemptSpec, Finished, Report, Sampled, Started, Vanished

log = logging.getLogger(__name__)

HOLD_STEP = 0.1
START_WITHIN = 10.0  # a start not reported by then is a loss
LINGER_AFTER_OUTCOME = 10.0  # what has told its outcome should end; threads that do not are ended
FLUSH_EVERY = 0.15
NEWS_AFTER = 0.04  # a start is told then, or with whatever the attempt says first: many have ended by then
SAMPLE_EVERY = 2.0
WINDOW, WINDOW_LINES = 0.1, 8000  # one attempt's share of the thread: 80,000 lines a second


class Supervisor:
    """See the file. Methods are called on the loop's thread, through `loop.call`."""

    def __init__(self, setting: Setting, nursery: Nursery, loop: Loop, deliver: Callable[[Report], None]) -> None:
        self.loop = loop
        self.masker = Masker()
        self.live: dict[str, Live] = {}
        self._held: dict[str, AttemptSpec] = {}  # submitted while there is no zygote
        self.started = 0
        self._news: dict[str, tuple[Live, datetime]] = {}  # started, and not told yet
        self.setting = setting
        self.answers = Errands("penstock-secrets")
        self._tidying = Errands("penstock-scratch")
        self._samplers: dict[str, TreeSampler] = {}
        self._nursery = nursery
        self._deliver = deliver
        self._flushing = False
        self._sampling = False
        self._stopping = False
        nursery.attach(loop, hear=self._hear_zygote, bury=self._zygote_gone)

    # --------------------------------------------------------------------------------------------- submit

    def submit(self, spec: AttemptSpec) -> None:
        failpoint.hit("executor.before_submit")
        if spec.token in self.live or spec.token in self._held:
            log.warning("An attempt was submitted twice; the second is ignored (task %s)", spec.task_id)
        elif not spec.token.isascii() or not 8 <= len(spec.token) <= TOKEN_ROOM:
            self.vanish(spec.token, f"Its token is not 8 to {TOKEN_ROOM} ASCII characters.")
        else:
            self._held[spec.token] = spec
            self._launch(spec, time.monotonic() + START_WITHIN)

    def _launch(self, spec: AttemptSpec, until: float) -> None:
        """Start it, or hold it while there is no zygote: told at once, it would be tried again at once."""
        if self._held.get(spec.token) is not spec:
            return
        link = None if self._stopping else self._nursery.link(heavy=spec.heavy)
        if link is None and not self._stopping and time.monotonic() < until:
            self.loop.later(HOLD_STEP, lambda: self._launch(spec, until))
            return
        del self._held[spec.token]
        if link is not None:
            self._prepare(spec, link)
        elif self._stopping:
            self.vanish(spec.token, "The engine is stopping.")
        else:
            self.vanish(spec.token, f"No attempt can be started: {self._nursery.trouble(heavy=spec.heavy)}")

    def _prepare(self, spec: AttemptSpec, link: ZygoteLink) -> None:
        try:
            prepared = prepare(spec, link, self.setting, self.masker)
        except (OSError, TypeError, ValueError, RecursionError) as error:
            self.vanish(spec.token, f"The attempt could not be prepared: {error}")
            return
        live = prepared.live
        self.live[spec.token] = live
        link.send(prepared.order, prepared.handles)
        self._nursery.keep_pushing(link)
        live.push()
        self._watch(live)
        live.timers.append(self.loop.later(START_WITHIN, lambda: self._start_overdue(live)))
        failpoint.hit("executor.after_submit")

    def _start_overdue(self, live: Live) -> None:
        if live.pid is None and self.live.get(live.spec.token) is live:
            # Whatever comes of it later finds its socket closed, and is killed when the zygote tells of it.
            live.link.send({"op": "kill", "token": live.spec.token, "signal": signal.SIGKILL})
            self._forget(live)
            self.vanish(live.spec.token, f"Its start was not reported within {START_WITHIN:g} s.")

    # ---------------------------------------------------------------------------------------- what is read

    def _watch(self, live: Live) -> None:
        live.watched = 0
        self.rewatch(live)
        for pipe in live.pipes:
            if pipe.open:
                self.loop.watch(pipe.handle, selectors.EVENT_READ, self._reader(live, pipe), rank=2)

    def _reader(self, live: Live, pipe: Pipe) -> Callable[[int], None]:
        return lambda _: self._pipe_ready(live, pipe)

    def _control_ready(self, live: Live, ready: int) -> None:
        if ready & selectors.EVENT_WRITE:
            live.push()
        if ready & selectors.EVENT_READ:
            for said in live.hear():
                hearing.hear(self, live, said)
            self._dirty(live)
        if not live.control_open:
            self.loop.unwatch(live.control)
        elif not self._flooded(live):
            self.rewatch(live)

    def rewatch(self, live: Live) -> None:
        """Watch for room to write only while something waits to be written."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if live.out else 0)
        if live.control_open and not live.paused and mask != live.watched:
            live.watched = mask
            self.loop.watch(live.control, mask, lambda ready: self._control_ready(live, ready))

    def _pipe_ready(self, live: Live, pipe: Pipe) -> None:
        live.read_pipe(pipe)
        self._dirty(live)
        if not pipe.open:
            self.loop.unwatch(pipe.handle)
        self._flooded(live)

    def _flooded(self, live: Live) -> bool:
        """Whether the attempt has used up its share of this thread: then nobody reads it for a moment, and what
        it writes blocks it."""
        now = time.monotonic()
        if now - live.window_at >= WINDOW:
            live.window_at, live.window_lines = now, 0
        if live.window_lines <= WINDOW_LINES or live.paused:
            return live.paused
        live.paused = True
        over = live.window_lines / WINDOW_LINES  # one read of blank lines is a quarter of a million
        self.loop.unwatch(live.control)
        for pipe in live.pipes:
            self.loop.unwatch(pipe.handle)
        self.loop.later(WINDOW * over, lambda: self._resume(live))
        return True

    def _resume(self, live: Live) -> None:
        if self.live.get(live.spec.token) is live:
            live.paused = False
            live.window_lines = 0
            self._watch(live)

    def _dirty(self, live: Live) -> None:
        if live.log.dirty and not self._flushing:
            self._flushing = True
            self.loop.later(FLUSH_EVERY, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for live in self.live.values():
            live.log.flush()

    # ------------------------------------------------------------------------------------ what zygotes say

    def _hear_zygote(self, link: ZygoteLink, message: Mapping[str, Any]) -> None:
        operation = message["op"]
        live = self.live.get(message.get("token", ""))
        if operation == "started":
            self._begin(link, live, message)
        elif live is None:
            return
        elif operation == "refused":
            self._forget(live)
            self.vanish(live.spec.token, f"The attempt could not be started: {message['reason']}.")
        elif operation == "exit":
            self._finish(live, message)

    def _begin(self, link: ZygoteLink, live: Live | None, message: Mapping[str, Any]) -> None:
        if live is None or live.link is not link:
            link.send({"op": "kill", "token": message["token"], "signal": signal.SIGKILL})
            return
        live.pid = int(message["pid"])
        live.started_at = time.monotonic()
        self.started += 1
        live.timers.append(self.loop.later(live.spec.timeout_seconds, lambda: self._out_of_time(live)))
        if not self._sampling:
            self._sampling = True
            self.loop.later(SAMPLE_EVERY, self._sample)
        failpoint.hit("executor.started")
        if not self._news:
            self.loop.later(NEWS_AFTER, self._tell_news)
        self._news[live.spec.token] = live, self.setting.now()
        if live.killed_for is not None:
            self._terminate(live)

    def _tell_news(self) -> None:
        for token in list(self._news):
            self._tell_start(token, alive=True)

    def _tell_start(self, token: str, *, alive: bool) -> None:
        news = self._news.pop(token, None)
        if news is not None:
            live, at = news
            if alive:
                live.look()
            self._hand_in(Started(token, live.pid or 0, live.pid_started, at))

    def _finish(self, live: Live, message: Mapping[str, Any]) -> None:
        for said in live.drain():
            hearing.hear(self, live, said)
        hearing.tell_latest(self, live)
        left = message["leftovers"]
        if left:
            live.note("WARNING", f"What outlived the task was killed: {', '.join(left)}.")
        self._forget(live)  # its log is closed: what of it was lost is known
        finished: Finished = conclude(live, message, self.setting.now())
        failpoint.hit("executor.before_finished")
        self.report(finished)

    def _zygote_gone(self, link: ZygoteLink, reason: str) -> None:
        """Its attempts are dead (the nursery saw to it): losses, all of them."""
        for live in [one for one in self.live.values() if one.link is link]:
            for said in live.drain():
                hearing.hear(self, live, said)
            live.note("ERROR", f"The attempt is lost: {reason}")
            self._forget(live)
            self.vanish(live.spec.token, reason)

    def pids_of(self, link: ZygoteLink) -> dict[str, tuple[int, float] | None]:
        """Token -> pid and start time of the attempts a zygote holds."""
        return {
            token: None if live.pid is None else (live.pid, live.look())
            for token, live in self.live.items()
            if live.link is link
        }

    # ------------------------------------------------------------------------------------------ the end of it

    def kill(self, token: str, why: str, grace: float) -> None:
        if (held := self._held.pop(token, None)) is not None:
            self.report(never_started(held, why, self.setting.now()))
        live = self.live.get(token)
        if live is None or live.outcome is not None:
            return  # it has ended, or has told its end: there is nothing left to cancel
        if live.killed_for is not None and why != "shutdown":
            return
        live.killed_for = live.killed_for or why
        live.kill_grace = grace
        live.note("WARNING", f"The engine ends this attempt ({why}): TERM, and KILL after {grace:g} s.")
        if live.pid is not None:
            self._terminate(live)

    def _terminate(self, live: Live) -> None:
        self._signal(live, signal.SIGTERM)
        live.timers.append(self.loop.later(live.kill_grace, lambda: self._signal(live, signal.SIGKILL)))

    def _out_of_time(self, live: Live) -> None:
        if self.live.get(live.spec.token) is live and live.outcome is None:
            self.kill(live.spec.token, "timeout", live.spec.grace_seconds)

    def end_soon(self, live: Live) -> None:
        """It has told its outcome; what of it does not end by itself is ended."""
        live.timers.append(self.loop.later(LINGER_AFTER_OUTCOME, lambda: self._signal(live, signal.SIGKILL)))

    def _signal(self, live: Live, number: int) -> None:
        if self.live.get(live.spec.token) is live:
            live.link.send({"op": "kill", "token": live.spec.token, "signal": number})
            self._nursery.keep_pushing(live.link)

    def stop(self, grace: float) -> None:
        """End every attempt; `settled` tells when that is done."""
        self._stopping = True
        for token in [*self._held, *self.live]:
            self.kill(token, "shutdown", grace)

    def _forget(self, live: Live) -> None:
        self.live.pop(live.spec.token, None)
        self._samplers.pop(live.spec.token, None)
        for timer in live.timers:
            timer.cancel()
        self.loop.unwatch(live.control)
        for pipe in live.pipes:
            self.loop.unwatch(pipe.handle)
        live.close()
        self._tidy(f"{self.setting.scratch}/{live.spec.token}")

    def _tidy(self, folder: str) -> None:
        try:
            os.rmdir(folder)  # most have none, or an empty one
        except FileNotFoundError:
            pass
        except OSError:
            self._tidying.send(lambda: remove_tree(Path(folder)))

    def clear_scratch(self) -> None:
        """What attempts of earlier engines left."""
        if self.setting.scratch.is_dir():
            for folder in self.setting.scratch.iterdir():
                self._tidying.send(lambda folder=folder: remove_tree(folder))  # type: ignore[misc]  # bound now

    def close(self) -> None:
        """After the last attempt."""
        self._tidying.end(5.0)
        self.answers.end(0.5)

    # ---------------------------------------------------------------------------------------------- reports

    def report(self, report: Report) -> None:
        if self._news:
            self._tell_start(report.token, alive=not isinstance(report, Finished | Vanished))
        self._hand_in(report)

    def _hand_in(self, report: Report) -> None:
        try:
            self._deliver(report)
        except Exception:
            log.exception("A report could not be delivered: %s", type(report).__name__)

    def vanish(self, token: str, reason: str) -> None:
        self.report(Vanished(token, reason, self.setting.now()))

    def _sample(self) -> None:
        self._sampling = bool(self.live)
        if not self._sampling:
            return
        self.loop.later(SAMPLE_EVERY, self._sample)
        old_enough = time.monotonic() - SAMPLE_EVERY
        for live in list(self.live.values()):
            if live.pid is None or live.started_at is None or live.started_at > old_enough:
                continue
            sampler = self._samplers.setdefault(live.spec.token, TreeSampler(live.pid))
            sampler.sample(live.usage)
            usage = live.usage
            self.report(
                Sampled(
                    live.spec.token,
                    usage.cpu_seconds,
                    usage.rss_mb,
                    usage.peak_mb,
                    usage.read_bytes,
                    usage.write_bytes,
                    self.setting.now(),
                )
            )
