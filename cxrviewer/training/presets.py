"""PRESETS: recipes that repeat published work, and two for a first try on a laptop.

Each says what it repeats, which figures were published for that, on which data, and what differs here. A figure from
another split or another test set is no promise: the report of a run stands beside it, not under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.labels import NIH_14
from cxrviewer.training.config import TrainingConfig, refusal

STILL: Mapping[str, float] = {
    "degrees": 0, "shift": 0, "scale": 0, "aspect": 0, "gamma": 0, "contrast": 0, "noise": 0, "erase": 0
}  # fmt: skip
"""No augmentation: published work mostly mirrors, which is off here because the heart changes sides."""
NO_FLIP = "no horizontal mirroring, which would swap the heart's side"
PNEUMONIA_HEAD = {"name": "pneumonia", "labels": ["pneumonia"]}
IMAGENET = {"normalisation": "imagenet", "channels": 3}


@dataclass(frozen=True)
class Preset:
    """sources: the data sets whose folders are asked for, in this order, each with its part of the recipe.

    recipe: the other values of a TrainingConfig. published: figures with their data; "" where none are known.
    """

    title: str
    repeats: str
    published: str
    differs: str
    sources: tuple[Mapping[str, Any], ...]
    recipe: Mapping[str, Any]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in the order in which their folders are given."""
        return tuple(str(source["name"]) for source in self.sources)

    def config(self, id: str, roots: Sequence[str | Path]) -> TrainingConfig:
        """The recipe for these folders. Raises ConfigurationError."""
        if len(roots) != len(self.sources):
            raise ConfigurationError(
                f"This preset learns from {len(self.sources)} folders ({', '.join(self.datasets)}), and {len(roots)} "
                "are given.",
                "Give one folder for each, in this order.",
            )
        sources = [{**source, "root": str(root)} for source, root in zip(self.sources, roots, strict=True)]
        try:
            return TrainingConfig.model_validate({**self.recipe, "id": id, "sources": sources})
        except ValidationError as exc:
            raise refusal(exc) from exc


def preset(name: str) -> Preset:
    """The preset of that name. Raises NotFoundError with the names there are."""
    if name not in PRESETS:
        raise NotFoundError(f"There is no preset called {name}.", f"Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


_CHEXNET = (
    "Rajpurkar et al., CheXNet, arXiv 1711.05225 (2017), table 2, AUROC on their own test part of ChestX-ray14: "
    "Atelectasis 0.809, Cardiomegaly 0.925, Effusion 0.864, Infiltration 0.735, Mass 0.868, Nodule 0.780, "
    "Pneumonia 0.768, Pneumothorax 0.889, Consolidation 0.790, Edema 0.888, Emphysema 0.937, Fibrosis 0.805, "
    "Pleural Thickening 0.806, Hernia 0.916"
)

PRESETS: dict[str, Preset] = {
    "quick-kermany": Preset(
        "A first run: the small CNN at 96 px on Kermany's pictures, minutes on a laptop",
        "nothing; it shows what a run is",
        "",
        "everything that makes a model good is left out for speed",
        ({"name": "kermany", "draws": 1500, "tune": 0.1, "report": 0.1},),
        {
            "heads": [PNEUMONIA_HEAD], "backbone": "small-cnn", "stages": [{"size": 96, "epochs": 3}],
            "preparation": {"normalisation": "zero-one"}, "dropout": 0.2, "ema_decay": 0.0,
            "augmentation": {**STILL, "degrees": 8, "shift": 0.05}, "scope_epochs": 2,
        },
    ),
    "quick-nih": Preset(
        "A first run with many labels: DenseNet-121 at 96 px on a small part of ChestX-ray14",
        "nothing; it shows what a run is",
        "",
        "a thousand pictures at 96 px teach little: expect AUROCs near 0.6",
        ({"name": "nih", "draws": 800, "tune": 0.15, "report": 0.15},),
        {
            "heads": [{"name": "findings", "labels": "nih-14"}], "stages": [{"size": 96, "epochs": 3}],
            "ema_decay": 0.95, "scope_epochs": 2,
        },
    ),
    "nih-densenet121-320": Preset(
        "The weighted DenseNet-121 at 320 px on ChestX-ray14",
        "CheXNet's network and schedule (Rajpurkar et al., arXiv 1711.05225) with the loss weighted for each label by "
        "its class frequencies (Wang et al., CVPR 2017), at 320 px as it is often taught",
        _CHEXNET,
        f"320 px instead of 224; other patients in the parts, since those with a box or an expert's label are reported "
        f"on; {NO_FLIP}",
        ({"name": "nih", "tune": 0.1, "report": 0.2},),
        {
            "heads": [{"name": "findings", "labels": "nih-14"}], "backbone": "densenet121", "pretrained": True,
            "stages": [{"size": 320, "epochs": 10}], "preparation": IMAGENET, "batch_size": 16,
            "loss": {"kind": "weighted-bce"}, "learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 0.02,
            "optimisation": {"optimizer": "adam", "schedule": "plateau", "patience": 1, "keep": "best"},
            "dropout": 0.0, "ema_decay": 0.0, "augmentation": STILL,
        },
    ),
    "kermany-resnet152-two-phases": Preset(
        "The two-phase ResNet152V2 on Kermany's pictures, with ResNet-152 in its place",
        "public Keras notebooks on these pictures: pooling, 128 units, dropout 0.1 and a sigmoid on a frozen "
        "ResNet152V2, whose last part is then trained at a small rate",
        "A frozen ResNet152V2 on these pictures: accuracy 0.832, precision 0.799, recall 0.977 (Scientific Reports "
        "2025, doi 10.1038/s41598-025-24180-8). Kermany et al., Cell 2018, Inception-v3: accuracy 0.928, "
        "sensitivity 0.932, specificity 0.901, AUROC 0.968. Both on the owner's test part",
        "nobody publishes ImageNet weights of ResNetV2-152 for timm, so ResNet-152 takes its place: the same depth, "
        "with the activations in the older order; parts by person instead of the owner's, whose validation part has 16 "
        f"pictures; {NO_FLIP}",
        ({"name": "kermany", "tune": 0.1, "report": 0.12},),
        {
            "heads": [PNEUMONIA_HEAD | {"stack": "dense-128"}], "backbone": "resnet152", "pretrained": True,
            "stages": [
                {"size": 224, "epochs": 5, "trains": "heads", "learning_rate": 1e-3},
                {"size": 224, "epochs": 5, "trains": "last", "layers": 1, "learning_rate": 1e-5},
            ],
            "preparation": IMAGENET, "loss": {"kind": "bce"}, "weight_decay": 0.0, "dropout": 0.0, "ema_decay": 0.0,
            "optimisation": {"optimizer": "adam", "schedule": "constant", "keep": "best"},
            "augmentation": {**STILL, "degrees": 10, "shift": 0.1, "scale": 0.2},
        },
    ),
    "kermany-small-cnn": Preset(
        "The small CNN on Kermany's pictures",
        "three convolutions of 32, 64 and 64 maps and 64 dense units, from random weights: Keras' network for little "
        "data (F. Chollet, 2016) as public notebooks repeat it on these pictures",
        "Kermany et al., Cell 2018, with Inception-v3 on the owner's test part: accuracy 0.928, AUROC 0.968. Of the "
        "small network no figure by person is known",
        f"parts by person instead of the owner's, whose validation part has 16 pictures; {NO_FLIP}",
        ({"name": "kermany", "tune": 0.1, "report": 0.12},),
        {
            "heads": [PNEUMONIA_HEAD], "backbone": "small-cnn", "stages": [{"size": 150, "epochs": 15}],
            "preparation": {"normalisation": "zero-one"}, "loss": {"kind": "bce"}, "weight_decay": 0.0,
            "optimisation": {"optimizer": "adam", "schedule": "plateau", "keep": "best", "stop_after": 6},
            "dropout": 0.5, "ema_decay": 0.0, "augmentation": {**STILL, "degrees": 10, "shift": 0.1, "scale": 0.1},
        },
    ),
    "nih-tfrecord-inception": Preset(
        "The Inception-v3 stack with 15 outputs on ChestX-ray14's TFRecords",
        "public notebooks on the TFRecord edition: Inception-v3 with layers of 512, 128 and 32 units, and 15 sigmoid "
        "outputs, the 14 findings and No Finding",
        f"None by patient that we know of. Of another network on the same pictures: {_CHEXNET}",
        "patients kept apart, which a split by shard does not do; two phases; the loss weighted by class frequencies; "
        f"{NO_FLIP}",
        ({"name": "nih-tfrecord", "tune": 0.1, "report": 0.2},),
        {
            "heads": [
                {"name": "findings", "labels": [*NIH_14, "No Finding"], "stack": "dense-512-128-32"},
            ],
            "backbone": "inception-v3", "pretrained": True,
            "stages": [
                {"size": 299, "epochs": 2, "trains": "heads", "learning_rate": 1e-3},
                {"size": 299, "epochs": 6, "trains": "all", "learning_rate": 1e-4},
            ],
            "preparation": {"normalisation": "minus-one-one", "channels": 3}, "weight_decay": 0.0, "dropout": 0.0,
            "optimisation": {"optimizer": "adam", "schedule": "plateau", "patience": 1, "keep": "best"},
            "ema_decay": 0.0, "augmentation": STILL,
        },
    ),
    "chexpert-densenet121": Preset(
        "DenseNet-121 from random weights on CheXpert, with Adam",
        "Irvin et al., CheXpert, AAAI 2019: 320 px, batches of 16, Adam at 1e-4, three epochs, uncertain labels as "
        "positive (U-Ones)",
        "Irvin et al., AUROC on the owner's 500 test studies, with the best policy for each label and the mean of many "
        "checkpoints: Atelectasis 0.85, Cardiomegaly 0.90, Consolidation 0.90, Edema 0.92, Pleural Effusion 0.97",
        "random weights; frontal pictures alone, since this program reads no others; one checkpoint and "
        "one policy; the test studies are not published, so the owner's validation part is reported on",
        (
            {
                "name": "chexpert", "split": "official", "tune": 0.02,
                "options": {"uncertain": "ones", "blank": "negative", "views": "frontal"},
            },
        ),
        {
            "heads": [{"name": "findings", "labels": "chexpert-14"}], "backbone": "densenet121",
            "stages": [{"size": 320, "epochs": 3}], "batch_size": 16, "loss": {"kind": "bce"},
            "learning_rate": 1e-4, "weight_decay": 0.0, "warmup": 0.01, "dropout": 0.0, "ema_decay": 0.0,
            "optimisation": {"optimizer": "adam", "schedule": "constant", "keep": "best"}, "augmentation": STILL,
        },
    ),
    "siim-pneumothorax": Preset(
        "Pneumothorax or not on SIIM-ACR, then asked about CheXpert",
        "a classifier learnt on one hospital's pictures and reported on another's",
        "Not for this pair. The other way round, from ChestX-ray14 and CheXpert to six other hospitals: AUROC 0.91 to "
        "0.98 (Thian et al., Radiology: Artificial Intelligence 2021, doi 10.1148/ryai.2021200190). Pneumothorax of "
        "CheXNet on ChestX-ray14: 0.889 (Rajpurkar et al. 2017)",
        "CheXpert teaches nothing here: all of it is reported on, with unmentioned as absent and uncertain left out. "
        f"SIIM-ACR's pictures are of ChestX-ray14, with labels drawn by readers; {NO_FLIP}",
        (
            {"name": "siim", "tune": 0.1, "report": 0.1},
            {
                "name": "chexpert", "tune": 0.0, "report": 1.0,
                "options": {"uncertain": "ignore", "blank": "negative", "views": "frontal"},
            },
        ),
        {
            "heads": [{"name": "findings", "labels": ["Pneumothorax"]}], "backbone": "densenet121",
            "pretrained": True, "preparation": IMAGENET, "stages": [{"size": 224, "epochs": 8}],
            "learning_rate": 3e-4, "optimisation": {"keep": "best"}, "ema_decay": 0.0,
        },
    ),
}  # fmt: skip
