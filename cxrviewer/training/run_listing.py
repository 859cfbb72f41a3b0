"""Run folders as a list: read from what the runs themselves have written, and nothing else."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOST_SECONDS = 60.0
"""A run that has not told anything for this long is dead, whatever its last word was."""

_ALIVE = ("queued", "running")


@dataclass(frozen=True)
class RunStatus:
    """A run's last word. state: queued, running, finished, failed, cancelled or lost; progress in [0, 1].

    heartbeat: seconds since 1970. seconds: since the run was last taken up.
    """

    id: str
    path: Path
    state: str
    progress: float
    message: str
    heartbeat: float
    seconds: int

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": self.progress,
            "message": self.message,
            "heartbeat": self.heartbeat,
            "seconds": self.seconds,
        }


def list_runs(runs_dir: Path) -> tuple[RunStatus, ...]:
    """Every run below a folder, by its last word, the newest first. A folder without a status is no run yet."""
    return tuple(sorted(_read_all(runs_dir), key=lambda status: -status.heartbeat))


def _read_all(runs_dir: Path) -> Iterator[RunStatus]:
    for file in runs_dir.glob("*/status.json"):
        status = read_status(file.parent)
        if status is not None:
            yield status


def read_status(path: Path, now: float | None = None) -> RunStatus | None:
    """A run's status, or None where there is none or it cannot be understood."""
    try:
        content = json.loads((path / "status.json").read_text(encoding="utf-8"))
        state, heartbeat = str(content["state"]), float(content["heartbeat"])
        silent = (time.time() if now is None else now) - heartbeat
        return RunStatus(
            id=path.name,
            path=path,
            state="lost" if state in _ALIVE and silent > LOST_SECONDS else state,
            progress=float(content["progress"]),
            message=str(content["message"]),
            heartbeat=heartbeat,
            seconds=int(content["seconds"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_metrics(path: Path) -> dict[str, str]:
    """The last row of `metrics.csv`; empty where there is none yet."""
    try:
        with (path / "metrics.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return {}
    return {name: value for name, value in rows[-1].items() if name} if rows else {}
