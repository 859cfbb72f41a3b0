"""When memory runs out: half the batch, twice the accumulation, so that a step is still made of as many pictures."""

from __future__ import annotations

import gc

import torch

from cxrviewer.errors import ConfigurationError
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.rules import smallest_batch

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
"""What torch's allocators and CUDA's libraries say, in a plain RuntimeError."""


def is_shortage(exc: BaseException) -> bool:
    """Is this a lack of memory, on the GPU or in the machine?"""
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(exc, RuntimeError) and any(words in str(exc).lower() for words in _WORDS)


def with_half_the_batch(config: TrainingConfig) -> TrainingConfig:
    """The same steps of the same pictures in half as large pieces. Raises ConfigurationError at a batch of one.

    A batch norm sees fewer pictures at a time, so the weights are not those of a machine with more memory.
    """
    if config.batch_size // 2 < smallest_batch(config):
        few = "a single picture" if config.batch_size == 1 else f"{config.batch_size} pictures"
        raise ConfigurationError(
            f"Memory is too short for {few} at a time; the last whole epoch is kept.",
            "Choose smaller pictures or a smaller network, close other programs, and resume.",
        )
    optimisation = config.optimisation
    return config.model_copy(
        update={
            "batch_size": config.batch_size // 2,
            "optimisation": optimisation.model_copy(update={"accumulate": optimisation.accumulate * 2}),
        }
    )


def let_go() -> None:
    """Give back what the failed step held. The exception must be gone: its frames hold the tensors."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
