"""RULES: which values of a recipe do not go together. Each gives (field, sentence) pairs, one for each fault.

The recipe's own types say what a single value may be. Here stands what only two of them together make wrong, so that
a file, the command line and the page refuse it in the same words, before a picture is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from cxrviewer.classifiers.backbones import backbone
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import VOCABULARIES

if TYPE_CHECKING:
    from cxrviewer.training.config import HeadChoice, TrainingConfig

Fault = tuple[str, str]

MASK_CELLS = 16
"""Pixels to a side of the cells that lung masks are learnt on, in every backbone."""


SOFT = ("weighted-bce", "bce", "cross-entropy")
"""Losses whose targets may lie between 0 and 1."""


def faults(config: TrainingConfig) -> tuple[Fault, ...]:
    """Everything that is wrong with a recipe, in the order of its fields."""
    return tuple(fault for rule in RULES for fault in rule(config))


def labels_of(head: HeadChoice) -> tuple[str, ...]:
    """The labels of a head, its vocabulary spelt out; none where that is unknown."""
    return VOCABULARIES.get(head.labels, ()) if isinstance(head.labels, str) else head.labels


def _twice(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if names.count(name) > 1))


def _sources(config: TrainingConfig) -> Iterator[Fault]:
    for index, source in enumerate(config.sources):
        where = f"sources.{index}"
        if source.folds and (source.folds < 3 or source.fold >= source.folds):
            yield (
                f"{where}.folds",
                f"there is no fold {source.fold} of {source.folds}; take three or more, from 0",
            )
        if source.tune + source.report > 1 and _by_fractions(config, index):
            yield f"{where}.tune", "tune and report together are more than the whole"
    if all(_by_fractions(config, i) and s.tune + s.report >= 1 for i, s in enumerate(config.sources)):
        yield "sources", "tune and report leave no picture to train on; make them smaller for one source"
    if again := _twice([f"{source.name} in {source.root}" for source in config.sources]):
        yield "sources", f"{again} stands twice; use draws to see a set more often"


def _by_fractions(config: TrainingConfig, index: int) -> bool:
    source = config.sources[index]
    return not source.folds and source.split != "official"


def has_tune(config: TrainingConfig) -> bool:
    """May any source have a tune part? Owners' own parts are known only when they are read."""
    return any(source.tune > 0 or not _by_fractions(config, i) for i, source in enumerate(config.sources))


def _heads(config: TrainingConfig) -> Iterator[Fault]:
    if not config.heads:
        yield "heads", "a network without a head answers nothing; name one"
    if again := _twice([head.name for head in config.heads]):
        yield "heads", f"the {again} head stands twice; put its labels into one"
    for index, head in enumerate(config.heads):
        where = f"heads.{index}"
        if isinstance(head.labels, str) and head.labels not in VOCABULARIES:
            yield (
                f"{where}.labels",
                f"there is no vocabulary called {head.labels}; choose one of {', '.join(VOCABULARIES)}, or list labels",
            )
        elif not head.labels:
            yield f"{where}.labels", "a head without labels answers nothing; name one label or more"
        if again := _twice(labels_of(head)):
            yield f"{where}.labels", f"{again} stands twice"
        if head.output == "softmax" and len(labels_of(head)) > 1:
            yield (
                f"{where}.output",
                f"a softmax chooses between two classes, and this head has {len(labels_of(head))} labels that may be "
                "true together; use sigmoid",
            )
    if again := _twice(config.auxiliary):
        yield "auxiliary", f"{again} stands twice"
    both = [label for label in config.auxiliary if any(label in labels_of(head) for head in config.heads)]
    if both:
        yield "auxiliary", f"{', '.join(both)} is a head's label already; it is learnt once"


def _backbone(config: TrainingConfig) -> Iterator[Fault]:
    try:
        entry = backbone(config.backbone, config.backbone_options)
    except ConfigurationError as exc:
        yield "backbone_options" if config.backbone_options else "backbone", _words(exc)
        return
    sizes = {f"stages.{i}.size": stage.size for i, stage in enumerate(config.stages)}
    if config.serve_size:
        sizes["serve_size"] = config.serve_size
    for where, size in sizes.items():
        try:
            entry.check_size(size)
        except ConfigurationError as exc:
            yield where, _words(exc)
    if entry.one_size and len(set(sizes.values())) > 1:
        yield "stages", f"{entry.title} is built for one picture size; give every stage the same"
    if config.pretrained and entry.weights is None:
        yield "pretrained", f"{entry.title} has no published weights. {entry.substitute}".rstrip(".")
    if config.pretrained and config.start:
        yield "pretrained", "the weights of start would replace the published ones; choose one of the two"


def _stages(config: TrainingConfig) -> Iterator[Fault]:
    if not config.stages:
        yield "stages", "a run needs a stage of one epoch or more"
    for index, stage in enumerate(config.stages):
        if stage.trains != "last" and stage.layers != 1:
            yield (
                f"stages.{index}.layers",
                f'layers counts with "trains": "last", and this stage says {stage.trains}',
            )
        if config.mask_weight > 0 and stage.size % MASK_CELLS:
            yield (
                f"stages.{index}.size",
                f"lung masks are learnt in cells of {MASK_CELLS} pixels, so with mask_weight the size has to be a "
                f"multiple of {MASK_CELLS}; {stage.size} is none",
            )
    random = not config.pretrained and not config.start
    if config.stages and random and all(stage.trains == "heads" for stage in config.stages):
        yield (
            "stages",
            "the backbone begins with random weights and no stage trains it; start from weights, or train all",
        )


def smallest_batch(config: TrainingConfig) -> int:
    """Pictures that a batch must have: a head's batch norms see one number a picture, and need two to compare."""
    return 2 if any(head.stack == "dense-512-128-32" for head in config.heads) else 1


def _loss(config: TrainingConfig) -> Iterator[Fault]:
    if config.loss.kind == "cross-entropy" and all(head.output != "softmax" for head in config.heads):
        yield (
            "loss.kind",
            'cross-entropy is for two classes under a softmax; give a head "output": "softmax", or use bce',
        )
    if config.distillation.teachers and config.loss.kind not in SOFT:
        yield (
            "distillation.teachers",
            f"teachers give probabilities, which {config.loss.kind} is not made for; use {' or '.join(SOFT)}",
        )
    if again := _twice(config.distillation.teachers):
        yield "distillation.teachers", f"{again} stands twice"
    if config.batch_size < smallest_batch(config):
        yield "batch_size", "the dense-512-128-32 stack has batch norms, which need two pictures or more"


def _averages(config: TrainingConfig) -> Iterator[Fault]:
    how, tune = config.optimisation, has_tune(config)
    if how.stop_after and not tune:
        yield (
            "optimisation.stop_after",
            "without a tune part nothing tells when to stop; set tune of a source above 0",
        )
    if how.schedule == "plateau" and not tune:
        yield (
            "optimisation.schedule",
            "plateau goes by the tune part, and there is none; set tune of a source above 0",
        )
    if how.keep == "best" and not tune:
        yield (
            "optimisation.keep",
            "without a tune part no epoch is best; set tune of a source above 0, or keep last",
        )
    if config.swa_epochs > config.epochs:
        yield (
            "swa_epochs",
            f"the last {config.swa_epochs} of {config.epochs} epochs are asked for; choose fewer",
        )
    if config.swa_epochs and how.stop_after:
        yield (
            "swa_epochs",
            "the last epochs are averaged, and stop_after leaves open which those are; choose one of the two",
        )
    if config.swa_epochs and how.keep == "best":
        yield (
            "swa_epochs",
            "the average of the last epochs is one of several ways to choose weights, best is another; keep last",
        )


def _words(exc: ConfigurationError) -> str:
    """An error's sentences as part of another one."""
    return f"{exc.message} {exc.remedy}".rstrip(".")


RULES: tuple[Callable[[TrainingConfig], Iterator[Fault]], ...] = (
    _sources, _heads, _backbone, _stages, _loss, _averages,
)  # fmt: skip
