"""Grad-CAM (Selvaraju et al., ICCV 2017; doi 10.1109/ICCV.2017.74) of a logit, on the last feature maps.

For a head that is linear after global average pooling, the gradient is the same everywhere: the head's weight
divided by the number of places. So one forward pass gives the maps of every target at once (the class activation
map of Zhou et al., CVPR 2016), and no gradient is needed. For any other head, and for a network that does not pool by
the mean, the gradient of the head at the feature maps is taken: still no pass through the backbone.

The maps here leave the division out. Then, with linear heads, the mean of a signed map over the grid, plus the head's
bias, is the logit itself. Multiply by 1 / (h * w) for what other programs call Grad-CAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.preparing import prepare_small
from cxrviewer.classifiers.serving import Output, ServingClassifier
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.explainer import Attribution, Explainer, Request

FORMS = ("auto", "closed", "autograd")


def signed_cams(output: Output, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class activation maps of one picture, before the ReLU: (K, h, w) float32, signed, in logits.

    output: of one picture (N is 1); weights: (K, F), a row a target. The mean over (h, w) is the logit less its bias.
    """
    features = output.features[0]
    places = features.reshape(features.shape[0], -1)
    return np.asarray((weights @ places).reshape(len(weights), *features.shape[1:]), np.float32)


def grad_cam_all(output: Output, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grad-CAM of every target from one forward pass: (K, h, w) float32, not negative, in logits."""
    return np.maximum(signed_cams(output, weights), 0)


def strip(output: Output, weights: NDArray[np.float32], indices: Sequence[int]) -> NDArray[np.float32]:
    """Grad-CAM of the chosen targets only, in the order asked for: (len(indices), h, w) float32, not negative."""
    return grad_cam_all(output, weights[list(indices)])


def maps_of_all(classifier: ServingClassifier, output: Output) -> NDArray[np.float32]:
    """Grad-CAM of every target from one forward pass, whatever the heads: (K, h, w) float32, not negative."""
    if classifier.linear:
        return grad_cam_all(output, classifier.head_weights())
    features = torch.from_numpy(output.features)
    with classifier.gradients() as network:
        maps = [
            cam_of_features(network, features.to(classifier.device), index)
            for index in range(len(classifier.targets))
        ]
    return np.maximum(np.stack(maps), 0)


def cam_by_autograd(network: Classifier, inputs: torch.Tensor, index: int) -> NDArray[np.float32]:
    """The signed map of one picture for any head that is differentiable in the features: (h, w) float32."""
    with torch.no_grad():
        features = network.features(inputs)
    return cam_of_features(network, features, index)


def cam_of_features(network: Classifier, features: torch.Tensor, index: int) -> NDArray[np.float32]:
    """The same from feature maps (1, F, h, w) that were computed before.

    They become a leaf, so only the head is differentiated: no hook, no `.grad`. Times h * w, so that it equals the
    closed form where there is one.
    """
    with torch.enable_grad():
        leaf = features.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(network.logits(leaf)[0, index], leaf)
    alpha = gradient.sum((2, 3), keepdim=True)
    return np.asarray((alpha * features).sum(1)[0].float().cpu().numpy())


@dataclass(frozen=True)
class GradCam(Explainer):
    """Grad-CAM of one target, on the network's own grid (7 x 7 at 224).

    Shown as its authors defined it: what lowered the logit is cut to zero, so the map is not signed. `signed=True`
    keeps it. `form`: `closed` for heads that are linear after pooling, `autograd` for any; `auto` takes the first where
    it holds.
    """

    signed: bool = False
    form: str = "auto"
    method: ClassVar[str] = "gradcam"
    title: ClassVar[str] = "Grad-CAM"
    meaning: ClassVar[str] = (
        "Where the last feature maps raised the logit. Each cell of the coarse grid has seen much more of the "
        "picture than the square it covers."
    )

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ConfigurationError(
                f"Grad-CAM has no form {self.form}.", f"Choose one of {', '.join(FORMS)}."
            )

    def _explain(self, request: Request) -> Attribution:
        signed = self._signed(request)
        mass = float(np.abs(signed).sum())
        return Attribution(
            grid=signed if self.signed else np.maximum(signed, 0),
            parameters={
                "form": self._form(request.classifier),
                "signed": self.signed,
                "rows": signed.shape[0],
                "columns": signed.shape[1],
            },
            # How much of the map the ReLU hides: near 1, the picture shown says little.
            admits={"negative_share": float(np.abs(np.minimum(signed, 0)).sum()) / mass if mass else 0.0},
        )

    def _form(self, classifier: ServingClassifier) -> str:
        if self.form == "closed" and not classifier.linear:
            raise ConfigurationError(
                "This model's heads are not linear after pooling, so Grad-CAM has no closed form.",
                "Choose auto or autograd.",
            )
        return "autograd" if self.form == "autograd" or not classifier.linear else "closed"

    def _signed(self, request: Request) -> NDArray[np.float32]:
        inputs = prepare_small(request.picture, request.classifier.spec)
        if self._form(request.classifier) == "closed":
            output = request.classifier.run(inputs)
            return np.asarray(signed_cams(output, request.classifier.head_weights()[[request.index]])[0])
        with request.classifier.gradients() as network:
            return cam_by_autograd(network, inputs.to(request.classifier.device), request.index)
