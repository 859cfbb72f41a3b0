"""Our DenseNets are torchvision's, and serving with it loads neither torchvision nor torch's compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cxrviewer.classifiers.densenet import densenet_features

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "training"), [("densenet121", False), ("densenet121", True), ("densenet169", False)]
)
def test_the_same_weights_give_the_same_values(name: str, training: bool) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None).features.train(training)
    ours = densenet_features(name, 3).train(training)
    ours.load_state_dict(theirs.state_dict())  # every name and shape, or it raises
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures), theirs(pictures), rtol=0, atol=1e-6)
    for name, value in theirs.state_dict().items():  # in training the running statistics move alike
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=1e-6)


def test_convolutions_start_as_torchvisions_do() -> None:
    """Kaiming's normal distribution: deviation sqrt(2 / fan-in)."""
    torch.manual_seed(0)
    weight = densenet_features("densenet121", 1).get_submodule("denseblock4.denselayer16.conv2").weight
    assert float(weight.detach().std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


def test_serving_and_gradients_load_no_compiler() -> None:
    """160 MB and seconds, for nothing that a reader sees."""
    script = (
        "import sys, torch\n"
        "from cxrviewer.classifiers.classifier import Architecture, Classifier\n"
        "from cxrviewer.explainers.lean_gradients import lean\n"
        "with torch.device('meta'):\n"
        "    Classifier(Architecture())\n"
        "network = Classifier(Architecture()).eval().requires_grad_(False)\n"
        "picture = torch.zeros(1, 1, 64, 64, requires_grad=True)\n"
        "torch.autograd.grad(lean(network)(picture)[0, 0], picture)\n"
        "print(sorted({'torchvision', 'torch._dynamo', 'sympy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "[]"
