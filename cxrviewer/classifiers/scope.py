"""Is this a frontal chest radiograph that the model was made for? Header rules first, then the picture itself.

The picture's check is a small network of its own (64 x 64), trained to tell frontal chest radiographs from what is
not: turned and cut-up ones, drawn slices and limbs, textures, photographs. It never sees the label. A lateral is
refused by its header; no lateral was at hand to test the picture's check on.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping

import torch
from torch import nn

from cxrviewer.classifiers.card import ScopeCard
from cxrviewer.classifiers.prediction import ScopeAnswer
from cxrviewer.classifiers.preparing import standardise
from cxrviewer.classifiers.shrinking import Shrunk, shrink
from cxrviewer.errors import ModelBundleError
from cxrviewer.labels import Head
from cxrviewer.studies.radiograph import Metadata, Radiograph, View

SCOPE_SIZE = 64
FLAT = 0.02
"""Below this standard deviation, in [0, 1], a picture shows nothing."""
MIN_SIDE = 96
"""Pixels: a smaller picture cannot show what the findings look like."""

_CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "TORAX", "RIB")


class ScopeNet(nn.Module):
    """(N, 1, 64, 64) standardised -> (N,) logit, high for a frontal chest radiograph."""

    WIDTHS = (16, 32, 64, 96)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in self.WIDTHS:
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(before * (SCOPE_SIZE // 2 ** len(self.WIDTHS)) ** 2, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 1, 64, 64) -> (N,)."""
        logits: torch.Tensor = self.head(self.dropout(self.features(pictures).flatten(1)))[:, 0]
        return logits


class Scope:
    """The scope of one bundle: its card's rules and, where the bundle holds one, its picture network."""

    def __init__(self, card: ScopeCard, tensors: Mapping[str, torch.Tensor]) -> None:
        self._card = card
        self._network: ScopeNet | None = None
        if tensors:
            network = ScopeNet().eval().requires_grad_(False)
            counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
            try:
                network.load_state_dict(dict(tensors) | counters)
            except RuntimeError as exc:
                raise ModelBundleError(
                    "The bundle's scope network does not fit this program.", "Update both."
                ) from exc
            self._network = network

    def answer(self, radiograph: Radiograph, shrunk: Shrunk | None = None) -> ScopeAnswer:
        """Reasons against scoring this picture, or none, with what a reader should know.

        shrunk: the picture's reduction to SCOPE_SIZE, first of its squares, where it is at hand.
        """
        reasons = [reason for rule in HEADER_RULES if (reason := rule(radiograph.metadata, self._card))]
        if not reasons:
            shrunk = shrunk or shrink(radiograph, SCOPE_SIZE)
            reasons = [r for r in (self._size(radiograph), self._picture(shrunk)) if r]
        return ScopeAnswer(
            not reasons, tuple(reasons), () if reasons else self._cautions(radiograph.metadata)
        )

    @staticmethod
    def _size(radiograph: Radiograph) -> str | None:
        height, width = radiograph.shape
        if min(height, width) < MIN_SIDE:
            return f"The picture is {width} x {height} px; at least {MIN_SIDE} px a side are needed."
        return None

    def _picture(self, shrunk: Shrunk) -> str | None:
        if shrunk.deviation < FLAT:
            return "The picture is flat: it shows no anatomy."
        if self._network is None:
            return None
        with torch.inference_mode():
            small = torch.from_numpy(shrunk.squares[0])[None, None]
            logit = float(self._network(standardise(small))[0])
        # Asked this way round, a logit that is no number is refused too.
        if not logit >= self._card.thresholds.get("picture", -math.inf):
            return "The picture does not look like an upright frontal chest radiograph."
        return None

    def _cautions(self, metadata: Metadata) -> tuple[str, ...]:
        cautions = []
        if metadata.age_years is None and self._card.ages:
            learnt = " and ".join(
                f"{_ANSWERS[head]} from patients aged {low:g} to {high:g}"
                for head, (low, high) in self._card.ages.items()
            )
            cautions.append(f"No age is stated; the model learnt {learnt}.")
        for head, (low, high) in self._card.ages.items():
            name = _ANSWERS[head].capitalize()
            if metadata.age_years is not None and not low <= metadata.age_years <= high:
                cautions.append(
                    f"{name} learnt from patients aged {low:g} to {high:g}; this one is {_years(metadata.age_years)}."
                )
        if metadata.view is None:
            cautions.append("No projection is stated: taken as frontal.")
        return tuple(cautions)


_ANSWERS = {Head.PNEUMONIA: "the pneumonia answer", Head.FINDINGS: "the findings"}


def _years(age: float) -> str:
    """Whole years as people say them; a small child's to one decimal."""
    return f"{age:.1f}" if age < 2 else f"{int(age)}"


def _modality(metadata: Metadata, card: ScopeCard) -> str | None:
    if metadata.modality and metadata.modality.upper() not in card.modalities:
        return f"The header says modality {_short(metadata.modality)}, not a radiograph (CR or DX)."
    return None


def _body_part(metadata: Metadata, _card: ScopeCard) -> str | None:
    part = (metadata.body_part or "").strip().upper()
    plain = "".join(c for c in unicodedata.normalize("NFKD", part) if not unicodedata.combining(c))
    if part and not any(word in plain for word in _CHEST_WORDS):
        return f"Not a chest radiograph: the header says {_short(part)}."
    return None


def _short(text: str) -> str:
    """A code string has 16 characters (PS3.5 6.2); a file may hold more."""
    return text if len(text) <= 32 else text[:31] + "…"


def _view(metadata: Metadata, _card: ScopeCard) -> str | None:
    if metadata.view in (View.LATERAL, View.OTHER):
        return f"Not a frontal view: the header says {metadata.view}."
    return None


def _processing(metadata: Metadata, _card: ScopeCard) -> str | None:
    if metadata.for_processing:
        return "The header says FOR PROCESSING: raw detector data, not a picture to read."
    return None


HEADER_RULES: tuple[Callable[[Metadata, ScopeCard], str | None], ...] = (
    _modality,
    _body_part,
    _view,
    _processing,
)
