"""The decoding child: `python -m cxrviewer.studies.worker MEMORY_BYTES CPU_SECONDS ARENA`, with a socket as its stdin.

ARENA is the descriptor of the memory shared with the server, or -1.

Reads a request, decodes, answers, until the other side goes. One thread, no torch, no streamlit; standard error leads
nowhere, since the messages of decoders may quote a header.
"""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cxrviewer.studies import confinement
from cxrviewer.studies.limits import ARENA_BYTES

if TYPE_CHECKING:
    from cxrviewer.studies.arena import Lent
    from cxrviewer.studies.channel import Channel


def main(arguments: list[str]) -> None:
    """Confine this process, say that it is ready, then serve."""
    memory, seconds, shared = int(arguments[0]), float(arguments[1]), int(arguments[2])
    offline = confinement.leave_network()  # before numpy may start a thread
    # What is shared counts too: the promise is of all that a child can fill.
    capped = confinement.cap_memory(memory - (ARENA_BYTES if shared >= 0 else 0))

    from cxrviewer.studies import arena, channel

    _import_decoders()
    lent = arena.Lent(shared) if shared >= 0 else None
    confinement.forbid_writing()
    filtered = confinement.filter_calls()
    line = channel.Channel(socket.socket(fileno=0))
    line.send(asdict(confinement.Confinement(capped, offline, filtered)))
    while _serve_one(line, seconds, lent):
        pass


def _import_decoders() -> None:
    """Everything that the first picture would otherwise wait for."""
    for name in (
        "PIL.JpegImagePlugin",
        "PIL.PngImagePlugin",
        "pydicom.pixels.decoders",
        "cxrviewer.studies.dicomdir",
        "cxrviewer.studies.raster",
    ):
        import_module(name)


def _serve_one(channel: Channel, seconds: float, lent: Lent | None) -> bool:
    """One job; False where the child should end: the other side has gone, or memory ran out and is in pieces."""
    from cxrviewer.errors import TooLargeError

    try:
        request = channel.receive_header()
        size = int(request["size"])
        shared = request.get("shared") is True and lent is not None
        data = lent.take(size) if shared and lent else bytes(channel.receive_bytes(size))
    except EOFError:
        return False
    # The timer counts processor time of this job alone; its signal ends the process (setitimer(2), signal(7)).
    signal.setitimer(signal.ITIMER_PROF, seconds)
    header, parts = _answer(request, data)
    signal.setitimer(signal.ITIMER_PROF, 0)
    del data
    if parts and lent is not None and lent.put(parts):
        header["shared"], parts = True, []
    channel.send(header, parts)
    return header.get("kind") != TooLargeError.kind


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Any]]:
    """Do one job; an error is an answer as well."""
    from cxrviewer.errors import CxrError, TooLargeError
    from cxrviewer.studies import opening, wire
    from cxrviewer.studies.dicomdir import read_directory

    try:
        if request.get("task") == "directory":
            return wire.pack_references(read_directory(data)), []
        return wire.pack(opening.decode(data, int(request["frame"]), "-", True))
    except CxrError as error:
        return wire.pack_error(error), []
    except MemoryError:
        return wire.pack_error(TooLargeError("Decoding takes more memory than allowed.")), []


if __name__ == "__main__":
    main(sys.argv[1:])
