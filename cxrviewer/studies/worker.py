"""The decoding child: `python -m cxrviewer.studies.worker MEMORY_BYTES CPU_SECONDS`, with a socket as its stdin.

Reads a request, decodes, answers, until the other side goes. One thread, no torch, no streamlit; standard error leads
nowhere, since the messages of decoders may quote a header.
"""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING

from cxrviewer.studies import confinement

if TYPE_CHECKING:
    from cxrviewer.studies.wire import Channel


def main(arguments: list[str]) -> None:
    """Confine this process, say that it is ready, then serve."""
    memory, seconds = int(arguments[0]), float(arguments[1])
    offline = confinement.leave_network()  # before numpy may start a thread
    capped = confinement.cap_memory(memory)

    from cxrviewer.studies import wire

    _import_decoders()
    confinement.forbid_writing()
    filtered = confinement.filter_calls()
    channel = wire.Channel(socket.socket(fileno=0))
    channel.send(asdict(confinement.Confinement(capped, offline, filtered)))
    while _serve_one(channel, seconds):
        pass


def _import_decoders() -> None:
    """Everything that the first picture would otherwise wait for."""
    for name in (
        "PIL.JpegImagePlugin",
        "PIL.PngImagePlugin",
        "pydicom.pixels.decoders",
        "cxrviewer.studies.dicom",
        "cxrviewer.studies.raster",
    ):
        import_module(name)


def _serve_one(channel: Channel, seconds: float) -> bool:
    """One job; False where the child should end: the other side has gone, or memory ran out and is in pieces."""
    from cxrviewer.errors import CxrError, TooLargeError
    from cxrviewer.studies import opening, wire

    try:
        request = channel.receive_header()
        data = bytes(channel.receive_bytes(int(request["size"])))
    except EOFError:
        return False
    # The timer counts processor time of this job alone; its signal ends the process (setitimer(2), signal(7)).
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        header, parts = wire.pack(opening.decode(data, int(request["frame"]), "-"))
    except CxrError as error:
        header, parts = wire.pack_error(error), []
        going_on = not isinstance(error, TooLargeError)
    except MemoryError:
        header, parts, going_on = (
            wire.pack_error(TooLargeError("Decoding takes more memory than allowed.")),
            [],
            False,
        )
    else:
        going_on = True
    signal.setitimer(signal.ITIMER_PROF, 0)
    del data
    channel.send(header, parts)
    return going_on


if __name__ == "__main__":
    main(sys.argv[1:])
