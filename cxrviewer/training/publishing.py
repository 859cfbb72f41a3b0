"""A finished run -> a bundle that can serve: calibrated, measured, with a card that says what it is made of."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors

from cxrviewer.classifiers.bundle import pack, save_bundle
from cxrviewer.classifiers.card import ArchitectureCard, Card, InputCard, ScopeCard
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.datasets.splits import Part
from cxrviewer.errors import ConfigurationError
from cxrviewer.training.calibrating import Calibrated, calibrate
from cxrviewer.training.card_facts import (
    ages_of,
    limits_of,
    measured_limits,
    recipe_of,
    software,
    split_proof,
    training_data,
)  # fmt: skip
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.fit import load_state
from cxrviewer.training.material import Material, architecture_of, gather
from cxrviewer.training.measuring import check_network, measure_report, predictions_of
from cxrviewer.training.predictions import PREDICTIONS, write_predictions
from cxrviewer.training.reporter import Tell
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.scope_fit import ScopeRecipe
from cxrviewer.training.scope_stage import ScopeResult, scope_of
from cxrviewer.training.scoring import Scored, score_files

LICENCE = "Apache-2.0; the data sets under training_data ask for acknowledgement"
INTENDED_USE = (
    "Teaching and research on frontal chest radiographs: a second opinion to be checked by a reader. Not a medical "
    "device; not for diagnosis, triage or treatment."
)
SPLIT = "split.csv"


def publish(config: TrainingConfig, run: RunFolder, parent: Path, tell: Tell | None = None) -> Path:
    """Write `parent/<id>/` from the run's last checkpoint, and `metrics.json` into the run. Raises CxrError."""
    tell = tell or _silent
    material = gather(config, run.path / SPLIT)
    network = classifier_of(run.checkpoint, taught(architecture_of(config), material))
    architecture, weights = network.architecture, pack(network)
    serving = serve(weights, architecture, config.id)
    tuned = score_part(serving, material, Part.TUNE, tell, (0.0, 0.2))
    calibrated = _calibrate(serving, material, tuned, config.sensitivity)
    scope = _scope(config, run, material, tell)
    reported = score_part(serving, material, Part.REPORT, tell, (0.5, 0.9))
    metrics = measure_report(material, calibrated.targets, reported)
    write_predictions(predictions_of(material, calibrated.targets, reported), run.path / PREDICTIONS)
    tell(0.9, "checks")
    checks = check_network(serving, material, reported)
    card = Card(
        id=config.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        title=f"{config.backbone}, {config.size} px, {' and '.join(head.value for head, _ in architecture.heads)}",
        architecture=ArchitectureCard.of(architecture),
        input=InputCard(**dataclasses.asdict(architecture.input)),
        targets=calibrated.targets,
        scope=ScopeCard(
            ages=ages_of(material, calibrated),
            thresholds={} if scope is None else {"picture": scope.threshold},
            measured={} if scope is None else scope.measured,
        ),
        intended_use=INTENDED_USE,
        # What was measured comes first: a screen may show the first ones only.
        limits=measured_limits(metrics, checks) + limits_of(material, calibrated),
        training_data=training_data(material, masks=config.mask_weight > 0),
        split=split_proof(run.path / SPLIT, material),
        recipe=recipe_of(config),
        metrics=metrics,
        checks=checks,
        software=software(),
        licence=LICENCE,
    )
    folder = save_bundle(parent, pack(network, {} if scope is None else scope.tensors), card)
    shutil.copyfile(run.path / SPLIT, folder / SPLIT)
    run.write_metrics(metrics)
    tell(1.0, "published")
    return folder


def _scope(config: TrainingConfig, run: RunFolder, material: Material, tell: Tell) -> ScopeResult | None:
    """None where the recipe asks for no picture check: then only the header rules decide."""
    if not config.scope_epochs:
        return None
    # By the split's seed: whatever classifier learnt from these pictures, the same ones are out of scope.
    recipe = ScopeRecipe(epochs=config.scope_epochs, seed=config.split_seed)
    return scope_of(
        run,
        material,
        recipe,
        lambda epoch, _loss: tell(0.2 + 0.3 * epoch / recipe.epochs, "teaching what not to score"),
    )


def _silent(_share: float, _words: str) -> None:
    pass


def taught(architecture: Architecture, material: Material) -> Architecture:
    """The architecture without heads that no training row taught. Raises ConfigurationError where none is left."""
    train = material.targets[material.chosen(Part.TRAIN)]
    heads = tuple(
        (head, labels)
        for head, labels in architecture.heads
        if any(_both(train[:, material.labels.index(label)]) for label in labels)
    )
    if not heads:
        raise ConfigurationError(
            "No label has both positives and negatives in the train part.",
            "Add pictures of the missing class.",
        )
    return dataclasses.replace(architecture, heads=heads, dropout=0.0)


def _both(column: NDArray[np.float32]) -> bool:
    return bool((column == 1).any() and (column == 0).any())


def classifier_of(checkpoint: Path, architecture: Architecture) -> Classifier:
    """The averaged weights of a checkpoint in a network of their own, without what only training needs (`folded`)."""
    network = Classifier(architecture)
    prefix = "classifier."
    state = {
        key.removeprefix(prefix): value
        for key, value in load_state(checkpoint).items()
        if key.startswith(prefix)
    }
    wanted = network.state_dict()
    if not wanted.keys() <= state.keys():
        raise ConfigurationError(
            "The checkpoint holds another network.", "Publish it with its own configuration."
        )
    network.load_state_dict({key: state[key].float() for key in wanted})
    return network.eval().folded()


def serve(weights: bytes, architecture: Architecture, model_id: str) -> ServingClassifier:
    """The network as a bundle will hold it, rounded as it is stored: calibration must fit what serves."""
    network = Classifier(architecture)
    network.load_state_dict(
        {key: value.float() for key, value in load_tensors(weights).items()}, strict=False
    )
    return ServingClassifier(
        network.eval(), model_id=model_id, weights_sha256=hashlib.sha256(weights).hexdigest()
    )


def score_part(
    serving: ServingClassifier, material: Material, part: Part, tell: Tell, span: tuple[float, float]
) -> Scored:
    """All rows of a part through the serving network."""
    paths = [material.picture(int(i)) for i in material.chosen(part)]
    low, high = span
    return score_files(
        serving, paths, lambda share: tell(low + (high - low) * share, f"scoring the {part} part")
    )


def _calibrate(
    serving: ServingClassifier, material: Material, tuned: Scored, sensitivity: float
) -> Calibrated:
    chosen = material.chosen(Part.TUNE)
    columns = [material.labels.index(label) for label in (target.label for target in serving.targets)]
    names = [dataset.name for dataset in material.datasets]
    labels = material.targets[chosen][:, columns]
    return calibrate(serving.targets, tuned.logits, labels, material.source[chosen], names, sensitivity)
