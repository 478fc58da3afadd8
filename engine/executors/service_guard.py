"""The parent of one helper process: `python -m engine.executors.service_guard LOG -- COMMAND...`.

Law: whatever ends the engine closes the pipe on this process's standard input, and the helper and all it started
end with it (TERM, two seconds, KILL to its group). What the helper prints goes into a file that is kept small.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

CAP = 4 << 20  # bytes of log; as much again is kept in `.1`
GRACE = 2.0


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the engine does."""
    log, command = arguments[0], arguments[2:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the engine, which closes the pipe in its own time
    try:
        helper = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    except OSError as error:
        _Log(log).write(f"{command[0]}: {error.strerror}\n".encode())
        return 127
    assert helper.stdout is not None  # asked for above
    try:
        _copy(helper.stdout.fileno(), _Log(log))
    finally:
        _end(helper)
    return helper.returncode


def _copy(output: int, log: _Log) -> None:
    """Until the helper has nothing more to say, or the engine is gone."""
    while True:
        ready, _, _ = select.select([output, 0], [], [])
        if 0 in ready and not os.read(0, 4096):
            return
        if output in ready:
            data = os.read(output, 1 << 16)
            if not data:
                return
            log.write(data)


def _end(helper: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1.0)):
        try:
            os.killpg(helper.pid, number)
        except ProcessLookupError:
            break
        end = time.monotonic() + patience
        while helper.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
    helper.wait()


class _Log:
    """A file that is put aside when it is full."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, data: bytes) -> None:
        if self._size + len(data) > CAP:
            os.close(self._file)
            os.replace(self._path, f"{self._path}.1")
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = 0
        os.write(self._file, data)
        self._size += len(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
