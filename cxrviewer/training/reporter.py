"""What a run tells while it runs: `metrics.csv`, and progress to the caller."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.run_folder import RunFolder

METRICS = ("epoch", "size", "loss", "tune_pneumonia_auroc", "tune_findings_auroc", "seconds")

Tell = Callable[[float, str], None]
"""Share done in [0, 1], and a few words."""


class Reporter(Callback):
    """A row an epoch, progress every step; raises CancelledError after the step a cancel came in."""

    def __init__(self, run: RunFolder, config: TrainingConfig, steps: int, tell: Tell | None = None) -> None:
        self._run, self._config, self._steps, self._tell = run, config, steps, tell

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Tell, and look whether someone asked to stop."""
        done = trainer.global_step / self._steps
        words = f"epoch {trainer.current_epoch + 1} of {self._config.epochs}"
        if self._tell is not None:
            self._tell(done, words)
        self._run.stop_if_asked()

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """The epoch's numbers; validation has run by now."""
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row: dict[str, object] = {key: round(values[key], 5) for key in METRICS if key in values}
        row |= {"epoch": trainer.current_epoch, "size": self._config.size_at(trainer.current_epoch)}
        row["seconds"] = self._run.seconds()
        append_metrics(self._run.path / "metrics.csv", row, METRICS)
        self._run.say(", ".join(f"{key} {value}" for key, value in row.items()))


def append_metrics(path: Path, row: dict[str, object], columns: Sequence[str]) -> None:
    """One line more in `metrics.csv`, with a header where the file is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        if new:
            writer.writeheader()
        writer.writerow(row)
