"""Runs in the background, as pages and commands ask for them: submit, cancel, resume, delete, clone, tick."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from cxrviewer.errors import ConfigurationError, NotFoundError, StorageError
from cxrviewer.settings import get_settings
from cxrviewer.training.config import TrainingConfig, load_config
from cxrviewer.training.disk import free_bytes, telling
from cxrviewer.training.launcher import LOCAL, Launcher
from cxrviewer.training.queueing import locked, start_free, tick
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import RunStatus, read_status
from cxrviewer.training.tickets import DEVICE, Ticket, read_ticket, write_ticket

__all__ = ["cancel", "clone_config", "default_device", "delete", "resume", "submit", "tick", "with_id"]

LEAST_FREE = 256 * 2**20
"""Below this no run is taken in; the run itself knows better once its network is built."""


def submit(
    config: TrainingConfig, runs_dir: Path, device: str | None = None, launcher: Launcher = LOCAL
) -> RunStatus:
    """Put a new run into the queue, and start it where its device is free.

    device: `cpu` or `cuda:N`; default: what the settings say. Raises ConfigurationError where there is a run of that
    id, StorageError where there is no space.
    """
    path = runs_dir / config.id
    chosen = _device_of(device) if device else default_device()
    with telling(), locked(runs_dir):
        if path.exists():
            raise ConfigurationError(
                f"There is a run {config.id} already.", "Resume it, or give the new run another id."
            )
        _refuse_full(runs_dir)
        # Under another name first: a folder of the run's name is a whole submission.
        making = runs_dir / f".submitting-{config.id}-{os.getpid()}"
        shutil.rmtree(making, ignore_errors=True)
        try:
            run = RunFolder(making)
            run.write_config(config)
            write_ticket(making, Ticket(chosen, time.time(), str(Path.cwd())))
            run.say(f"submitted for {chosen}")
            run.status("queued", 0.0)
            making.rename(path)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        list(start_free(runs_dir, launcher))
    return _status(path)


def cancel(path: Path, hard: bool = False, launcher: Launcher = LOCAL) -> RunStatus:
    """Stop a run after its present step; hard: end its process within seconds. A queued one leaves the queue.

    Raises ConfigurationError where the run is not at work.
    """
    with telling():
        with locked(path.parent):
            before = _status(path)
            if before.state == "queued":
                RunFolder(path).status("cancelled", before.progress, "taken out of the queue")
                return _status(path)
            if not before.at_work:
                raise ConfigurationError(f"The run {path.name} is not at work: it is {before.state}.")
        launcher.cancel(before, hard)
        here = before.process is not None and before.process.here
        if hard and here and not launcher.is_alive(before):
            _record_end(path, before)
    tick(path.parent, launcher)
    return _status(path)


def _record_end(path: Path, before: RunStatus) -> None:
    """A process that was killed says nothing any more; one that ended by itself has said it."""
    with locked(path.parent):
        now = _status(path)
        if now.state in ("running", "lost") and now.process == before.process:
            run = RunFolder(path)
            run.say("cancelled: its process was ended")
            words = "Its process was ended. Resume it from its last whole epoch when you like."
            run.status("cancelled", now.progress, words, before.process)


def resume(path: Path, launcher: Launcher = LOCAL) -> RunStatus:
    """Queue a run again; it goes on after its last whole epoch. Raises ConfigurationError, NotFoundError."""
    with telling(), locked(path.parent):
        before = _status(path)
        if before.at_work or before.state == "queued":
            raise ConfigurationError(
                f"The run {path.name} is still at work."
                if before.at_work
                else f"The run {path.name} is queued.",
                f"Wait, or stop it: runs cancel {path.name}",
            )
        if before.state == "finished":
            raise ConfigurationError(
                f"The run {path.name} is finished.", f"Clone it under another id: runs clone {path.name} ID"
            )
        load_config(path / "config.json")
        _refuse_full(path)
        run = RunFolder(path)
        run.take_up()
        ticket = read_ticket(path)
        write_ticket(
            path, Ticket(ticket.device, time.time(), ticket.folder or str(Path.cwd()), ticket.threads)
        )
        run.say("queued to go on")
        run.status("queued", before.progress)
        list(start_free(path.parent, launcher))
    return _status(path)


def delete(path: Path) -> None:
    """Remove a run's folder with everything in it, its bundle too; a model that was promoted is a copy and stays.

    Raises ConfigurationError while it is at work.
    """
    with telling(), locked(path.parent):
        if _status(path).at_work:
            raise ConfigurationError(
                f"The run {path.name} is still at work.", f"Stop it first: runs cancel {path.name}"
            )
        # By one rename it is gone from every list, however long the rest takes.
        doomed = path.with_name(f".deleted-{path.name}-{os.getpid()}")
        path.rename(doomed)
    if doomed.is_symlink():
        doomed.unlink()
    else:
        shutil.rmtree(doomed, ignore_errors=True)


def clone_config(path: Path, id: str) -> TrainingConfig:
    """A run's configuration under a new id, for `submit`. Raises ConfigurationError where that is no id."""
    return with_id(load_config(path / "config.json"), id)


def with_id(config: TrainingConfig, id: str) -> TrainingConfig:
    """The same configuration for another run. Raises ConfigurationError where that is no id."""
    try:
        return TrainingConfig.model_validate(config.model_dump() | {"id": id})
    except ValidationError as exc:
        raise ConfigurationError(
            "That is no id of a run.",
            "Up to 64 small letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        ) from exc


def default_device() -> str:
    """Where runs compute unless one is told otherwise: CXR_DEVICE, and with `auto` the first GPU if there is one."""
    wanted = get_settings().device
    if wanted == "cpu":
        return "cpu"
    if _driver_here():
        import torch  # seconds, and not needed by those who list runs

        if torch.cuda.is_available():
            return "cuda:0"
    if wanted == "cuda":
        raise ConfigurationError("There is no GPU here that can be used.", "Set CXR_DEVICE to cpu or auto.")
    return "cpu"


def _device_of(name: str) -> str:
    if re.fullmatch(DEVICE, name) is None:
        raise ConfigurationError("There is no device of that name.", "Name cpu, or cuda:0, cuda:1, ...")
    return name


def _driver_here() -> bool:
    """False where no GPU driver is loaded, so that torch need not be asked."""
    return sys.platform != "linux" or any(Path("/dev", name).exists() for name in ("nvidiactl", "dxg", "kfd"))


def _status(path: Path) -> RunStatus:
    status = read_status(path)
    if status is None:
        raise NotFoundError(
            "There is no run of that id.", "`python -m cxrviewer runs list` shows those there are."
        )
    return status


def _refuse_full(folder: Path) -> None:
    free = free_bytes(folder)
    if free < LEAST_FREE:
        raise StorageError(
            f"Only {free >> 20} MB are free on the disk of the training runs.",
            f"Free at least {LEAST_FREE >> 20} MB, then start the run.",
        )
