"""What a run tells while it runs: `metrics.csv`, and progress to the caller."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cxrviewer.files import write_whole
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.disk import append_whole, telling
from cxrviewer.training.pacing import Pacemaker
from cxrviewer.training.pictures import Batch
from cxrviewer.training.processes import memory_bytes
from cxrviewer.training.run_folder import Pace, RunFolder

FIRST, LAST = ("epoch", "size", "learning_rate", "loss"), ("seconds",)
"""Columns of `metrics.csv`; between them stands all that was measured on the tune part."""

_TUNE = "tune_"

Tell = Callable[[float, str], None]
"""Share done in [0, 1], and a few words."""


class Reporter(Callback):
    """A row an epoch, progress every step; raises CancelledError after the step a cancel came in."""

    def __init__(self, run: RunFolder, config: TrainingConfig, steps: int, tell: Tell | None = None) -> None:
        self._run, self._config, self._steps, self._tell = run, config, steps, tell
        self._pace = Pacemaker(config)

    def on_train_start(self, trainer: lightning.Trainer, *_: object) -> None:
        """Rows of epochs that are now done again go, and what a crash left half-written."""
        with telling():
            keep_rows(self._run.path / "metrics.csv", trainer.current_epoch)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Tell, and look whether someone asked to stop."""
        epoch, batches = trainer.current_epoch, max(1, int(trainer.num_training_batches))
        self._pace.note(epoch, (batch_idx + 1) / batches, len(batch.pictures))
        self._run.pace = Pace(
            epoch=epoch + 1,
            epochs=self._config.epochs,
            images_per_second=self._pace.images_per_second(),
            eta_seconds=self._pace.eta_seconds(),
            memory_bytes=memory_of(module.device),
        )
        if self._tell is not None:
            self._tell(trainer.global_step / self._steps, f"epoch {epoch + 1} of {self._config.epochs}")
        self._run.stop_if_asked()

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """The epoch's numbers; validation has run by now."""
        measured = {key: round(float(value), 5) for key, value in trainer.callback_metrics.items()}
        row: dict[str, object] = {
            "epoch": trainer.current_epoch,
            "size": self._config.size_at(trainer.current_epoch),
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
            "loss": measured.get("loss", ""),
            **{key: value for key, value in sorted(measured.items()) if key.startswith(_TUNE)},
            "seconds": self._run.seconds(),
        }
        with telling():
            append_metrics(self._run.path / "metrics.csv", row, list(row))
            self._run.say(", ".join(f"{key} {value}" for key, value in row.items()))

    def on_train_end(self, *_: object) -> None:
        """What follows has no epochs."""
        self._run.pace = Pace()


def memory_of(device: torch.device) -> int | None:
    """The most that tensors took on a GPU; on a CPU what the process holds."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else memory_bytes()


def append_metrics(path: Path, row: Mapping[str, object], columns: Sequence[str]) -> None:
    """One line more in `metrics.csv`, whole or not at all; a new file gets the columns as its header.

    A file that has a header keeps to it: a run may go on under a newer program that knows more columns.
    """
    header = _header(path)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header or columns, extrasaction="ignore")
    if not header:
        writer.writeheader()
    writer.writerow(row)
    append_whole(path, text.getvalue())


def keep_rows(path: Path, epochs: int) -> None:
    """Only the rows of so many first epochs stay in `metrics.csv`."""
    header = _header(path)
    if not header:
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(header)][1:]
    kept = [row for row in rows if row[header.index("epoch")] in {str(n) for n in range(epochs)}]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *kept])
    write_whole(path, text.getvalue())


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    return header if "epoch" in header else []
