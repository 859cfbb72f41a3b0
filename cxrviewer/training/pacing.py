"""How fast a run gets on, and how long its epochs will still take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from cxrviewer.training.config import TrainingConfig

WINDOW_SECONDS = 120.0
_LEAST_SECONDS = 1.0


class Pacemaker:
    """Notes each step and tells images a second and seconds to go, by what the last two minutes were like.

    The work of a picture is taken as its area: later stages often show larger ones. What lies between epochs (tuning,
    reading pictures anew) counts as time without work, as it will again.
    """

    def __init__(self, config: TrainingConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._steps: deque[tuple[float, float, int]] = deque()
        self._work, self._images = 0.0, 0
        self._areas = [config.size_at(epoch) ** 2 for epoch in range(config.epochs)]

    def note(self, epoch: int, share: float, images: int) -> None:
        """A step is done. epoch: from 0; share: of the epoch, in (0, 1]; images: pictures in the step."""
        self._work = sum(self._areas[:epoch]) + self._areas[epoch] * share
        self._images += images
        self._steps.append((self._clock(), self._work, self._images))
        while len(self._steps) > 2 and self._steps[-1][0] - self._steps[0][0] > WINDOW_SECONDS:
            self._steps.popleft()

    def images_per_second(self) -> float | None:
        """None before there is a second to judge by."""
        seconds, _, images = self._span()
        return round(images / seconds, 1) if seconds >= _LEAST_SECONDS else None

    def eta_seconds(self) -> int | None:
        """Until the last epoch ends, at the present pace."""
        seconds, work, _ = self._span()
        if seconds < _LEAST_SECONDS or work <= 0:
            return None
        return round((sum(self._areas) - self._work) * seconds / work)

    def _span(self) -> tuple[float, float, int]:
        if len(self._steps) < 2:
            return 0.0, 0.0, 0
        first, last = self._steps[0], self._steps[-1]
        return last[0] - first[0], last[1] - first[1], last[2] - first[2]
