"""Train the lung-segmentation bundle: `python -m cxrviewer.training.lungs --config FILE --out FOLDER`.

It learns from the lung masks of the paediatric set alone. Other sets draw lungs otherwise (without the heart's
shadow), and definitions must not be mixed.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from safetensors.torch import save as save_tensors
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrviewer.classifiers.bundle import save_bundle
from cxrviewer.classifiers.card import ArchitectureCard, Card, InputCard
from cxrviewer.classifiers.lungs import ARCHITECTURE, LungNet
from cxrviewer.classifiers.preparing import InputSpec, reduce, standardise
from cxrviewer.datasets import Member
from cxrviewer.datasets.splits import Part, write_split
from cxrviewer.errors import ConfigurationError, CxrError
from cxrviewer.evaluation.overlap import dice, mean_interval
from cxrviewer.training.augmentation import draw, move, shade
from cxrviewer.training.card_facts import software, split_proof, training_data
from cxrviewer.training.config import Augmentation, Source, TrainingConfig, read_as
from cxrviewer.training.material import Material, gather
from cxrviewer.training.pictures import MASK_LUNG, load_all, read_grey
from cxrviewer.training.publishing import LICENCE, SPLIT
from cxrviewer.training.reporter import Tell

MASK_DEVICE = 127
IGNORED = 255
"""In memory: 0..254 is the share of lung in a pixel, 255 a pixel that says nothing."""

DEFINITION = (
    "A pixel is lung where the masks learnt from say so: both lung fields, the left one drawn over most of the heart's "
    "shadow. Where a mask marks a device, nothing was learnt."
)
INTENDED_USE = (
    "Teaching and research: where the lungs lie on a frontal chest radiograph, for checks of explanations. "
    "Not a medical device; no volume or area may be read from it."
)


class LungConfig(BaseModel):
    """A recipe. `split`: an earlier `split.csv` to keep to, so that no report picture of another bundle is learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    source: Source
    split: str = ""
    size: int = Field(default=128, ge=32, le=256, multiple_of=8)
    epochs: int = Field(default=5, ge=1)
    pictures: int = Field(default=3000, ge=16)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    augmentation: Augmentation = Augmentation(degrees=15, shift=0.1, scale=0.2, aspect=0.15, contrast=0.4)
    seed: int = Field(default=1, ge=0)


@dataclass(frozen=True, eq=False)
class Masked:
    """Pictures with lung masks. pixels: uint8 (N, S, S); lungs: uint8 (N, S, S), see IGNORED; patients: (N,)."""

    pixels: NDArray[np.uint8]
    lungs: NDArray[np.uint8]
    patients: tuple[str, ...]


def load_lungs(path: Path | Member, size: int) -> NDArray[np.uint8]:
    """A mask file -> (size, size) uint8: the share of lung in 254ths, IGNORED where any of it is a device."""
    values = np.rint(read_grey(path) * 255)
    lung = reduce((values == MASK_LUNG).astype(np.float32), size)
    device = reduce((values == MASK_DEVICE).astype(np.float32), size)
    return np.where(device > 0.01, IGNORED, np.rint(lung * 254)).astype(np.uint8)


def load_masked(material: Material, part: Part, size: int) -> Masked:
    """The pictures of a part that have a mask."""
    rows = [int(i) for i in material.chosen(part) if material.mask(int(i)) is not None]
    return Masked(
        load_all([material.picture(i) for i in rows], size),
        load_all([material.mask(i) for i in rows], size, load_lungs),
        tuple(material.rows[i].patient for i in rows),
    )


def train_lungs(train: Masked, config: LungConfig, tell: Tell) -> LungNet:
    """AdamW on one cycle. The same recipe on the same data gives the same network on a CPU."""
    torch.manual_seed(config.seed)
    network = LungNet()
    steps = config.epochs * (config.pictures // config.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps + 1)
    for step in range(steps):
        chosen = np.random.default_rng((config.seed, step)).integers(
            len(train.pixels), size=config.batch_size
        )
        pictures, lungs, known = _batch(train, chosen, draw(config.seed, step, chosen), config.augmentation)
        loss = lung_loss(network(pictures), lungs, known)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        tell((step + 1) / steps, f"step {step + 1} of {steps}, loss {float(loss.detach()):.3f}")
    return network.eval()


def _batch(
    masked: Masked, chosen: NDArray[np.int64], numbers: NDArray[np.float32], how: Augmentation
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, 1, S, S) each: pictures, the share of lung, and what is known. What moves in from outside is unknown."""
    codes = masked.lungs[chosen]
    planes = [masked.pixels[chosen] / np.float32(255), np.where(codes == IGNORED, 0, codes) / np.float32(254)]
    stacked = torch.from_numpy(np.stack([*planes, codes != IGNORED], 1).astype(np.float32))
    moved = move(stacked, numbers, how)
    pictures = standardise(shade(moved[:, :1], numbers, how))
    return pictures, moved[:, 1:2], (moved[:, 2:] > 0.99).float()


def lung_loss(logits: torch.Tensor, lungs: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus one minus the soft Dice coefficient, both over what is known; all (B, 1, S, S)."""
    entropy = binary_cross_entropy_with_logits(
        logits, lungs, weight=known, reduction="sum"
    ) / known.sum().clamp_min(1)
    guess, truth = logits.sigmoid() * known, lungs * known
    overlap = (2 * (guess * truth).sum((1, 2, 3)) + 1) / (guess.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
    return entropy + 1 - overlap.mean()


def segment(network: LungNet, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S) uint8 -> (N, S, S) float32 in [0, 1]."""
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(pixels)[:, None], 32)
        answers = [network(standardise(part.float() / 255)).sigmoid()[:, 0] for part in parts]
    return np.asarray(torch.cat(answers).numpy(), np.float32)


def measure_lungs(network: LungNet, masked: Masked) -> dict[str, JsonValue]:
    """Dice over the pictures of a part, at 0.5, ignoring devices; the interval is over patients."""
    guess = segment(network, masked.pixels) >= 0.5
    values = dice(guess, masked.lungs > 127, masked.lungs != IGNORED)
    ends = mean_interval(values, masked.patients)
    return {
        "dice": round(float(values.mean()), 4),
        "dice_ci95": None if ends is None else [round(end, 4) for end in ends.as_list()],
        "dice_5th_percentile": round(float(np.quantile(values, 0.05)), 4),
        "n_images": len(values),
        "n_patients": len(set(masked.patients)),
    }


def make_bundle(config: LungConfig, out: Path, tell: Tell) -> Path:
    """Read, split, train, measure, write `out/<id>/` with its `split.csv`. Raises CxrError."""
    like_a_run = TrainingConfig(id=config.id, sources=(config.source,), seed=config.seed)
    material = gather(like_a_run, Path(config.split) if config.split else None)
    parts = {part: load_masked(material, part, config.size) for part in (Part.TRAIN, Part.REPORT)}
    if any(not len(masked.pixels) for masked in parts.values()):
        raise ConfigurationError(
            "The train or the report part has no lung mask.", "Point at a folder with masks."
        )
    network = train_lungs(parts[Part.TRAIN], config, tell).half().float()
    weights = save_tensors(
        {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    )
    with TemporaryDirectory() as folder:
        split = Path(folder) / SPLIT
        write_split(material.split, split)
        card = lung_card(config, material, split, measure_lungs(network, parts[Part.REPORT]))
        bundle = save_bundle(out, bytes(weights), card)
        shutil.copyfile(split, bundle / SPLIT)
    return bundle


def lung_card(config: LungConfig, material: Material, split: Path, measured: dict[str, JsonValue]) -> Card:
    """What the bundle is, what its masks mean, and how it fared."""
    dataset, spec = material.datasets[0], InputSpec(config.size)
    ages = "" if dataset.ages is None else f", of patients aged {dataset.ages[0]:g} to {dataset.ages[1]:g}"
    public = config.model_copy(update={"source": config.source.model_copy(update={"root": ""}), "split": ""})
    return Card(
        id=config.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task="segmentation",
        title=f"Lungs, {config.size} px",
        architecture=ArchitectureCard(backbone=ARCHITECTURE, heads={}, dropout=0.0),
        input=InputCard(**dataclasses.asdict(spec)),
        intended_use=INTENDED_USE,
        limits=(DEFINITION, f"Learnt and measured on {dataset.name} alone{ages}."),
        training_data=training_data(material, masks=True),
        split=split_proof(split, material),
        recipe=public.model_dump(mode="json"),
        metrics={"report": {dataset.name: measured}},
        software=software(),
        licence=LICENCE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Progress goes to stderr, the bundle's folder to stdout; 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m cxrviewer.training.lungs", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a recipe, see docs/recipes/lungs.json")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder that the bundle's folder goes into"
    )
    given = parser.parse_args(arguments)
    try:
        folder = make_bundle(read_as(LungConfig, given.config), given.out, _tell)
    except CxrError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


def _tell(share: float, words: str) -> None:
    sys.stderr.write(f"\r{share:4.0%} {words}" + ("\n" if share >= 1 else ""))
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
