"""What a training run's page shows beyond its status. Nothing here starts or stops one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.training.run_listing import RunStatus

LOG_LINES = 40
LIVE = ("queued", "running")


@dataclass(frozen=True)
class Curve:
    """A column of `metrics.csv` over the epochs."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def remaining(run: RunStatus) -> float | None:
    """Seconds to go at the pace so far; None where that cannot be told."""
    if run.state != "running" or not 0.01 < run.progress < 1:
        return None
    return run.seconds / run.progress * (1 - run.progress)


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
