"""Taking files in, outside the script's way: a thread reads them one by one, the page watches the count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from cxrviewer.errors import ModelBundleError
from cxrviewer.logs import get_logger
from cxrviewer.reading import Failure, Reader
from cxrviewer.studies.sources import Refused, Source, iter_upload

Upload = tuple[str, Callable[[], bytes]]
"""The name as the browser gave it, and what gives the bytes."""


class ImportJob:
    """One batch. Read by the page while its thread writes; only whole values are replaced, so no lock is needed.

    sources: called in the thread, since a ZIP's list may be long. expected: how many, as far as is known.
    """

    def __init__(
        self, reader: Reader, sources: Callable[[], Iterable[Source | Refused]], expected: int
    ) -> None:
        self.total = expected
        self.done = 0
        self.failures: tuple[tuple[str, Failure], ...] = ()
        self.opened: tuple[tuple[str, str], ...] = ()
        """Study and digest of what was taken in."""
        self.finished = False
        self.seen = False
        """True once the page has acted on the end."""
        self._reader, self._sources = reader, sources

    def start(self) -> ImportJob:
        """Begin, in a thread of its own."""
        threading.Thread(target=self.run, name="import", daemon=True).start()
        return self

    @property
    def progress(self) -> float:
        """In [0, 1]."""
        return min(self.done / self.total, 1.0) if self.total else 1.0

    @property
    def line(self) -> str:
        """`37 of 200, 2 need attention`."""
        count = len(self.failures)
        needs = f", {count} need{'s' if count == 1 else ''} attention" if count else ""
        return f"{self.done} of {self.total}{needs}"

    def run(self) -> None:
        """Read everything, in the calling thread."""
        try:
            sources = list(self._sources())
            self.total = len(sources)
            # A single file opens at once: the viewer asks for its score after the picture is there.
            score = len(sources) > 1 and self._has_model()
            for reading in self._reader.read_all(sources, score=score):
                if reading.failure is not None:
                    self.failures = (*self.failures, (reading.source, reading.failure))
                if reading.instance is not None:
                    self.opened = (*self.opened, (reading.instance.study_id, reading.instance.digest))
                self.done += 1
        except Exception as error:  # noqa: BLE001 - a thread's boundary: the page must learn that it ended
            get_logger().error("import.failed", exc_info=error)
            self.failures = (*self.failures, ("", Failure.of(error)))
        finally:
            self._sources = tuple
            self.finished = True

    def _has_model(self) -> bool:
        try:
            return self._reader.model is not None
        except ModelBundleError:
            return False


def uploads(files: Sequence[Upload]) -> list[Source | Refused]:
    """What the browser sent; a ZIP gives its members."""
    return [source for name, read in files for source in iter_upload(read(), name)]


def demonstration() -> list[Source]:
    """The phantoms that an empty worklist offers: computer-made, so that no patient stands behind them."""
    from cxrviewer.studies.phantoms import DEMO_SEEDS

    return [Source(f"phantom {seed}", partial(_phantom, seed)) for seed in DEMO_SEEDS]


def _phantom(seed: int) -> bytes:
    from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

    return phantom_dicom(make_phantom(seed))
