"""A recipe's `Preparation` -> the `InputSpec` that training, serving and the card share."""

from __future__ import annotations

from cxrviewer.classifiers.architecture import InputSpec
from cxrviewer.classifiers.card import read_card
from cxrviewer.classifiers.references import HISTOGRAM, MEAN_CHEST, PLACE
from cxrviewer.classifiers.registry import find
from cxrviewer.settings import get_settings
from cxrviewer.training.config import Preparation

LUNG_MODEL = "lungs-unet-1"
"""The lung bundle that `align` and `crop` ask; the card names its weights too."""


def spec_of(preparation: Preparation, size: int) -> InputSpec:
    """What the network is given, with all that is needed to do it again. Raises ModelBundleError (no lung model)."""
    lungs = preparation.lungs
    return InputSpec(
        size=size,
        channels=preparation.channels,
        resize=preparation.shape,
        normalisation=preparation.normalisation,
        harmonise=preparation.harmonise,
        lungs=lungs,
        reference=HISTOGRAM if preparation.harmonise == "histogram" else (),
        template=MEAN_CHEST if lungs == "template" else "",
        place=PLACE if lungs == "align" else (),
        lungs_model=_lung_model() if lungs in ("align", "crop") else "",
    )


def _lung_model() -> str:
    card = read_card(find(LUNG_MODEL, get_settings()))
    return f"{card.id}@{card.weights_sha256}"
