"""A run on disk: configuration, split, metrics, status, checkpoints, log. Screens only read it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cxrviewer.datasets.splits import SplitRow, write_split
from cxrviewer.errors import CancelledError
from cxrviewer.training.config import TrainingConfig

BEAT_SECONDS = 5.0

State = Literal["queued", "running", "finished", "failed", "cancelled"]
"""What a run says of itself; a reader calls a run without a heartbeat `lost`."""


class RunFolder:
    """The folder of one run. Status is replaced by rename, so a reader never sees half of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self._message = ""
        self.progress = 0.0
        """What was last told, in [0, 1]."""

    @property
    def checkpoint(self) -> Path:
        """The last finished epoch's state; the file exists whole or not at all."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def _cancel(self) -> Path:
        return self.path / "cancel"

    def request_cancel(self) -> None:
        """Ask whoever works on this run to stop after the present step; any process may ask."""
        self._cancel.touch()

    def cancel_requested(self) -> bool:
        """True from the request until the run is taken up again."""
        return self._cancel.exists()

    def stop_if_asked(self) -> None:
        """Raises CancelledError where someone asked."""
        if self.cancel_requested():
            raise CancelledError(
                "The run was cancelled.", "Resume it from its last whole epoch when you like."
            )

    def take_up(self) -> None:
        """Forget an earlier request to stop."""
        self._cancel.unlink(missing_ok=True)

    def write_config(self, config: TrainingConfig) -> None:
        """`config.json`, which reads back as the same configuration."""
        (self.path / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def write_split(self, rows: Sequence[SplitRow]) -> None:
        """`split.csv`."""
        write_split(rows, self.path / "split.csv")

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """`metrics.json`, by rename."""
        self._replace("metrics.json", json.dumps(metrics, indent=1))

    def seconds(self) -> int:
        """Since this process took the run up."""
        return round(time.monotonic() - self._started)

    def say(self, text: str) -> None:
        """A line in `log.txt`, with the time."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")

    def tell(self, progress: float, message: str) -> None:
        """Remember how far the run is; the heartbeat writes it."""
        self.progress, self._message = progress, message

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """While inside, `status.json` says `running` every few seconds, however long a step takes.

        From a thread of this process: it falls silent when the process dies, which is what readers go by.
        """
        done = threading.Event()

        def beat() -> None:
            while not done.is_set():
                self.status("running", self.progress, self._message)
                done.wait(BEAT_SECONDS)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def status(self, state: State, progress: float, message: str = "") -> None:
        """Replace `status.json`. `progress` in [0, 1]."""
        self.tell(progress, message)
        content = {
            "state": state,
            "heartbeat": time.time(),
            "progress": round(progress, 4),
            "message": message,
            "pid": os.getpid(),
            "seconds": self.seconds(),
        }
        self._replace("status.json", json.dumps(content))

    def _replace(self, name: str, text: str) -> None:
        temporary = self.path / f"{name}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path / name)
