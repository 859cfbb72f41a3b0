"""What a network is, without building it: a card is read, and models are listed, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import NIH_14, PNEUMONIA, Head


@dataclass(frozen=True)
class InputSpec:
    """What a network was trained on. `size`: side of the square in pixels; `channels`: 1, or 3 equal ones.

    resize, normalisation: what `preparing.py` does; a network trained otherwise is not served.
    """

    size: int = 224
    channels: int = 1
    resize: str = "squash, bilinear, antialiased"
    normalisation: str = "per image: minus mean, divided by standard deviation"


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network again."""

    backbone: str = "densenet121"
    heads: tuple[tuple[Head, tuple[str, ...]], ...] = (
        (Head.PNEUMONIA, (PNEUMONIA,)),
        (Head.FINDINGS, NIH_14),
    )
    input: InputSpec = field(default_factory=InputSpec)
    dropout: float = 0.0

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every logit, in output order."""
        return tuple(Target(head, label) for head, labels in self.heads for label in labels)
