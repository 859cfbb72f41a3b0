"""A run on disk: configuration, split, metrics, status, checkpoints, log. Screens only read it."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.datasets.splits import SplitRow, write_split
from cxrviewer.errors import CancelledError
from cxrviewer.files import write_whole
from cxrviewer.training.checkpoint_names import newest
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.disk import append_whole, overwrite
from cxrviewer.training.processes import Process, this_process
from cxrviewer.training.run_listing import State
from cxrviewer.training.tickets import read_ticket

BEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Pace:
    """How a running run gets on. epoch: from 1. images_per_second: of late, training only.

    eta_seconds: until the last epoch ends; calibrating and measuring follow. memory_bytes: the most that the network
    took on a GPU, or what the process holds on a CPU. None: not known (yet).
    """

    epoch: int | None = None
    epochs: int | None = None
    images_per_second: float | None = None
    eta_seconds: int | None = None
    memory_bytes: int | None = None


class RunFolder:
    """The folder of one run. Status is replaced by rename, so a reader never sees half of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self._message = ""
        self._writing = threading.Lock()
        self.pace = Pace()
        """What is told with the next heartbeat."""
        self.progress = 0.0
        """What was last told, in [0, 1]."""

    @property
    def checkpoint(self) -> Path:
        """The newest whole checkpoint; where there is none, a name under which nothing exists."""
        return newest(self.path / "checkpoints") or self.path / "checkpoints" / "last.ckpt"

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
        write_whole(self.path / "config.json", config.model_dump_json(indent=2) + "\n")

    def write_split(self, rows: Sequence[SplitRow]) -> None:
        """`split.csv`, by rename."""
        temporary = self.path / f"split.csv.{os.getpid()}.new"
        try:
            write_split(rows, temporary)
            temporary.replace(self.path / "split.csv")
        finally:
            temporary.unlink(missing_ok=True)

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """`metrics.json`, by rename."""
        write_whole(self.path / "metrics.json", json.dumps(metrics, indent=1))

    def seconds(self) -> int:
        """Since this process took the run up."""
        return round(time.monotonic() - self._started)

    def say(self, text: str) -> None:
        """A line in `log.txt`, with the time. Raises OSError where the disk refuses."""
        append_whole(self.path / "log.txt", f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")

    def tell(self, progress: float, message: str) -> None:
        """Remember how far the run is; the heartbeat writes it."""
        self.progress, self._message = progress, message

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """While inside, `status.json` says `running` every few seconds, however long a step takes.

        From a thread of this process: it falls silent when the process dies. A disk that refuses a beat does not stop
        the heart: the run itself meets the same disk at its next checkpoint, and says so.
        """
        done = threading.Event()

        def beat() -> None:
            while not done.is_set():
                with suppress(OSError):
                    self.status("running", self.progress, self._message)
                done.wait(BEAT_SECONDS)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def status(
        self, state: State, progress: float, message: str = "", process: Process | None = None
    ) -> None:
        """Replace `status.json`. `progress` in [0, 1]. process: who works on the run, if not the one that asks.

        Where no second file fits on the disk, last words take the place of the earlier ones. Raises OSError.
        """
        process = process or this_process()
        ticket = read_ticket(self.path)
        content = {
            "state": state,
            "heartbeat": time.time(),
            "progress": round(progress, 4),
            "message": message,
            "pid": process.pid,
            "born": process.born,
            "host": process.host,
            "seconds": self.seconds(),
            "device": ticket.device,
            "submitted": ticket.submitted,
            **dataclasses.asdict(self.pace),
        }
        with self._writing:
            self.tell(progress, message)
            try:
                write_whole(self.path / "status.json", json.dumps(content))
            except OSError:
                if state in ("queued", "running"):
                    raise
                overwrite(self.path / "status.json", json.dumps(content))
