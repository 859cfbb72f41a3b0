"""Taking files in, outside the script's way: a thread reads them one by one, the page watches the count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from cxrviewer.archive import InstanceRow
from cxrviewer.errors import CxrError, ModelBundleError
from cxrviewer.logs import get_logger
from cxrviewer.reading import Failure, Reader
from cxrviewer.studies.sources import Refused, Source, iter_upload

Upload = tuple[str, Callable[[], bytes]]
"""The name as the browser gave it, and what gives the bytes."""

DEMONSTRATION_SIZE = 3
"""How many phantoms are offered; known without loading what draws them."""


class ImportJob:
    """One batch: every file is taken in first, so that the pictures are there, and scored after that.

    Read by the page while its thread writes; only whole values are replaced, so no lock is needed.
    sources: called in the thread, since a ZIP's list may be long. expected: how many, as far as is known.
    """

    def __init__(
        self, reader: Reader, sources: Callable[[], Iterable[Source | Refused]], expected: int
    ) -> None:
        self.total = expected
        self.done = 0
        self.scored = 0
        self.scoring = False
        self.failures: tuple[tuple[str, Failure], ...] = ()
        self.opened: tuple[InstanceRow, ...] = ()
        """What was taken in."""
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
        """In [0, 1], of the step that goes on."""
        part, whole = (self.scored, len(self.opened)) if self.scoring else (self.done, self.total)
        return min(part / whole, 1.0) if whole else 0.0

    @property
    def line(self) -> str:
        """`Importing: 37 of 200, 2 need attention`."""
        count = len(self.failures)
        needs = f", {count} need{'s' if count == 1 else ''} attention" if count else ""
        if self.scoring:
            return f"Scoring: {self.scored} of {len(self.opened)}{needs}"
        return f"Importing: {self.done} of {self.total}{needs}"

    def run(self) -> None:
        """Take everything in, then score it, in the calling thread."""
        try:
            sources = list(self._sources())
            self.total = len(sources)
            for reading in self._reader.read_all(sources, score=False):
                if reading.failure is not None:
                    self.failures = (*self.failures, (reading.source, reading.failure))
                if reading.instance is not None:
                    self.opened = (*self.opened, reading.instance)
                self.done += 1
            # A single file opens at once, and the viewer asks for its score.
            if self.total > 1 and self.opened:
                self._score()
        except Exception as error:  # noqa: BLE001 - a thread's boundary: the page must learn that it ended
            get_logger().error("import.failed", exc_info=error)
            self.failures = (*self.failures, ("", Failure.of(error)))
        finally:
            self._sources = tuple
            self.finished = True

    def _score(self) -> None:
        self.scoring = True
        try:
            self._reader.model  # noqa: B018 - loads it
        except ModelBundleError:
            return  # a picture can be read without a score, and the viewer says why there is none
        for row in self.opened:
            try:
                self._reader.predict(self._reader.open_stored(row.digest))
            except CxrError as error:
                self.failures = (*self.failures, (row.source_name, Failure.of(error)))
            self.scored += 1


def uploads(files: Sequence[Upload]) -> list[Source | Refused]:
    """What the browser sent; a ZIP gives its members."""
    return [source for name, read in files for source in iter_upload(read(), name)]


def demonstration() -> list[Source]:
    """The phantoms that an empty worklist offers: computer-made, so that no patient stands behind them."""
    from cxrviewer.studies.phantoms import DEMO_SEEDS

    return [Source(f"phantom {seed}", partial(_phantom, seed)) for seed in DEMO_SEEDS[:DEMONSTRATION_SIZE]]


def _phantom(seed: int) -> bytes:
    from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

    return phantom_dicom(make_phantom(seed))
