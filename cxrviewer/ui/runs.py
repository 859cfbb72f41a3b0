"""What a training run's page shows beyond its status. Nothing here starts or stops one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrviewer.files import read_columns
from cxrviewer.training.run_listing import RunStatus

LIVE = ("queued", "running")
_STEADY = 0.9
"""Up to here progress grows with time; calibrating and measuring, which follow, do not."""


@dataclass(frozen=True)
class Curve:
    """A column of `metrics.csv` over the epochs, counted from 1 as everywhere a person reads of them."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def remaining(run: RunStatus) -> float | None:
    """Seconds to go, by its own word or at the pace so far; None where that cannot be told."""
    if run.state == "running" and run.eta_seconds is not None:
        return run.eta_seconds
    if run.state != "running" or not 0.01 < run.progress < _STEADY:
        return None
    return run.seconds / run.progress * (1 - run.progress)


def pace_words(run: RunStatus) -> str:
    """State and what is to go in one line: `running · epoch 3 of 8 · 42 pictures a second · 1.2 GB · 12 min to go`."""
    parts = [run.state]
    if run.state in LIVE:
        if run.epoch is not None and run.epochs is not None:
            parts.append(f"epoch {run.epoch} of {run.epochs}")
        elif run.message:
            parts.append(run.message)
        if run.images_per_second:
            parts.append(f"{run.images_per_second:.0f} pictures a second")
        if run.memory_bytes:
            parts.append(f"{run.memory_bytes / 2**30:.1f} GB")
        seconds = remaining(run)
        if seconds is not None:
            parts.append(f"{duration(seconds)} to go")
    elif run.seconds:
        parts.append(f"after {duration(run.seconds)}")
    return " · ".join(parts)


def curves(path: Path) -> tuple[Curve, ...]:
    """The columns of `metrics.csv` but `epoch`, `size` and `seconds`; a row that does not parse is left out."""
    return tuple(
        Curve(name, tuple(x + 1 for x, _ in points), tuple(y for _, y in points))
        for name, points in read_columns(path / "metrics.csv", "epoch").items()
        if name not in ("size", "seconds")
    )


def duration(seconds: float) -> str:
    """`2 h 05 min`, `12 min`, `40 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
