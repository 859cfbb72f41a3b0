"""Decoding in a child process that can be killed (promises G1 to G3; docs/decisions/0002 says why this way).

The server starts `python -m cxrviewer.studies.worker` by exec (never by fork alone), keeps it warm, and talks to it
over a socket pair. Whatever a file does to the child, the server sees an error for that file and starts another child.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cxrviewer.errors import CxrError, DecodingTimeoutError, TooLargeError, UnreadableError
from cxrviewer.studies import limits, wire
from cxrviewer.studies.arena import Arena
from cxrviewer.studies.channel import Channel, WireError
from cxrviewer.studies.confinement import Confinement
from cxrviewer.studies.radiograph import Radiograph

_log = logging.getLogger(__name__)
T = TypeVar("T")
_ROOT = Path(__file__).resolve().parents[2]
_SMALLER = "Export the picture at a smaller size."


class DecoderStartError(CxrError):
    """The decoding child could not be started: an installation fault, not the file's."""


@dataclass(frozen=True)
class Caps:
    """What one child may take. `memory` in bytes; `cpu` and `wall` in seconds a job; `jobs` until it is replaced."""

    memory: int = limits.CHILD_MEMORY_BYTES
    cpu: float = limits.CHILD_CPU_SECONDS
    wall: float = limits.CHILD_WALL_SECONDS
    start: float = limits.CHILD_START_SECONDS
    jobs: int = limits.CHILD_JOBS


@dataclass
class _Child:
    """One warm child and the socket to it. Used by one thread at a time."""

    caps: Caps
    command: Sequence[str]
    jobs: int = 0
    between_jobs: bool = True
    process: subprocess.Popen[bytes] = field(init=False)
    channel: Channel = field(init=False)
    arena: Arena | None = field(init=False)
    confinement: Confinement = field(init=False)

    def __post_init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.arena = Arena.create()
        self.channel = Channel(ours, self.arena)
        lent = () if self.arena is None else (self.arena.descriptor,)
        try:
            self.process = subprocess.Popen(
                [*self.command, str(self.caps.memory), str(self.caps.cpu), str(*lent or (-1,))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                env=_environment(),
                pass_fds=lent,
                start_new_session=True,  # Ctrl+C in the server's terminal is the server's to handle
            )
        except OSError as error:
            self._let_go()
            raise DecoderStartError(
                "The decoder could not be started.", "Install the program again."
            ) from error
        finally:
            theirs.close()
        try:
            self.channel.deadline = time.monotonic() + self.caps.start
            hello = self.channel.receive_header()
            self.confinement = Confinement(
                **{key: hello.get(key) is True for key in Confinement.__annotations__}
            )
        except (EOFError, OSError, WireError) as error:
            self.kill()
            raise DecoderStartError("The decoder did not start.", "Install the program again.") from error

    def open(self, data: bytes, frame: int) -> Radiograph:
        """Decode one frame."""
        return self._job(
            {"task": "open", "size": len(data), "frame": frame},
            data,
            lambda header, digest: wire.unpack(header, self.channel.receive_arrays(header), digest),
            lambda: hashlib.sha256(data).hexdigest(),
        )

    def list_directory(self, data: bytes) -> list[tuple[str, ...]]:
        """Read a DICOMDIR."""
        request = {"task": "directory", "size": len(data)}
        return self._job(request, data, lambda header, _: wire.unpack_references(header), str)

    def _job(
        self,
        request: dict[str, Any],
        data: bytes,
        unpack: Callable[[dict[str, Any], str], T],
        meanwhile: Callable[[], str],
    ) -> T:
        """One job; `meanwhile` runs while the child works. On any error but the file's own the child is dead after."""
        self.jobs += 1
        self.between_jobs = False  # until the whole answer is here: an interrupted child is never used again
        self.channel.deadline = time.monotonic() + self.caps.wall
        try:
            shared = self.arena is not None and self.arena.put(data)
            self.channel.send(request | {"shared": shared}, () if shared else [data])
            known = meanwhile()
            header = self.channel.receive_header()
            if header.get("ok") is True:
                answer = unpack(header, known)
                if self.arena is not None:
                    self.arena.tidy()
                self.between_jobs = True
                return answer
            error = wire.unpack_error(header)
            # After running out of memory a child ends, its memory being in pieces.
            self.between_jobs = not isinstance(error, TooLargeError)
            raise error
        except TimeoutError as late:
            self.kill()
            raise _too_slow() from late
        except (EOFError, OSError) as gone:
            raise self._post_mortem() from gone
        except WireError as nonsense:
            self.kill()
            raise UnreadableError(
                "The decoder failed on this file.", "Copy or export it again."
            ) from nonsense

    def _post_mortem(self) -> CxrError:
        """Why the child went away in the middle of a job."""
        try:
            status = self.process.wait(2)
        except subprocess.TimeoutExpired:
            status = 0
        self.kill()
        if status == -signal.SIGPROF:
            return _too_slow()
        if status == -signal.SIGKILL:  # not by us: the system had no memory left
            return TooLargeError("Decoding takes more memory than there is.", _SMALLER)
        return UnreadableError("The file is damaged: the decoder failed on it.", "Copy or export it again.")

    @property
    def usable(self) -> bool:
        """Whether it can take another job."""
        return self.between_jobs and self.jobs < self.caps.jobs and self.process.poll() is None

    def kill(self) -> None:
        """End the child at once, and everything it may have started."""
        self._let_go()
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (OSError, AttributeError):
                self.process.kill()
        self.process.wait()

    def _let_go(self) -> None:
        self.channel.close()
        if self.arena is not None:
            self.arena.close()


class DecodingPool:
    """Up to `size` warm children, shared by all threads. Jobs beyond that wait; a waiting job's clock does not run."""

    def __init__(self, size: int = 2, caps: Caps | None = None, command: Sequence[str] = ()) -> None:
        self.caps = caps or Caps()
        self._command = list(command) or [sys.executable, "-m", "cxrviewer.studies.worker"]
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._closed = False

    def open(self, data: bytes, frame: int = 1) -> Radiograph:
        """Decode one file. Raises the file's CxrError; never anything that would end the caller."""
        with self._child() as child:
            return child.open(data, frame)

    def list_directory(self, data: bytes) -> list[tuple[str, ...]]:
        """The files that a DICOMDIR lists, each as the components of its File ID."""
        with self._child() as child:
            return child.list_directory(data)

    def warm(self) -> Confinement:
        """Start a child ahead of the first file; says what its confinement is."""
        with self._child() as child:
            return child.confinement

    def close(self) -> None:
        """End all idle children; busy ones end with their job."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    @contextmanager
    def _child(self) -> Iterator[_Child]:
        with self._free:
            child = self._take()
            try:
                yield child
            finally:
                self._give(child)

    def _take(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.usable:
                    return child
                child.kill()
        child = _Child(self.caps, self._command)
        if not child.confinement.offline:
            _log.warning("the decoding child could not be cut off from the network on this system")
        return child

    def _give(self, child: _Child) -> None:
        with self._lock:
            if not self._closed and child.usable:
                self._idle.append(child)
                return
        child.kill()


def _too_slow() -> DecodingTimeoutError:
    return DecodingTimeoutError("Decoding took too long and was stopped.", _SMALLER)


def _environment() -> dict[str, str]:
    """The child's whole environment: where modules lie, one thread, and nothing else of the server's."""
    path = [str(_ROOT), *(entry for entry in sys.path if entry)]
    kept = {
        name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH", "LANG") if name in os.environ
    }
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # What a film takes is kept for the next one: to fetch its pages from the system again takes as long as decoding.
    heap = {"MALLOC_MMAP_THRESHOLD_": str(32 * limits.MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * limits.MIB)}
    return kept | threads | heap | {"PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}


_default: tuple[int, DecodingPool] | None = None
_default_lock = threading.Lock()


def default_pool() -> DecodingPool:
    """The pool of this process; a forked process gets its own instead of its parent's sockets."""
    global _default
    with _default_lock:
        if _default is None or _default[0] != os.getpid():
            pool = DecodingPool()
            atexit.register(pool.close)
            _default = (os.getpid(), pool)
        return _default[1]
