"""One run at a time on each device; the others wait in the order in which they were submitted.

Nobody keeps the queue: it is what the run folders say, read under a lock. Each process looks at it when its run ends,
and so does every page and command that shows runs: so the next one starts although the server or a worker was killed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cxrviewer.errors import ConfigurationError, CxrError, NotFoundError
from cxrviewer.training.disk import storage_error
from cxrviewer.training.launcher import LOCAL, Launcher
from cxrviewer.training.processes import this_process
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import RunStatus, list_runs, read_status

if sys.platform != "win32":
    import fcntl

LOCK = ".queue.lock"


@contextmanager
def locked(runs_dir: Path) -> Iterator[None]:
    """Alone among all processes that submit, start or delete runs here. The kernel frees it when its holder dies."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    # Never inherited: Python opens files close-on-exec, so a started run does not hold the lock.
    with (runs_dir / LOCK).open("ab") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def waiting(runs: Sequence[RunStatus]) -> list[RunStatus]:
    """The queued ones, first come first."""
    return sorted((run for run in runs if run.state == "queued"), key=lambda run: (run.submitted, run.id))


def tick(runs_dir: Path, launcher: Launcher = LOCAL) -> tuple[RunStatus, ...]:
    """Start what is queued for devices that are free; returns what was started. Cheap where nothing waits.

    A run that cannot be started is marked failed, with the reason, and the next one has its turn. Where the disk
    refuses even that, all stays as it is until someone looks again: runs can be shown from a full or read-only disk.
    """
    if not waiting(list_runs(runs_dir)):
        return ()
    with suppress(OSError), locked(runs_dir):
        return tuple(start_free(runs_dir, launcher))
    return ()


def start_free(runs_dir: Path, launcher: Launcher) -> Iterator[RunStatus]:
    """As `tick`, by who holds the lock."""
    runs = list_runs(runs_dir)
    busy = {run.device for run in runs if run.at_work}
    for run in waiting(runs):
        if run.device in busy:
            continue
        started = _start(run, launcher)
        if started is not None:
            busy.add(run.device)
            yield started


def _start(run: RunStatus, launcher: Launcher) -> RunStatus | None:
    try:
        if not (run.path / "config.json").is_file():
            raise NotFoundError("Its configuration is gone.", "Delete the run, and start a new one.")
        process = launcher.launch(run.path)
        # The process waits for the lock before it says anything itself, so this is not written over its words.
        RunFolder(run.path).status("running", run.progress, "starting", process)
    except (CxrError, OSError) as exc:
        if not run.path.is_dir():
            return None  # removed by hand meanwhile; it must not come back as an empty run
        told = exc if isinstance(exc, CxrError) else storage_error(exc)
        RunFolder(run.path).status(
            "failed", run.progress, str(told) if told else f"could not start: {type(exc).__name__}"
        )
        return None
    return read_status(run.path)


def claim(run: RunFolder, device: str) -> None:
    """Take a run up in this process; its status says so from then on. Raises ConfigurationError.

    Refused while another process works on the same run, or another run on the device. Where a launcher has written
    this process into the status already, a request to stop since then stays.
    """
    me = this_process()
    with locked(run.path.parent):
        for other in list_runs(run.path.parent):
            if not other.at_work or other.process == me:
                continue
            if other.path.name == run.path.name:
                raise ConfigurationError(
                    "The run is still at work.", f"Wait, or ask it to stop: runs cancel {other.id}"
                )
            if other.device == device:
                raise ConfigurationError(
                    f"The run {other.id} is at work on {device}, and each device has one run at a time.",
                    "Wait for it, or let this one wait in the queue: runs start --config FILE",
                )
        before = read_status(run.path)
        launched = before is not None and before.state == "running" and before.process == me
        if not launched:
            run.take_up()
        run.status("running", 0.0 if before is None else before.progress, "starting")
