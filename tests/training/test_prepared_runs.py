"""A whole run whose pictures are prepared in another way: what it learnt from is what its bundle serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.references import HISTOGRAM
from cxrviewer.datasets.splits import Part
from cxrviewer.studies.opening import open_path
from cxrviewer.training.config import Preparation, Stage, TrainingConfig
from cxrviewer.training.feeder import Ahead, Feeder
from cxrviewer.training.fit import fit
from cxrviewer.training.material import gather
from cxrviewer.training.pictures import Batch, EpochBatches, RawBatch, read_grey
from cxrviewer.training.publishing import publish
from cxrviewer.training.readiness import make_ready
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]
ASKED = Preparation(
    shape="crop", harmonise="histogram", lungs="crop", normalisation="minus-one-one", channels=3
)


def test_a_run_publishes_how_its_pictures_were_prepared(tiny_config: Build, tmp_path: Path) -> None:
    config = tiny_config(stages=(Stage(size=32, epochs=1),), preparation=ASKED, scope_epochs=0)
    run = RunFolder(tmp_path / "run")
    fit(config, run)
    bundle = open_bundle(publish(config, run, tmp_path / "bundle"))
    spec = bundle.card.input.spec()
    assert (spec.size, spec.channels, spec.resize, spec.lungs) == (32, 3, "crop", "crop")
    assert spec.harmonise == "histogram" and spec.reference == HISTOGRAM
    assert spec.lungs_model.startswith("lungs-unet-1@")
    model = ServingModel(bundle, engine="torch", device="cpu")
    material = gather(config, run.path / "split.csv")
    path = material.picture(int(material.chosen(Part.TRAIN)[0]))
    assert isinstance(path, Path)
    film = open_path(path)
    answer, output = model.predict_with_output(film)
    assert output is None and not answer.scope.in_scope  # 40 px are too few to score
    served = model.serving.preparer.film(film).square
    ready = make_ready(config, material, run.path, lambda _: None, lambda: None)
    learnt = ready.parts[Part.TRAIN, 32].pixels[np.array([0])][0]
    assert np.abs(served * 255 - learnt).max() <= 0.51
    np.testing.assert_allclose(model.serving.preparer.picture(read_grey(path)).square, served, atol=1e-5)


def test_an_epoch_at_a_larger_size_has_its_own_pictures(tiny_config: Build, tmp_path: Path) -> None:
    config = tiny_config(stages=(Stage(size=32, epochs=1), Stage(size=48, epochs=1)))
    ready = make_ready(config, gather(config), tmp_path, lambda _: None, lambda: None)
    feeder = Feeder(config, ready)
    first = next(iter(feeder.train_dataloader()))
    assert isinstance(first, Batch) and first.pictures.shape == (8, 1, 32, 32)
    feeder._epoch = lambda: 1  # type: ignore[method-assign]
    assert next(iter(feeder.val_dataloader())).pictures.shape == (16, 1, 48, 48)


def batches_of(config: TrainingConfig, folder: Path) -> EpochBatches:
    made = Feeder(
        config, make_ready(config, gather(config), folder, lambda _: None, lambda: None)
    ).train_dataloader()
    assert isinstance(made, EpochBatches)
    return made


def test_read_ahead_the_batches_are_the_same_bits_in_the_same_order(
    tiny_config: Build, tmp_path: Path
) -> None:
    batches = batches_of(tiny_config(), tmp_path)
    ahead = [batch.finished() for batch in Ahead(batches)]
    assert len(ahead) == len(batches) == len(list(batches))
    for one, other in zip(ahead, batches, strict=True):
        assert torch.equal(one.pictures, other.pictures)
        assert torch.equal(one.targets.nan_to_num(-1), other.targets.nan_to_num(-1))


def test_a_batch_is_known_by_its_number_alone(tiny_config: Build, tmp_path: Path) -> None:
    """What a resumed run goes by: it skips to a number, and gets what an unbroken one got there."""
    batches = batches_of(tiny_config(), tmp_path)
    unbroken = list(batches)
    assert torch.equal(batches.raw(3).finished().pictures, unbroken[3].pictures)


def test_whoever_stops_early_leaves_no_thread_behind(tiny_config: Build, tmp_path: Path) -> None:
    import threading

    before = threading.active_count()
    dealt = iter(Ahead(batches_of(tiny_config(batch_size=2), tmp_path)))
    assert isinstance(next(dealt), RawBatch)
    dealt.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_goes_wrong_in_the_thread_is_raised_in_the_run(tiny_config: Build, tmp_path: Path) -> None:
    batches = batches_of(tiny_config(), tmp_path)

    def broken(number: int) -> RawBatch:
        raise OSError(f"batch {number} cannot be read")

    batches.raw = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="batch 0"):
        list(Ahead(batches))
