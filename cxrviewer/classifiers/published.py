"""PUBLISHED: weights that others give away, by name; nothing is fetched here.

Two sorts. ImageNet weights of torchvision's networks are where a training run may start; they answer nothing about a
chest. TorchXRayVision's networks (Cohen et al., MIDL 2022) answer by themselves and become bundles (`importing.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cxrviewer.errors import ConfigurationError

IMAGENET_LICENCE = (
    "BSD-3-Clause (torchvision); learnt from ImageNet, whose pictures are for research that is not commercial"
)
XRV_LICENCE = "Apache-2.0 (TorchXRayVision); the data sets that they were learnt from have terms of their own"
XRV_CITATION = "Cohen et al., TorchXRayVision: a library of chest X-ray datasets and models, MIDL 2022"
IMAGENET_CITATION = "torchvision; Deng et al., ImageNet, CVPR 2009"

_XRV = "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
_TORCH = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class Published:
    """One set of weights.

    backbone: an entry of `BACKBONES`; size: side of the pictures it was trained on. megabytes: of the file, about.
    sha256: how its SHA-256 begins, where its publisher says so ("": not said). labels: its outputs in order, "" where
    an output means nothing; none at all for a starting point. thresholds: on the sigmoid, one an output; None where
    none was stated.
    """

    name: str
    backbone: str
    url: str
    megabytes: float
    trained_on: str
    licence: str
    citation: str
    size: int = 224
    sha256: str = ""
    labels: tuple[str, ...] = ()
    thresholds: tuple[float | None, ...] = ()

    @property
    def serves(self) -> bool:
        """True where it answers by itself; False where it is only something to start training from."""
        return bool(self.labels)

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]


_IMAGENET = (
    ("densenet121", "densenet121-a639ec97.pth", 30.8, 224),
    ("densenet169", "densenet169-b2777c0a.pth", 54.7, 224),
    ("resnet18", "resnet18-f37072fd.pth", 44.7, 224),
    ("resnet50", "resnet50-11ad3fa6.pth", 97.8, 224),
    ("resnet152", "resnet152-f82ba261.pth", 230.5, 224),
    ("inception-v3", "inception_v3_google-0cc3c7bd.pth", 103.9, 299),
    ("efficientnet-b0", "efficientnet_b0_rwightman-7f5810bc.pth", 20.5, 224),
    ("efficientnet-b4", "efficientnet_b4_rwightman-23ab8bcd.pth", 74.5, 380),
    ("efficientnetv2-s", "efficientnet_v2_s-dd5fe13b.pth", 82.7, 384),
    ("convnext-tiny", "convnext_tiny-983f1562.pth", 109.1, 224),
    ("vit-b16", "vit_b_16-c867db91.pth", 330.3, 224),
)
"""backbone, file (torchvision ends the name with how its SHA-256 begins), megabytes, size."""


def _of_imagenet(name: str, file: str, megabytes: float, size: int) -> Published:
    return Published(
        f"imagenet-{name}", name, _TORCH + file, megabytes, "ImageNet, 1.3 million photographs of 1,000 kinds",
        IMAGENET_LICENCE, IMAGENET_CITATION, size, file.rpartition("-")[2].removesuffix(".pth"),
    )  # fmt: skip


XRV_OUTPUTS = (
    "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis", "Effusion",
    "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia", "Lung Lesion", "Fracture",
    "Lung Opacity", "Enlarged Cardiomediastinum",
)  # fmt: skip
"""The 18 outputs, in order; a network that was not taught one has no name there."""

_: None = None
"""No threshold stated."""
_XRV_DENSENETS: tuple[tuple[str, str, str, tuple[float | None, ...]], ...] = (
    ("all", "nih-pc-chex-mimic_ch-google-openi-kaggle", "NIH, PadChest, CheXpert, MIMIC-CXR, Google, OpenI and RSNA", (
        0.07422872, 0.038290843, 0.09814756, 0.0098118475, 0.023601074, 0.0022490358, 0.010060724, 0.103246614,
        0.056810737, 0.026791653, 0.050318155, 0.023985857, 0.01939503, 0.042889766, 0.053369623, 0.035975814,
        0.20204692, 0.05015312)),
    ("nih", "nih", "NIH ChestX-ray14", (
        0.039117552, 0.0034529066, 0.11396341, 0.0057298196, 0.00045666535, 0.0018880932, 0.012037827, 0.038744126,
        0.0037213727, 0.014730946, 0.016149804, 0.054241467, 0.037198864, 0.0004403434, _, _, _, _)),
    ("pc", "pc", "PadChest", (
        0.031012505, 0.013347598, 0.081435576, 0.001262615, 0.002587246, 0.0035944257, 0.0023071, 0.055412333,
        0.044385884, 0.042766232, 0.043258056, 0.037629247, 0.005658899, 0.0091741895, _, 0.026507627, _, _)),
    ("chex", "chex", "CheXpert", (
        0.1988969, 0.05710573, _, 0.0531293, 0.1435217, _, _, 0.27212676, 0.07749717, _, 0.19712369, _, _, _,
        0.09932402, 0.09273402, 0.3270967, 0.10888247)),
    ("rsna", "kaggle", "RSNA Pneumonia Challenge", (
        _, _, _, _, _, _, _, _, 0.13486601, _, _, _, _, _, _, _, 0.13511065, _)),
    ("mimic_nb", "mimic_nb", "MIMIC-CXR (labelled by NegBio)", (
        0.08558747, 0.011884617, _, 0.0040595434, 0.010733786, _, _, 0.118761964, 0.022924708, _, 0.06358637, _, _, _,
        0.022143636, 0.017476924, 0.1258702, 0.014020768)),
    ("mimic_ch", "mimic_ch", "MIMIC-CXR (labelled by CheXpert's labeller)", (
        0.09121389, 0.010573786, _, 0.005023008, 0.003698257, _, _, 0.08001232, 0.037242252, _, 0.05006329, _, _, _,
        0.019866971, 0.03823637, 0.11303808, 0.0069147074)),
)  # fmt: skip
"""Short name, how its file begins, data, thresholds; those of release 1.5.7, which a test compares."""


def _of_xrv(short: str, file: str, data: str, thresholds: tuple[float | None, ...]) -> Published:
    # An output has a threshold exactly where it has a name.
    labels = tuple("" if t is None else label for label, t in zip(XRV_OUTPUTS, thresholds, strict=True))
    url = f"{_XRV}{file}-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
    return Published(
        f"xrv-densenet121-{short.replace('_', '-')}", "densenet121", url, 28.0, data, XRV_LICENCE, XRV_CITATION,
        labels=labels, thresholds=thresholds,
    )  # fmt: skip


_RESNET50 = Published(
    "xrv-resnet50-all", "resnet50", f"{_XRV}pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt", 94.0,
    "PadChest, NIH, RSNA, SIIM-ACR and VinDr-CXR", XRV_LICENCE, XRV_CITATION, 512, labels=XRV_OUTPUTS,
    thresholds=(
        0.51570356, 0.50444704, 0.53787947, 0.50723547, 0.5025118, 0.5035252, 0.5038076, 0.51862943, 0.5078151,
        0.50724894, 0.5056339, 0.510706, 0.5053923, 0.5020846, _, 0.5080557, 0.5138526, _),
)  # fmt: skip

PUBLISHED: dict[str, Published] = {
    entry.name: entry
    for entry in (
        *(_of_xrv(*row) for row in _XRV_DENSENETS),
        _RESNET50,
        *(_of_imagenet(*row) for row in _IMAGENET),
    )
}


def published(name: str) -> Published:
    """The entry of that name. Raises ConfigurationError with the names there are."""
    if name not in PUBLISHED:
        raise ConfigurationError(
            f"There are no published weights called {name}.", f"Choose one of {', '.join(PUBLISHED)}."
        )
    return PUBLISHED[name]
