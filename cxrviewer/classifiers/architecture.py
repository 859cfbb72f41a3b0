"""What a network is, without building it: a card is read, and models are listed, without loading torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import NIH_14, PNEUMONIA, Head

RESIZES = {
    "squash": "squash, bilinear, antialiased",
    "crop": "central square, bilinear, antialiased",
}
NORMALISATIONS = {
    "per-image": "per image: minus mean, divided by standard deviation",
    "zero-one": "0 to 1",
    "minus-one-one": "-1 to 1",
    "imagenet": "minus ImageNet's mean, divided by its standard deviation",
    "xrv": "-1024 to 1024",
}
HARMONISATIONS = {
    "none": "",
    "histogram": "histogram matched to a stored one",
    "clahe": "contrast equalised by tile (CLAHE)",
}
LUNGS = {
    "none": "",
    "template": "moved onto a mean chest",
    "align": "moved by the lungs' mask",
    "crop": "cut to the lungs' box",
}
"""Each: the name in a recipe and in `InputSpec`, and what it says to a reader. What each does: `preparing.py`."""


@dataclass(frozen=True)
class InputSpec:
    """What a network was trained on. `size`: side of the square in pixels; `channels`: 1, or 3.

    resize, normalisation, harmonise, lungs: names of the tables above; a network trained otherwise is not served.
    reference: for `histogram`: grey values in [0, 1] at equal steps of rank. template: for `template`: the mean
    chest, square, uint8 as hexadecimal. place: for `align`: where the lungs are brought to: top, left,
    bottom, right as fractions of the square. lungs_model: for `align` and `crop`: the lung bundle, `id@weights_sha256`.
    """

    size: int = 224
    channels: int = 1
    resize: str = "squash"
    normalisation: str = "per-image"
    harmonise: str = "none"
    lungs: str = "none"
    reference: tuple[float, ...] = ()
    template: str = ""
    place: tuple[float, ...] = ()
    lungs_model: str = ""

    def words(self) -> str:
        """How a picture is prepared, for provenance and for readers."""
        asked = ((RESIZES, self.resize), (LUNGS, self.lungs), (HARMONISATIONS, self.harmonise))
        steps = ", ".join(words for table, name in asked if (words := table.get(name, name)))
        return f"{self.size} px, {steps}; {NORMALISATIONS.get(self.normalisation, self.normalisation)}"

    @property
    def known(self) -> bool:
        """True where this program can prepare pictures so."""
        return (
            self.resize in RESIZES
            and self.normalisation in NORMALISATIONS
            and self.harmonise in HARMONISATIONS
            and self.lungs in LUNGS
            and (self.harmonise != "histogram" or _grows(self.reference))
            and (self.lungs != "align" or _is_box(self.place))
            and (self.lungs not in ("align", "crop") or "@" in self.lungs_model)
            and (self.lungs != "template" or _is_square(self.template))
        )


def _grows(values: tuple[float, ...]) -> bool:
    """Two values or more, in [0, 1], none below the one before."""
    return len(values) > 1 and all(0 <= v <= 1 for v in values) and tuple(sorted(values)) == values


def _is_box(place: tuple[float, ...]) -> bool:
    return len(place) == 4 and 0 <= place[0] < place[2] <= 1 and 0 <= place[1] < place[3] <= 1


def _is_square(template: str) -> bool:
    try:
        side = math.isqrt(len(bytes.fromhex(template)))
    except ValueError:
        return False
    return side >= 8 and 2 * side * side == len(template)


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network again.

    stacks: what lies between the pooled features and a head's logits (`heads.STACKS`), of the heads where that is more
    than one linear layer. options: what its backbone lets one choose. two_way: heads that end in two numbers a label
    under a softmax; so only while it is trained (`Classifier.folded`).
    """

    backbone: str = "densenet121"
    heads: tuple[tuple[Head, tuple[str, ...]], ...] = (
        (Head.PNEUMONIA, (PNEUMONIA,)),
        (Head.FINDINGS, NIH_14),
    )
    input: InputSpec = field(default_factory=InputSpec)
    dropout: float = 0.0
    stacks: Mapping[Head, str] = field(default_factory=dict)
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    two_way: frozenset[Head] = frozenset()

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every logit, in output order."""
        return tuple(Target(head, label) for head, labels in self.heads for label in labels)
