"""Run folders as a list: read from what the runs themselves have written, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrviewer.files import read_small, read_table
from cxrviewer.training.processes import Process
from cxrviewer.training.tickets import DEVICE

LOST_SECONDS = 60.0
"""A run that has not told anything for this long is dead, whatever its last word was."""

State = Literal["queued", "running", "finished", "failed", "cancelled"]
"""What a run says of itself; a reader calls a run whose process is gone `lost`."""

_MOST_BYTES = 65_536
_MOST_WORDS = 2_000
_FAR = 10**12
"""Above every number of seconds, epochs or pictures."""

LOG_LINES = 40
_LOG_BYTES = 16_384


_COUNTS = Field(ge=0, le=_FAR)
_Count = Annotated[float, _COUNTS]


class _LastWord(BaseModel):
    """`status.json` as it must be, whoever wrote it; what it holds besides is of no concern."""

    model_config = ConfigDict(allow_inf_nan=False)

    state: State
    heartbeat: _Count
    progress: float = Field(ge=0, le=1)
    message: str
    seconds: Annotated[int, _COUNTS]
    device: str = Field("cpu", pattern=DEVICE)
    submitted: _Count = 0.0
    epoch: Annotated[int, _COUNTS] | None = None
    epochs: Annotated[int, _COUNTS] | None = None
    images_per_second: _Count | None = None
    eta_seconds: Annotated[int, _COUNTS] | None = None
    memory_bytes: Annotated[int, Field(ge=0, le=2**60)] | None = None
    pid: int = Field(0, ge=0, lt=2**31)
    born: str | None = None
    host: str = ""

    @property
    def process(self) -> Process | None:
        """Who works on the run; runs of earlier programs did not say so."""
        return None if self.born is None else Process(self.pid, self.born, self.host)


@dataclass(frozen=True)
class RunStatus:
    """A run's last word. state: queued, running, finished, failed, cancelled or lost; progress in [0, 1].

    heartbeat: seconds since 1970. seconds: since the run was last taken up. device: `cpu` or `cuda:N`. submitted:
    seconds since 1970; the queue goes by it. epoch: from 1. images_per_second, eta_seconds, memory_bytes: see
    `run_folder.Pace`. None: not known.
    """

    id: str
    path: Path
    state: str
    progress: float
    message: str
    heartbeat: float
    seconds: int
    device: str = ""
    submitted: float = 0.0
    epoch: int | None = None
    epochs: int | None = None
    images_per_second: float | None = None
    eta_seconds: int | None = None
    memory_bytes: int | None = None
    process: Process | None = None

    @property
    def at_work(self) -> bool:
        """True where a process may be writing to the folder: also one that has only been silent for too long."""
        if self.state == "lost":
            return self.process is not None and self.process.alive
        return self.state == "running"

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": self.progress,
            "message": self.message,
            "heartbeat": self.heartbeat,
            "seconds": self.seconds,
            "device": self.device,
            "submitted": self.submitted,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "images_per_second": self.images_per_second,
            "eta_seconds": self.eta_seconds,
            "memory_bytes": self.memory_bytes,
            "pid": None if self.process is None else self.process.pid,
        }


def list_runs(runs_dir: Path) -> tuple[RunStatus, ...]:
    """Every run below a folder, by its last word, the newest first. A folder without a status is no run yet."""
    return tuple(sorted(_read_all(runs_dir), key=lambda status: -status.heartbeat))


def _read_all(runs_dir: Path) -> Iterator[RunStatus]:
    for file in runs_dir.glob("*/status.json"):
        status = None if file.parent.name.startswith(".") else read_status(file.parent)
        if status is not None:
            yield status


def read_status(path: Path, now: float | None = None) -> RunStatus | None:
    """A run's status, or None where there is none or it cannot be understood.

    A running run is `lost` as soon as its process is gone, or another one has its number; where that cannot be told
    from here (another machine or container, a restart since), after a minute without a heartbeat.
    """
    try:
        last = _LastWord.model_validate_json(read_small(path / "status.json", _MOST_BYTES))
    except (OSError, ValidationError):
        return None
    # A heartbeat from the future is none: the clock was put back, or another hand wrote it.
    silent = abs((time.time() if now is None else now) - last.heartbeat)
    lost = last.state == "running" and (silent > LOST_SECONDS or _gone(last.process))
    return RunStatus(
        id=path.name,
        path=path,
        state="lost" if lost else last.state,
        progress=last.progress,
        message=last.message[:_MOST_WORDS],
        heartbeat=last.heartbeat,
        seconds=last.seconds,
        device=last.device,
        submitted=last.submitted,
        epoch=last.epoch,
        epochs=last.epochs,
        images_per_second=last.images_per_second,
        eta_seconds=last.eta_seconds,
        memory_bytes=last.memory_bytes,
        process=last.process,
    )


def _gone(process: Process | None) -> bool:
    return process is not None and process.here and not process.alive


def last_metrics(path: Path) -> dict[str, str]:
    """The last row of `metrics.csv`; empty where there is none yet."""
    rows = read_table(path / "metrics.csv")
    return {name: value for name, value in rows[-1].items() if name} if rows else {}


def log_tail(path: Path, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of `log.txt`: the run's own words, which name no file and no patient."""
    try:
        with (path / "log.txt").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-lines:])
