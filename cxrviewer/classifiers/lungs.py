"""Where the lungs are: a small U-Net (Ronneberger et al., MICCAI 2015) from a bundle of task `segmentation`.

Its masks follow those it learnt from: the left one covers most of the heart. See the bundle's card.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate

from cxrviewer.classifiers.bundle import Bundle
from cxrviewer.classifiers.preparing import enlarge, prepare_small, reduce
from cxrviewer.errors import ModelBundleError
from cxrviewer.studies.radiograph import Radiograph

ARCHITECTURE = "unet-lungs"
_GROUPS = 4


def _block(before: int, width: int) -> nn.Sequential:
    """Two convolutions; group norm, so that a picture's answer never depends on its batch."""
    layers: list[nn.Module] = []
    for inputs in (before, width):
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.GroupNorm(_GROUPS, width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class LungNet(nn.Module):
    """(N, 1, S, S) standardised, S a multiple of 8 -> (N, 1, S, S) logits, high inside the lungs."""

    WIDTHS = (12, 24, 48, 96)

    def __init__(self) -> None:
        super().__init__()
        befores = (1, *self.WIDTHS[:-1])
        self.down = nn.ModuleList(_block(b, w) for b, w in zip(befores, self.WIDTHS, strict=True))
        pairs = list(zip(self.WIDTHS[1:], self.WIDTHS[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(_block(deep + skip, skip) for deep, skip in pairs)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(self.WIDTHS[0], 1, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 1, S, S) -> (N, 1, S, S)."""
        skips: list[torch.Tensor] = []
        maps = pictures
        for level, block in enumerate(self.down):
            maps = block(self.pool(maps) if level else maps)
            skips.append(maps)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            wide = interpolate(maps, skip.shape[-2:], mode="bilinear", align_corners=False)
            maps = block(torch.cat([wide, skip], 1))
        logits: torch.Tensor = self.head(maps)
        return logits


class LungModel:
    """A checked segmentation bundle, ready to answer. Safe to share between threads: nothing on it changes."""

    def __init__(self, bundle: Bundle) -> None:
        card = bundle.card
        remedy = "Restore the bundle from its source."
        if card.task != "segmentation" or card.architecture.backbone != ARCHITECTURE:
            raise ModelBundleError(f"Model {card.id} does not segment lungs.", "Choose another one.")
        self.card = card
        self._spec = card.input.spec()
        self._network = LungNet().eval().requires_grad_(False)
        if not all(bool(tensor.isfinite().all()) for tensor in bundle.tensors.values()):
            raise ModelBundleError(f"Model {card.id} holds values that are not finite.", remedy)
        try:
            self._network.load_state_dict({name: tensor.float() for name, tensor in bundle.tensors.items()})
        except RuntimeError as exc:
            raise ModelBundleError(f"Model {card.id} lacks or adds tensors.", remedy) from exc

    @property
    def size(self) -> int:
        """Side of the square that `segment` takes."""
        return self._spec.size

    @property
    def name(self) -> str:
        """What an `InputSpec` calls this model by: `id@weights_sha256`."""
        return f"{self.card.id}@{self.card.weights_sha256}"

    def segment(self, small: NDArray[np.float32]) -> NDArray[np.float32]:
        """(S, S) in [0, 1], the whole picture squashed -> (S, S) float32 in [0, 1]: how sure a pixel shows lung."""
        with torch.inference_mode():
            logits = self._network(prepare_small(small, self._spec))
        return np.asarray(logits.sigmoid()[0, 0].numpy(), np.float32)

    def lungs(self, radiograph: Radiograph) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1] on the radiograph's own grid: how sure it is that a pixel shows lung."""
        return enlarge(self.segment(reduce(radiograph.presentation(), self.size)), radiograph.shape)
