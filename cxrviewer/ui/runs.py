"""Training runs as their folders tell them. Nothing here starts or stops one, and no network library is loaded."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path

LOST_AFTER = 60.0
"""Seconds without a heartbeat after which a run that says it is running is shown as lost (G19)."""

LOG_LINES = 40


@dataclass(frozen=True)
class Run:
    """One folder's status. progress: in [0, 1]; seconds: since it was last taken up."""

    id: str
    path: Path
    state: str
    progress: float
    message: str
    seconds: float
    heartbeat: float

    @property
    def live(self) -> bool:
        """True while more may come."""
        return self.state in ("queued", "running")

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the pace so far; None where that cannot be told."""
        if self.state != "running" or not 0.01 < self.progress < 1:
            return None
        return self.seconds / self.progress * (1 - self.progress)


@dataclass(frozen=True)
class Curve:
    """A column of `metrics.csv` over the epochs."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def list_runs(folder: Path, now: float | None = None) -> tuple[Run, ...]:
    """Every run below a folder, the latest heartbeat first. A folder that cannot be read is left out."""
    now = time.time() if now is None else now
    found = [run for path in sorted(folder.glob("*/status.json")) if (run := _run(path.parent, now))]
    return tuple(sorted(found, key=lambda run: -run.heartbeat))


def _run(path: Path, now: float) -> Run | None:
    try:
        status = json.loads((path / "status.json").read_text(encoding="utf-8"))
        state, heartbeat = str(status["state"]), float(status["heartbeat"])
        if state == "running" and now - heartbeat > LOST_AFTER:
            state = "lost"
        return Run(
            path.name,
            path,
            state,
            float(status["progress"]),
            str(status["message"]),
            float(status["seconds"]),
            heartbeat,
        )
    except (OSError, ValueError, KeyError, TypeError):
        # Half a folder, or one that another program wrote: not a run that can be shown.
        return None


def curves(path: Path) -> tuple[Curve, ...]:
    """The columns of `metrics.csv` but `epoch`, `size` and `seconds`; a row that does not parse is left out."""
    try:
        with (path / "metrics.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return ()
    names = [name for name in (rows[0] if rows else {}) if name not in ("epoch", "size", "seconds")]
    return tuple(_curve(name, rows) for name in names)


def _curve(name: str, rows: list[dict[str, str]]) -> Curve:
    points = []
    for row in rows:
        try:
            points.append((float(row["epoch"]), float(row[name])))
        except (TypeError, ValueError, KeyError):
            continue
    return Curve(name, tuple(x for x, _ in points), tuple(y for _, y in points))


def log_tail(path: Path) -> tuple[str, ...]:
    """The last lines of `log.txt`."""
    try:
        with (path / "log.txt").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-LOG_LINES:])


def duration(seconds: float) -> str:
    """`2 h 05 min`, `12 min`, `40 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
