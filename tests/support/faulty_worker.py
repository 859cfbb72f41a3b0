"""A decoding child that misbehaves as the job's bytes tell it to. Run in place of cxrviewer.studies.worker."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import sys
import time
from typing import Any

import numpy as np

from cxrviewer.errors import UnreadableError
from cxrviewer.studies import opening, wire, worker

_honest_decode = opening.decode


def _decode(data: bytes, frame: int = 1, digest: str = "", whole: bool = False) -> Any:
    deed = data[:16].rstrip(b"\0 ").decode("ascii", "replace")
    if deed in _DEEDS:
        try:
            _DEEDS[deed]()
        except OSError as error:
            raise UnreadableError(f"refused by the kernel: {type(error).__name__}") from error
    return _honest_decode(data, frame, digest, whole)


def _spin() -> None:
    while True:
        pass


def _fill_memory() -> None:
    kept = []
    while True:
        kept.append(np.empty(1 << 24))


def _crash() -> None:
    ctypes.string_at(0)


def _try_network() -> None:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        attempt.connect(("127.0.0.1", 9))


def _try_program() -> None:
    os.execv("/bin/sh", ["sh", "-c", "exit 0"])


def _try_writing() -> None:
    with open("/tmp/cxr-child-wrote", "wb") as stream:  # noqa: PTH123
        stream.write(b"x")
        stream.flush()


def _raw(data: bytes) -> None:
    os.write(0, data)
    time.sleep(60)


def _header(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


_DEEDS = {
    "SLEEP": lambda: time.sleep(60),
    "SPIN": _spin,
    "FILL": _fill_memory,
    "CRASH": _crash,
    "EXIT": lambda: os._exit(3),
    "KILLED": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "NETWORK": _try_network,
    "PROGRAM": _try_program,
    "WRITE": _try_writing,
    "NOISE": lambda: _raw(os.urandom(4096)),
    "LONG HEADER": lambda: _raw(struct.pack(">I", 1 << 31)),
    "NOT JSON": lambda: _raw(_header(b"{]")),
    "DEEP JSON": lambda: _raw(_header(b"[" * 100_000)),
    "HUGE ARRAY": lambda: _raw(_header(b'{"ok":true,"arrays":{"pixels":[50000,50000]}}')),
    "OTHER ARRAY": lambda: _raw(_header(b'{"ok":true,"arrays":{"evil":[5,5]}}')),
    "OTHER TYPE": lambda: _raw(
        _header(b'{"ok":true,"shared":true,"whole":["<f8"],"arrays":{"pixels":[1,1]}}')
    ),
    "BEYOND": lambda: _raw(
        _header(b'{"ok":true,"shared":true,"whole":"<u2","arrays":{"pixels":[7000,7000]}}')
    ),
    "NO FIELDS": lambda: _raw(_header(b'{"ok":true,"arrays":{"pixels":[1,1]}}') + bytes(4)),
    "NOT A NUMBER": lambda: _raw(
        _header(b'{"ok":true,"arrays":{"pixels":[1,1]}}') + struct.pack("<f", float("nan"))
    ),
    "DRIBBLE": lambda: [(os.write(0, b"\0"), time.sleep(0.2)) for _ in range(300)],
    "SHORT": lambda: (os.write(0, _header(b'{"ok":true,"arrays":{"pixels":[9,9]}}') + bytes(8)), os._exit(0)),
}

if __name__ == "__main__":
    opening.decode = _decode
    assert wire is not None
    worker.main(sys.argv[1:])
