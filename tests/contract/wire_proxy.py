"""A TCP proxy on loopback that fails in the ways networks do.

Law: it forwards faithfully until its fault is due. Bytes are counted from the client to the server, over all
connections. Everything it opened is closed with it.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Proxy:
    """`reset_after`: so many bytes, then both sides are reset. `stall_after`: so many bytes, then nothing is read
    any more. `swallow`: when the client has sent this, the server gets it and the client never hears of it."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        reset_after: int | None = None,
        stall_after: int | None = None,
        swallow: bytes | None = None,
        downward: int | None = None,
        mute_after: int | None = None,
    ) -> None:
        self._server = (host, port)
        self._reset_after, self._stall_after, self._swallow = reset_after, stall_after, swallow
        self._downward = downward  # reset after so many bytes from the server
        self._mute_after = mute_after  # hand on no more than so many bytes from the server
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.sent = self.received = 0
        self.struck = threading.Event()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for end in (client, server):  # else a request in two pieces waits for itself
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            for way in (self._up, self._down):
                thread = threading.Thread(target=way, args=(client, server), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            with self._lock:
                before, self.sent = self.sent, self.sent + len(data)
            if self._reset_after is not None and self.sent > self._reset_after:
                _sent(server, data[: max(0, self._reset_after - before)])
                self._strike(client, server)
                return
            if self._stall_after is not None and self.sent > self._stall_after:
                self.struck.set()
                self._over.wait()
                return
            if self._swallow is not None and self._swallow in data:
                self.struck.set()  # before the server can answer
            _sent(server, data)
        _ended(server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(server):
            self.received += len(data)
            if self._swallow is not None and self.struck.is_set():
                _reset(client)  # the server has done it and says so, to nobody
                return
            if self._downward is not None and self.received > self._downward:
                self._strike(client, server)
                return
            if self._stall_after is not None and self.struck.is_set():
                return
            if self._mute_after is not None and self.received > self._mute_after:
                self.struck.set()
                self._over.wait()
                return
            _sent(client, data)
        _ended(client)

    def _strike(self, *ends: socket.socket) -> None:
        self.struck.set()
        for end in ends:
            _reset(end)

    def close(self) -> None:
        """End every connection and wait for the threads."""
        self._over.set()
        _ended(self._listener)
        self._listener.close()
        for each in self._open:
            _ended(each)
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()


@contextmanager
def proxy(host: str, port: int, **fault: object) -> Iterator[Proxy]:
    """A proxy in front of a server."""
    found = Proxy(host, port, **fault)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _sent(end: socket.socket, data: bytes) -> None:
    try:
        end.sendall(data)
    except OSError:
        pass  # the other side is gone; its reader notices


def _ended(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # ended already


def _reset(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)
        end.close()
    except OSError:
        pass  # ended already
