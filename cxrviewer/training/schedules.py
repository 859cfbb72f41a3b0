"""SCHEDULES: the learning rate of every step, as a pure function of the step and of the tune scores so far.

Nothing is remembered between steps, so a resumed run has the rates of an unbroken one by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cxrviewer.training.config import Optimisation, TrainingConfig

DIVISOR = 20.0
"""A warm-up begins at this part of the peak."""
LAST = 200.0
"""One cycle ends at this part of where it began (Smith and Topin 2018, as in torch's OneCycleLR)."""
STEP_DOWN = 0.1


@dataclass(frozen=True)
class Span:
    """Epochs under one schedule: `first` <= epoch < `first + epochs`, with `peak` as their rate."""

    first: int
    epochs: int
    peak: float


@dataclass(frozen=True)
class Moment:
    """Where in its span a step is. step, steps: within the span. scores: tune's so far, of the span's epochs."""

    step: int
    steps: int
    epoch: int
    warmup: float
    scores: tuple[float, ...]


def spans_of(config: TrainingConfig) -> tuple[Span, ...]:
    """A stage that names a learning rate opens a span; the others go on in the one before them."""
    spans: list[Span] = []
    first = 0
    for stage in config.stages:
        if stage.learning_rate is not None or not spans:
            spans.append(Span(first, stage.epochs, stage.learning_rate or config.learning_rate))
        else:
            last = spans[-1]
            spans[-1] = Span(last.first, last.epochs + stage.epochs, last.peak)
        first += stage.epochs
    return tuple(spans)


def rate_at(config: TrainingConfig, epoch: int, step: int, steps: int, scores: Sequence[float]) -> float:
    """The learning rate of a step. step: within the epoch; steps: of each epoch; scores: tune's, one an epoch."""
    span = next(s for s in reversed(spans_of(config)) if s.first <= epoch)
    moment = Moment(
        step=(epoch - span.first) * steps + step,
        steps=span.epochs * steps,
        epoch=epoch - span.first,
        warmup=config.warmup,
        scores=tuple(scores[span.first : epoch]),
    )
    return span.peak * SCHEDULES[config.optimisation.schedule](moment, config.optimisation)


def warm_up(moment: Moment) -> float:
    """From 1/20 to 1 in a straight line over the warm-up's share of the span (Goyal et al. 2017), then 1."""
    length = moment.warmup * moment.steps
    return 1.0 if moment.step >= length else 1 / DIVISOR + (1 - 1 / DIVISOR) * moment.step / length


def _one_cycle(moment: Moment, _how: Optimisation) -> float:
    """Up from 1/20 and down to 1/4000, along cosines."""
    peak = moment.warmup * (moment.steps + 1) - 1
    if moment.step < peak:
        return _cosine(1 / DIVISOR, 1.0, moment.step / peak)
    return _cosine(1.0, 1 / DIVISOR / LAST, min((moment.step - peak) / (moment.steps - peak), 1.0))


def _half_cosine(moment: Moment, _how: Optimisation) -> float:
    """Warm-up, then down to 0 along a cosine (Loshchilov and Hutter, ICLR 2017, without restarts)."""
    length = moment.warmup * moment.steps
    return warm_up(moment) * _cosine(1.0, 0.0, max(moment.step - length, 0.0) / (moment.steps - length))


def _plateau(moment: Moment, how: Optimisation) -> float:
    """A tenth each time that `patience` epochs in a row have brought nothing on tune."""
    return warm_up(moment) * STEP_DOWN ** plateaus(moment.scores, how.patience)


def _steps(moment: Moment, how: Optimisation) -> float:
    return warm_up(moment) * STEP_DOWN ** (moment.epoch // how.step_epochs)


def _constant(moment: Moment, _how: Optimisation) -> float:
    return warm_up(moment)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def plateaus(scores: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row were no better than the best before them; each time it counts anew."""
    best, waited, found = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
        if waited == patience:
            found, waited = found + 1, 0
    return found


def epochs_without_gain(scores: Sequence[float]) -> int:
    """Epochs since the best one, the first of equals."""
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


SCHEDULES: dict[str, Callable[[Moment, Optimisation], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _half_cosine,
    "plateau": _plateau,
    "step": _steps,
    "constant": _constant,
}
