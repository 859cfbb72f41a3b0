"""A small network trained here on phantoms: where do the maps put their mass? Plumbing, not clinical performance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.handmade import serving
from support.small_models import radiograph
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec, reduce, standardise
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.explainers import explainer
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.studies.phantoms import Lesion, make_phantom

SIZE, TRAINING, HELD_OUT = 64, 40, 8

OPTIONS = {
    "gradcam": {},
    "integrated-gradients": {"baseline": "blur"},
    "lime": {"samples": 300, "fill": "blur"},
}


@dataclass(frozen=True, eq=False)
class Pair:
    """One body without and with a lesion, (S, S) float32 in [0, 1], and the lesion's mask."""

    clear: NDArray[np.float32]
    ill: NDArray[np.float32]
    lesion: NDArray[np.bool_]


def pair(seed: int) -> Pair:
    clear = make_phantom(seed, size=SIZE, lesion=None)
    ill = make_phantom(seed, size=SIZE, lesion=Lesion(contrast=0.6))
    small = [reduce(radiograph(one.pixels).presentation(), SIZE) for one in (clear, ill)]
    return Pair(small[0], small[1], ill.lesion)


@pytest.fixture(scope="module")
def trained() -> ServingClassifier:
    """Logistic regression on a tiny network, pairs side by side, shifted a little each time."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = Classifier(Architecture("tiny", ((Head.PNEUMONIA, (PNEUMONIA,)),), InputSpec(SIZE)))
    pairs = [pair(seed) for seed in range(TRAINING)]
    pictures = torch.from_numpy(np.stack([[one.clear, one.ill] for one in pairs]))
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3, weight_decay=1e-2)
    for _ in range(60):
        for chosen in torch.randperm(TRAINING, generator=generator).split(10):
            rows, columns = (int(torch.randint(-4, 5, (1,), generator=generator)) for _ in range(2))
            moved = pictures[chosen].roll((rows, columns), (2, 3)).flatten(0, 1)[:, None]
            noise = 0.02 * torch.randn(moved.shape, generator=generator)
            logits = network(standardise(moved + noise))[:, 0]
            loss = binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0]).repeat(len(chosen)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return serving(network)


@pytest.fixture(scope="module")
def unseen() -> list[Pair]:
    return [pair(1000 + seed) for seed in range(HELD_OUT)]


@pytest.mark.slow
def test_the_network_tells_ill_from_clear(trained: ServingClassifier, unseen: list[Pair]) -> None:
    pictures = torch.from_numpy(np.stack([[one.clear, one.ill] for one in unseen])).flatten(0, 1)[:, None]
    logits = trained.logits(standardise(pictures)).reshape(-1, 2)
    assert (logits[:, 1] > logits[:, 0]).mean() >= 7 / 8


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_maps_mass_is_in_the_lesion_more_than_chance(
    name: str, trained: ServingClassifier, unseen: list[Pair]
) -> None:
    """Chance is the lesion's share of the picture: what an even map would put there."""
    times = []
    for one in unseen:
        found = explainer(name, **OPTIONS[name]).explain(trained, radiograph(one.ill), trained.targets[0])
        mass = np.maximum(found.heatmap(), 0)
        times.append(float(mass[one.lesion].sum() / mass.sum() / one.lesion.mean()) if mass.any() else 0.0)
    assert np.median(times) > 2, times
