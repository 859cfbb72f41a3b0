"""Run folders as a list: read from what the runs themselves have written, and nothing else."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrviewer.training.processes import Process

LOST_SECONDS = 60.0
"""A run that has not told anything for this long is dead, whatever its last word was."""

LOG_LINES = 40
_LOG_BYTES = 16_384


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
        content = json.loads((path / "status.json").read_text(encoding="utf-8"))
        state, heartbeat = str(content["state"]), float(content["heartbeat"])
        process = (
            Process(int(content["pid"]), str(content["born"]), str(content["host"]))
            if "born" in content
            else None
        )
        silent = (time.time() if now is None else now) - heartbeat
        if state == "running" and (silent > LOST_SECONDS or _gone(process)):
            state = "lost"
        return RunStatus(
            id=path.name,
            path=path,
            state=state,
            progress=float(content["progress"]),
            message=str(content["message"]),
            heartbeat=heartbeat,
            seconds=int(content["seconds"]),
            device=str(content.get("device", "cpu")),
            submitted=float(content.get("submitted", 0.0)),
            process=process,
            **{name: content.get(name) for name in _PACE},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


_PACE = ("epoch", "epochs", "images_per_second", "eta_seconds", "memory_bytes")


def _gone(process: Process | None) -> bool:
    return process is not None and process.here and not process.alive


def last_metrics(path: Path) -> dict[str, str]:
    """The last row of `metrics.csv`; empty where there is none yet."""
    try:
        with (path / "metrics.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return {}
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
