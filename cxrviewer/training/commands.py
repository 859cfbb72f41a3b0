"""A training run from beginning to end, in the foreground: what the command line and the launch page both start."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cxrviewer.errors import CancelledError, ConfigurationError, CxrError
from cxrviewer.settings import get_settings
from cxrviewer.training.beginning import beginning
from cxrviewer.training.config import TrainingConfig, load_config
from cxrviewer.training.fit import fit
from cxrviewer.training.publishing import publish
from cxrviewer.training.reporter import Tell
from cxrviewer.training.run_folder import RunFolder, State

TRAINING_SHARE = 0.9
"""Of a run's progress; the rest is calibrating, measuring and writing the bundle."""


def train(config: Path, run_dir: Path | None = None, resume: bool = False, tell: Tell | None = None) -> Path:
    """Train, calibrate, measure, publish; returns the bundle's folder, inside the run's.

    run_dir: default `<data folder>/runs/<id>`. resume: go on from the last whole epoch; the run's own configuration
    must be the same. tell: progress in [0, 1] and a few words. Ctrl-C and SIGTERM stop after the present step.
    Raises CxrError; `status.json` then says failed or cancelled, and why.
    """
    wanted = load_config(config)
    run = _open_run(wanted, run_dir or get_settings().runs_dir / wanted.id, resume)
    run.take_up()

    def watch(share: float, words: str) -> None:
        run.tell(share, words)
        if tell is not None:
            tell(share, words)
        run.stop_if_asked()

    try:
        with _cancelled_by_signals(run), run.heartbeat():
            start = beginning(wanted, run, watch)
            fit(wanted, run, resume, _scaled(watch, 0.0, TRAINING_SHARE), start)
            bundle = publish(wanted, run, run.path / "bundle", _scaled(watch, TRAINING_SHARE, 1.0))
    except BaseException as exc:
        # Whatever ends a run, interrupts included, must not leave it looking alive; it is raised again.
        run.status(_state_after(exc), run.progress, _words(exc))
        run.say(f"{_state_after(exc)}: {_words(exc)}")
        raise
    run.status("finished", 1.0)
    run.say(f"finished: bundle {bundle.name}")
    return bundle


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
    run = RunFolder(path)
    run.write_config(config)
    return run


def _state_after(exc: BaseException) -> State:
    return "cancelled" if isinstance(exc, CancelledError | KeyboardInterrupt) else "failed"


def _words(exc: BaseException) -> str:
    """A CxrError's own sentence; of anything else only its kind, since its text may name files of patients."""
    return str(exc) if isinstance(exc, CxrError) else f"stopped by {type(exc).__name__}"


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
