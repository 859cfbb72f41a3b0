"""What the explanation benchmarks share: a network, pictures, and a clock that alternates between two rivals."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.classifiers.registry import list_models
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.studies.phantoms import make_phantom
from cxrviewer.studies.radiograph import Metadata, Radiograph

RANDOM = "random weights: speed only"


@dataclass(frozen=True, eq=False)
class Rivals:
    """The same weights twice: behind the door, and as a plain eager network the way anybody loads one."""

    served: ServingClassifier
    plain: Classifier
    weights: str


def arguments(description: str | None, pictures: int) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pictures", type=int, default=pictures)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help="id of a bundle; the first shipped one where none is named")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of a training run instead of a bundle")
    parser.add_argument("--size", type=int, default=224, help="side of the picture, with --checkpoint")
    parser.add_argument("--target", type=int, default=0, help="position of the target in the output order")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    return parser


def rivals(options: argparse.Namespace) -> Rivals:
    """The bundle or the checkpoint asked for, else a shipped bundle, else random weights."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    bundles = [info for info in list_models() if not info.problem and options.model in (None, info.id)]
    if options.checkpoint is not None:
        # Only tensors and primitives are read: a checkpoint is never trusted with code.
        state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        own = {
            name.removeprefix("classifier."): value
            for name, value in state.items()
            if name[:11] == "classifier."
        }
        architecture, weights = (
            Architecture(input=InputSpec(options.size)),
            f"checkpoint at {options.size} px",
        )
    elif bundles:
        own, weights = None, bundles[0].id
    else:
        own, architecture, weights = Classifier(Architecture()).state_dict(), Architecture(), RANDOM

    def build() -> Classifier:
        if own is None:
            return open_bundle(bundles[0].path).classifier().eval()
        network = Classifier(architecture).eval()
        network.load_state_dict(own)
        return network

    plain = _with_published_code(build()).requires_grad_(True)
    return Rivals(ServingClassifier(build(), model_id="bench", weights_sha256="0" * 64), plain, weights)


def _with_published_code(network: Classifier) -> Classifier:
    """The same weights in torchvision's own DenseNet-121, which a plain user would take; any other network as it is."""
    if network.architecture.backbone != "densenet121":
        return network
    import torchvision

    features = torchvision.models.densenet121(weights=None).features
    features.conv0 = torch.nn.Conv2d(network.architecture.input.channels, 64, 7, 2, 3, bias=False)
    features.load_state_dict(network.backbone.state_dict())
    features.add_module("relu5", torch.nn.ReLU())
    network.backbone = features
    return network.eval()


def pictures(count: int) -> tuple[list[Radiograph], str]:
    """Real radiographs of three sources in turn where they are at hand, else phantoms; and which of the two."""
    data = Path(os.environ.get("CXR_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    folders = [data / "kermany/train/PNEUMONIA", data / "kermany/train/NORMAL", data / "nih/images"]
    if not all(folder.is_dir() for folder in folders):
        return [_film(make_phantom(seed, size=512).pixels, seed) for seed in range(count)], "phantoms"
    found = [sorted(folder.iterdir()) for folder in folders]
    # Evenly through each folder, so that no one patient or hospital fills the sample.
    chosen = [found[i % 3][(i // 3 * len(found[i % 3])) // (count // 3 + 1) + 11] for i in range(count)]
    return [
        _film(np.asarray(Image.open(path).convert("L")), i) for i, path in enumerate(chosen)
    ], "real radiographs"


def _film(pixels: Any, number: int) -> Radiograph:
    return Radiograph(np.array(pixels, np.float32), f"{number:064d}", Metadata("PNG"))


@dataclass(frozen=True)
class Timed:
    """One call: its answer, seconds on the wall, seconds of this process on all cores."""

    answer: Any
    wall: float
    cpu: float


def timed(call: Callable[[], Any]) -> Timed:
    """Run once and look at both clocks."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    return Timed(answer, time.perf_counter() - wall, time.process_time() - cpu)


def ratio(slow: Sequence[Timed], fast: Sequence[Timed]) -> dict[str, float]:
    """Medians of both and of the ratios of neighbours, on both clocks."""
    figures = {}
    for clock in ("wall", "cpu"):
        old, new = (np.array([getattr(one, clock) for one in runs]) for runs in (slow, fast))
        figures |= {
            f"{clock}_plain_s": float(np.median(old)),
            f"{clock}_ours_s": float(np.median(new)),
            f"{clock}_ratio": float(np.median(old / new)),
        }
    return figures


def report(name: str, figures: dict[str, Any], out: Path | None) -> None:
    """To the terminal, and to a file where one is named."""
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
    text = json.dumps({"benchmark": name, **shown}, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
