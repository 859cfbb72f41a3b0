"""Which learning rate to try: one short sweep from far too small to far too large (Smith, WACV 2017).

Nothing of it is kept but the numbers: the network is thrown away, the run begins from its own start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import lightning
import numpy as np
import torch

from cxrviewer.errors import ConfigurationError
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.feeder import Feeder
from cxrviewer.training.fit import precision_of, start_from, training_module
from cxrviewer.training.lightning_module import ClassifierTraining
from cxrviewer.training.material import gather
from cxrviewer.training.optimisers import optimiser_of
from cxrviewer.training.pictures import Batch
from cxrviewer.training.readiness import make_ready

LOWEST, HIGHEST, STEPS = 1e-7, 1.0, 100
MEMORY = 0.9
"""How much of the smoothed loss is the one before."""
DIVERGED = 4.0
"""The sweep ends where the smoothed loss is so many times the best."""
SETTLING = 5
"""First points that are never suggested: the average has not seen enough yet."""


@dataclass(frozen=True)
class RateFinding:
    """A sweep, point by point. suggestion: the rate at which the smoothed loss falls fastest; None: it never does."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None

    def as_json(self) -> dict[str, object]:
        """Plain values for `json.dumps`."""
        return asdict(self)


def find_rate(
    config: TrainingConfig,
    folder: Path,
    start: Path | None = None,
    tell: Callable[[float, str], None] = lambda _share, _words: None,
    steps: int = STEPS,
) -> RateFinding:
    """Sweep the recipe's first stage, from the weights that it begins with. folder: where damaged pictures are listed.

    Raises CxrError as a run does before its first step, and ConfigurationError where the sweep is too short to tell.
    """
    lightning.seed_everything(config.seed, verbose=False)
    material = gather(config)
    ready = make_ready(config, material, folder, lambda _line: None, lambda: None, tell)
    module = training_module(config, ready.material)
    if start is not None:
        start_from(module, start)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).on_train_epoch_start()  # freezes what the stage freezes
    feeder = Feeder(config, ready)
    batches = (feeder.transfer_batch_to_device(b, device, 0) for b in cycle(feeder.train_dataloader()))
    finding = sweep(module, batches, _precision(config, device), steps, tell)
    if len(finding.rates) <= SETTLING + 1:
        raise ConfigurationError(
            "The loss grows from the smallest rate on; no learning rate can be suggested.",
            "Look at the data and the labels first.",
        )
    return finding


def sweep(
    module: ClassifierTraining,
    batches: Iterator[Batch],
    precision: AbstractContextManager[object],
    steps: int = STEPS,
    tell: Callable[[float, str], None] = lambda _share, _words: None,
) -> RateFinding:
    """A step a rate, each the same number of times the one before, until the loss has left for good."""
    optimizer = optimiser_of(module.config, module.parameters())
    rates, losses = [], []
    for step, rate in enumerate(np.geomspace(LOWEST, HIGHEST, steps).tolist()):
        for group in optimizer.param_groups:
            group["lr"] = rate
        with precision:
            loss = module.loss(next(batches))
        losses.append(float(loss.detach()))
        rates.append(rate)
        tell((step + 1) / steps, f"learning rate {rate:.1e}")
        if not math.isfinite(losses[-1]) or (step > SETTLING and _has_left(smooth(losses))):
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if module.config.optimisation.clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), module.config.optimisation.clip)
        optimizer.step()
    kept = [k for k, loss in enumerate(losses) if math.isfinite(loss)]
    rates, losses = [rates[k] for k in kept], [losses[k] for k in kept]
    smoothed = smooth(losses)
    return RateFinding(tuple(rates), tuple(losses), smoothed, suggest(rates, smoothed))


def _precision(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """As in a run; half precision without its scaling, which a sweep of some steps does not need in bfloat16."""
    if precision_of(config) == "32-true":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """An average that forgets, corrected for having begun at 0 (as Kingma and Ba do with theirs)."""
    found, average = [], 0.0
    for count, loss in enumerate(losses, 1):
        average = MEMORY * average + (1 - MEMORY) * loss
        found.append(average / (1 - MEMORY**count))
    return tuple(found)


def _has_left(smoothed: Sequence[float]) -> bool:
    return smoothed[-1] > DIVERGED * min(smoothed)


def suggest(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Where the smoothed loss falls fastest over the logarithm of the rate, before it is at its lowest."""
    lowest = int(np.argmin(smoothed)) + 1 if len(smoothed) else 0
    if lowest - SETTLING < 2:
        return None
    slopes = np.gradient(np.array(smoothed[:lowest]), np.log(rates[:lowest]))
    place = SETTLING + int(np.argmin(slopes[SETTLING:]))
    return float(rates[place]) if slopes[place] < 0 else None
