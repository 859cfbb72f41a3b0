"""Where a run's process is started, asked after and stopped. One way so far: a process of this machine.

A cluster would be another `Launcher`: the run folder is the unit, and all that a launcher gets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from cxrviewer.errors import ConfigurationError, UnsupportedError
from cxrviewer.training.processes import Process, process_of
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import RunStatus
from cxrviewer.training.tickets import read_ticket

OUTPUT = "output.txt"
"""stdout and stderr of a run's process. Libraries write there: it may hold paths, so no page shows it."""

GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_AT_FIRST = "CXR_RUNS_CUDA_VISIBLE_DEVICES"
_PRIVATE = 0o077
_PACKAGE = Path(__file__).resolve().parents[2]


class Launcher(Protocol):
    """Starts a run, knows whether it is alive, and stops it."""

    def launch(self, run: Path) -> Process:
        """Start the process of a run; the caller writes its status. Raises CxrError or OSError."""

    def is_alive(self, run: RunStatus) -> bool:
        """True where the run's own process is there and has not ended."""

    def cancel(self, run: RunStatus, hard: bool) -> None:
        """Ask it to stop after its present step; hard: end it now. Another process is never touched.

        Raises ConfigurationError where it belongs to another user.
        """


class LocalLauncher:
    """Processes of this machine, each in a session of its own: they outlive whoever started them.

    command: what is run, with the run's folder as its last argument. grace: seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, command: Sequence[str] = (), grace: float = GRACE_SECONDS) -> None:
        # -P: the folder that a run works in must not be able to replace a module.
        self._command = tuple(command) or (sys.executable, "-P", "-m", "cxrviewer.training")
        self._grace = grace

    def launch(self, run: Path) -> Process:
        """A session of its own, no open file of ours, output to a file. Raises UnsupportedError, OSError."""
        if sys.platform == "win32":
            raise UnsupportedError(
                "Runs in the background need Linux or macOS.",
                "`python -m cxrviewer train --config FILE` runs one in the foreground.",
            )
        ticket = read_ticket(run)
        folder = Path(ticket.folder) if ticket.folder and Path(ticket.folder).is_dir() else run
        # Private from its first byte: a library may write a path with a name in it.
        handle = os.open(run / OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            started = subprocess.Popen(
                [*self._command, str(run.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(os.environ, ticket.device),
                start_new_session=True,
                umask=_PRIVATE,
            )
        finally:
            os.close(handle)
        process = process_of(started.pid)
        # Whoever starts a process has to take note of its end, or it stays in the table of processes as a zombie.
        threading.Thread(target=started.wait, name="run-reaper", daemon=True).start()
        return process

    def is_alive(self, run: RunStatus) -> bool:
        """By the process's number and start together."""
        return run.process is not None and run.process.alive

    def cancel(self, run: RunStatus, hard: bool) -> None:
        """The file `cancel`; hard: SIGTERM to the run's processes, and SIGKILL to what is left after the grace."""
        RunFolder(run.path).request_cancel()
        if not hard or run.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not run.process.alive:
                return
            try:
                _send(run.process.pid, number)
            except ProcessLookupError:
                return
            except PermissionError as exc:
                raise ConfigurationError(
                    f"The process of the run {run.id} belongs to another user.", "Ask them to stop it."
                ) from exc
            self._wait(run.process)

    def _wait(self, process: Process) -> None:
        until = time.monotonic() + self._grace
        while process.alive and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)


def _send(pid: int, number: signal.Signals) -> None:
    """To a whole group where the run leads one, as those started here do; else to the process alone."""
    if os.getpgid(pid) == pid:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


LOCAL: Final = LocalLauncher()


def environment(current: Mapping[str, str], device: str) -> dict[str, str]:
    """The environment of a run's process: our package, one device, and one core left for the app.

    device: `cpu`, or `cuda:N`, the N-th of those that are visible here. A thread count that is set stays.
    """
    before = current.get("PYTHONPATH")
    made = {**current, "PYTHONPATH": os.pathsep.join([str(_PACKAGE), *([before] if before else [])])}
    made.setdefault("OMP_NUM_THREADS", str(spare_threads()))
    kind, _, number = device.partition(":")
    # A run may start the next one, which is for another device: all keep in mind what there was at first.
    visible = current.get(_AT_FIRST, current.get("CUDA_VISIBLE_DEVICES", ""))
    made[_AT_FIRST] = visible
    if kind == "cpu":
        made["CUDA_VISIBLE_DEVICES"] = ""
    elif kind == "cuda":
        listed = [name.strip() for name in visible.split(",")] if visible else []
        index = int(number or 0)
        made["CUDA_VISIBLE_DEVICES"] = listed[index] if index < len(listed) else str(index)
    return made


def spare_threads() -> int:
    """Cores that this process may use, less one for the app; at least one."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)
