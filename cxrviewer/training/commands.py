"""A training run from beginning to end, in the foreground: what the command line and the launch page both start."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import torch

from cxrviewer.errors import CancelledError, ConfigurationError, CxrError
from cxrviewer.settings import get_settings
from cxrviewer.training.beginning import beginning
from cxrviewer.training.checkpoint_names import newest
from cxrviewer.training.config import TrainingConfig, load_config
from cxrviewer.training.disk import storage_error, sweep
from cxrviewer.training.fit import fit
from cxrviewer.training.publishing import publish
from cxrviewer.training.queueing import claim, tick
from cxrviewer.training.reporter import Tell
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import State
from cxrviewer.training.runs import default_device
from cxrviewer.training.tickets import TICKET, Ticket, read_ticket, write_ticket

TRAINING_SHARE = 0.9
"""Of a run's progress; the rest is calibrating, measuring and writing the bundle."""


def train(config: Path, run_dir: Path | None = None, resume: bool = False, tell: Tell | None = None) -> Path:
    """Train, calibrate, measure, publish; returns the bundle's folder, inside the run's.

    run_dir: default `<data folder>/runs/<id>`. resume: go on from the last whole epoch; the run's own configuration
    must be the same. tell: progress in [0, 1] and a few words. Ctrl-C and SIGTERM stop after the present step.
    Raises CxrError; `status.json` then says failed or cancelled, and why.
    """
    wanted = load_config(config)
    path = run_dir or get_settings().runs_dir / wanted.id
    try:
        run = _open_run(wanted, path, resume)
        return _work(wanted, run, resume, tell)
    except OSError as exc:
        told = storage_error(exc)
        if told is None:
            raise
        raise told from exc
    finally:
        tick(path.parent)  # whatever became of this one: its device is free


def _work(config: TrainingConfig, run: RunFolder, resume: bool, tell: Tell | None) -> Path:
    sweep(run.path)
    for left in (run.path / "bundle").glob(".new-*"):  # by a process that was killed while it published
        shutil.rmtree(left, ignore_errors=True)

    def watch(share: float, words: str) -> None:
        run.tell(share, words)
        if tell is not None:
            tell(share, words)
        run.stop_if_asked()

    try:
        with _cancelled_by_signals(run), run.heartbeat():
            _choose_threads(run, resume)
            start = beginning(config, run, watch)
            fit(config, run, resume, _scaled(watch, 0.0, TRAINING_SHARE), start)
            bundle = publish(config, run, run.path / "bundle", _scaled(watch, TRAINING_SHARE, 1.0))
    except BaseException as exc:
        # Whatever ends a run, interrupts included, must not leave it looking alive; it is raised again.
        _tell_end(run, _state_after(exc), run.progress, _words(exc))
        raise
    _tell_end(run, "finished", 1.0, f"bundle {bundle.name}")
    return bundle


def _tell_end(run: RunFolder, state: State, progress: float, words: str) -> None:
    """The last words. A disk that takes neither is told on stderr by who called; the run then shows as lost."""
    with suppress(OSError):
        run.status(state, progress, "" if state == "finished" else words)
    with suppress(OSError):
        run.say(f"{state}: {words}")


def _choose_threads(run: RunFolder, resume: bool) -> None:
    """As many as the run began with, where there are so many cores: sums in another order differ in their last bits."""
    ticket = read_ticket(run.path)
    begun = resume and newest(run.path / "checkpoints") is not None
    if begun and 0 < ticket.threads <= (os.cpu_count() or 1):
        torch.set_num_threads(ticket.threads)
    else:
        write_ticket(run.path, dataclasses.replace(ticket, threads=torch.get_num_threads()))


def _open_run(config: TrainingConfig, path: Path, resume: bool) -> RunFolder:
    earlier = path / "config.json"
    if earlier.is_file() and not resume:
        raise ConfigurationError(
            f"There is a run in {path.name} already.", "Resume it, or give the new run another id or folder."
        )
    if earlier.is_file() and load_config(earlier) != config:
        raise ConfigurationError(
            "The run was started with another configuration.",
            "Resume with its own config.json, or start a new run.",
        )
    new = not path.exists()
    run = RunFolder(path)
    try:
        run.write_config(config)
        if not (path / TICKET).is_file():
            write_ticket(path, Ticket(default_device(), time.time(), str(Path.cwd())))
        claim(run, read_ticket(path).device)
    except BaseException:
        if new:  # a run that could not begin is no run, and its id stays free
            shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def _state_after(exc: BaseException) -> State:
    return "cancelled" if isinstance(exc, CancelledError | KeyboardInterrupt) else "failed"


def _words(exc: BaseException) -> str:
    """A CxrError's own sentence; of anything else only its kind, since its text may name files of patients."""
    told = storage_error(exc) if isinstance(exc, OSError) else None
    return str(told or exc) if told or isinstance(exc, CxrError) else f"stopped by {type(exc).__name__}"


@contextmanager
def _cancelled_by_signals(run: RunFolder) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the run to stop; a second one stops it as usual. Only a main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        run.request_cancel()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _scaled(tell: Tell, low: float, high: float) -> Tell:
    return lambda share, words: tell(low + (high - low) * share, words)
