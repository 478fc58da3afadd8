"""The zygotes: started when needed, replaced when they die, ended when idle.

Law: there is at most one light and one heavy zygote for orders; one that was replaced stays for attempts it has.
One that dies takes its attempts with it: every process of them is gone before anybody is told. A zygote that keeps
dying is started ever less often, never in a hot loop.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.executors import processes
from engine.executors.loop import Loop
from engine.executors.zygote_link import ZygoteLink, ZygoteSettings

log = logging.getLogger(__name__)

HEAVY_IDLE = 60.0
CHECK_EVERY = 2.0
PING_AFTER, DEAF_AFTER = 4.0, 10.0
LONGEST_BACKOFF = 30.0
HEALTHY_AFTER = 30.0  # one that lived that long was no part of a crash loop
SWEEP_WITHIN = 5.0

Hear = Callable[[ZygoteLink, Mapping[str, Any]], None]
Bury = Callable[[ZygoteLink, str], None]
Pids = Callable[[ZygoteLink], Mapping[str, tuple[int, float] | None]]


@dataclass(slots=True, kw_only=True)
class Cradle:
    """One kind of zygote."""

    settings: ZygoteSettings
    link: ZygoteLink | None = None
    born_at: float = 0.0
    used_at: float = 0.0
    deaths: int = 0  # in a row
    not_before: float = 0.0
    reason: str = ""


class Nursery:
    """Everything on the loop's thread."""

    def __init__(self, light: ZygoteSettings, heavy: ZygoteSettings | None, holds: Pids | None = None) -> None:
        self._light = Cradle(settings=light)
        self._heavy = None if heavy is None else Cradle(settings=heavy)
        self._retired: list[Cradle] = []
        self._holds: Pids = holds or (lambda _link: {})
        self._closed = False

    def attach(self, loop: Loop, *, hear: Hear, bury: Bury) -> None:
        """Whom to tell."""
        self._loop, self._hear, self._bury = loop, hear, bury

    def hold(self, holds: Pids) -> None:
        """Whom to ask which processes a zygote's attempts are."""
        self._holds = holds

    def open(self) -> None:
        """Start the light one and watch over both."""
        self.link(heavy=False)
        self._loop.later(CHECK_EVERY, self._check)

    def link(self, *, heavy: bool) -> ZygoteLink | None:
        """The zygote to send an order to, started if need be; None while it may not be."""
        cradle = self._cradle(heavy)
        cradle.used_at = time.monotonic()
        if cradle.link is None and not self._closed and time.monotonic() >= cradle.not_before:
            self._start(cradle)
        return cradle.link

    def renew(self, light: ZygoteSettings, heavy: ZygoteSettings | None) -> None:
        """Later orders go to zygotes with these settings. The others end with the attempts they have."""
        began = self._light.link is not None
        self._retired += [each for each in (self._light, self._heavy) if each is not None and each.link is not None]
        self._light = Cradle(settings=light)
        self._heavy = None if heavy is None else Cradle(settings=heavy)
        self._let_go_of_retired()
        if began:
            self.link(heavy=False)

    def trouble(self, *, heavy: bool) -> str:
        """Why there is no zygote."""
        cradle = self._cradle(heavy)
        rest = max(0.0, cradle.not_before - time.monotonic())
        return f"{cradle.reason} It ended {cradle.deaths} times in a row; the next try is in {rest:.1f} s."

    def healthy(self) -> bool:
        """Whether an order would be carried out."""
        return not self._closed and (self._light.link is not None or self._light.deaths < 3)

    def vitals(self) -> Mapping[str, Any]:
        """For health."""
        light, heavy = self._light, self._heavy
        return {
            "zygote_pid": light.link.pid if light.link else None,
            "heavy_zygote_pid": heavy.link.pid if heavy and heavy.link else None,
            "zygote_deaths": light.deaths,
            "zygote_trouble": light.reason if light.link is None else "",
        }

    def keep_pushing(self, link: ZygoteLink) -> None:
        """Watch for room to write while something waits."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_to_write else 0)
        self._loop.watch(link.socket, mask, lambda ready: self._ready(link, ready), rank=0)

    def force(self) -> None:
        """Kill the zygotes: attempts that would not end by asking them are lost, and their processes killed."""
        self._closed = True
        for cradle in self._cradles():
            if cradle.link is not None:
                cradle.link.process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """End them all; there are no attempts any more."""
        self._closed = True
        for cradle in self._cradles():
            if cradle.link is not None:
                self._release(cradle, kill=False)

    def _cradle(self, heavy: bool) -> Cradle:
        return self._heavy if heavy and self._heavy is not None else self._light

    def _cradles(self) -> list[Cradle]:
        return [cradle for cradle in (self._light, self._heavy, *self._retired) if cradle is not None]

    def _start(self, cradle: Cradle) -> None:
        try:
            link = ZygoteLink(cradle.settings)
        except OSError as error:
            self._count_death(cradle, f"it could not be started: {error}")
            return
        cradle.link, cradle.born_at = link, time.monotonic()
        self._loop.watch(link.errors, selectors.EVENT_READ, lambda _: self._errors_ready(link), rank=3)
        self.keep_pushing(link)

    def _ready(self, link: ZygoteLink, ready: int) -> None:
        if ready & selectors.EVENT_WRITE:
            link.push()
            self.keep_pushing(link)
        if not ready & selectors.EVENT_READ:
            return
        try:
            for message in link.receive(time.monotonic()):
                link.ready = link.ready or message["op"] == "ready"
                self._hear(link, message)
        except EOFError:
            self._died(link)

    def _errors_ready(self, link: ZygoteLink) -> None:
        data = link.read_errors()
        if not data:
            self._loop.unwatch(link.errors)
        elif data.strip():
            log.warning("Zygote: %s", data.decode("utf-8", "replace").strip()[:2000])

    # ------------------------------------------------------------------------------------------------ deaths

    def _died(self, link: ZygoteLink) -> None:
        cradle = next((one for one in self._cradles() if one.link is link), None)
        if cradle is None:
            return
        held = dict(self._holds(link))
        self._errors_ready(link)
        code = self._release(cradle, kill=True)
        _end_processes(held)
        words = link.last_words()
        ended = f"signal {-code}" if code is not None and code < 0 else f"exit {code}"
        reason = f"The process that starts attempts is gone ({ended}{': ' + words if words else ''})."
        self._count_death(cradle, reason)
        log.error("%s %d attempts are lost", reason, len(held))
        self._bury(link, reason)
        if not self._closed and cradle is self._light:
            self._loop.later(max(0.0, cradle.not_before - time.monotonic()), lambda: self._restart(cradle))

    def _restart(self, cradle: Cradle) -> None:
        if cradle.link is None and not self._closed and time.monotonic() >= cradle.not_before:
            self._start(cradle)

    def _count_death(self, cradle: Cradle, reason: str) -> None:
        now = time.monotonic()
        cradle.deaths = 1 if cradle.born_at and now - cradle.born_at > HEALTHY_AFTER else cradle.deaths + 1
        cradle.reason = reason
        delay = 0.0 if cradle.deaths == 1 else min(LONGEST_BACKOFF, 0.1 * 2.0 ** (cradle.deaths - 2))
        cradle.not_before = now + delay

    def _release(self, cradle: Cradle, *, kill: bool) -> int | None:
        link, cradle.link = cradle.link, None
        if link is None:
            return None
        self._loop.unwatch(link.socket)
        self._loop.unwatch(link.errors)
        return link.close(kill=kill)

    # ------------------------------------------------------------------------------------------------ watch

    def _check(self) -> None:
        if self._closed:
            return
        self._loop.later(CHECK_EVERY, self._check)
        now = time.monotonic()
        for cradle in self._cradles():
            link = cradle.link
            if link is None:
                continue
            if self._holds(link):
                cradle.used_at = now
                self._feel_pulse(link, now)
            elif cradle is self._heavy and now - cradle.used_at > HEAVY_IDLE:
                self._release(cradle, kill=False)
        self._let_go_of_retired()

    def _let_go_of_retired(self) -> None:
        for cradle in self._retired:
            if cradle.link is not None and not self._holds(cradle.link):
                self._release(cradle, kill=False)
        self._retired = [each for each in self._retired if each.link is not None]

    def _feel_pulse(self, link: ZygoteLink, now: float) -> None:
        if link.pinged_at is not None and now - link.pinged_at > DEAF_AFTER:
            link.process.send_signal(signal.SIGKILL)  # its socket closes, and the rest follows from that
        elif link.pinged_at is None and link.ready and now - (link.heard_at or now) > PING_AFTER:
            link.pinged_at = now
            link.send({"op": "ping"})
            self.keep_pushing(link)


def _end_processes(held: Mapping[str, tuple[int, float] | None]) -> None:
    """Kill whatever belongs to these attempts, until nothing of them is found. Their zygote is dead, so this is
    done from outside, by pid and start time, by group and by token."""
    until = time.monotonic() + SWEEP_WITHIN
    while held and time.monotonic() < until:
        alive = [seen[0] for seen in held.values() if seen is not None and processes.start_time(seen[0]) == seen[1]]
        carriers = processes.carriers(held)
        if not alive and not carriers:
            return
        for pid in {*alive, *carriers}:
            processes.kill_tree(pid)
        time.sleep(0.01)
