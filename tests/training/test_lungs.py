"""The lung bundle, on made-up pictures of two dark ellipses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.classifiers.lungs import LungModel, LungNet
from cxrviewer.errors import ModelBundleError
from cxrviewer.studies.opening import open_study
from cxrviewer.training.lungs import IGNORED, LungConfig, load_lungs, lung_loss, main, make_bundle
from cxrviewer.training.pictures import read_grey

SIDE = 48


def chest(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    lungs = np.zeros((SIDE, SIDE), bool)
    for middle in (0.3, 0.7):
        wide, high = rng.uniform(0.13, 0.18), rng.uniform(0.25, 0.32)
        lungs |= ((columns - middle) / wide) ** 2 + ((rows - rng.uniform(0.45, 0.55)) / high) ** 2 < 1
    grey = np.where(lungs, 60, 160) + rng.normal(0, 12, lungs.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), lungs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, base = np.random.default_rng(4), tmp_path_factory.mktemp("lungs")
    lines = []
    for person in range(60):
        pixels, lungs = chest(rng)
        image, mask = f"kermany/train/NORMAL/IM-{person:04d}-0001.png", f"masks/{person}.png"
        for path, content in (
            (base / image, pixels),
            (base / mask, np.where(lungs, 255, 0).astype(np.uint8)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
        lines.append((image, "NORMAL", mask, ""))
    with (base / "kermany/manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "mask", "dup_group"), *lines])
    return base / "kermany"


@pytest.fixture(scope="module")
def config(folder: Path) -> LungConfig:
    return LungConfig.model_validate({
        "id": "lungs-test", "source": {"name": "kermany", "root": str(folder), "tune": 0.1, "report": 0.2},
        "size": 32, "epochs": 4, "pictures": 96, "learning_rate": 0.01,
    })  # fmt: skip


@pytest.fixture(scope="module")
def bundle(config: LungConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(config, tmp_path_factory.mktemp("out"), lambda _share, _words: None)


def test_it_finds_the_lungs(bundle: Path) -> None:
    card = open_bundle(bundle).card
    found = card.metrics["report"]["kermany"]
    # A guess of two thirds of the picture, or of nothing, has a Dice below 0.6.
    assert found["dice"] > 0.85
    low, high = found["dice_ci95"]
    assert low <= found["dice"] <= high
    assert found["n_images"] == found["n_patients"] == 12
    assert card.task == "segmentation"
    assert "heart" in card.limits[0]


def test_the_answer_is_on_the_radiographs_grid(bundle: Path, tmp_path: Path) -> None:
    pixels, lungs = chest(np.random.default_rng(99))
    wide = np.repeat(np.repeat(pixels, 2, 0), 3, 1)
    Image.fromarray(wide).save(tmp_path / "a.png")
    radiograph = open_study((tmp_path / "a.png").read_bytes())
    answer = LungModel(open_bundle(bundle)).lungs(radiograph)
    truth = np.repeat(np.repeat(lungs, 2, 0), 3, 1)
    assert answer.shape == radiograph.shape == (96, 144)
    assert answer.dtype == np.float32 and answer.min() >= 0 and answer.max() <= 1
    assert answer[truth].mean() > 0.7 > 0.3 > answer[~truth].mean()


def test_another_kind_of_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    other = opened.card.model_copy(update={"architecture": opened.card.architecture.model_copy(
        update={"backbone": "resnet18"})})  # fmt: skip
    with pytest.raises(ModelBundleError, match="does not segment lungs"):
        LungModel(type(opened)(opened.path, other, opened.tensors))
    lacking = {name: tensor for name, tensor in opened.tensors.items() if "head" not in name}
    with pytest.raises(ModelBundleError, match="lacks or adds"):
        LungModel(type(opened)(opened.path, opened.card, lacking))
    spoilt = opened.tensors | {"head.bias": torch.tensor([float("nan")])}
    with pytest.raises(ModelBundleError, match="not finite"):
        LungModel(type(opened)(opened.path, opened.card, spoilt))


def test_a_device_teaches_nothing(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, :16] = 255
    mask[:8] = 127
    Image.fromarray(mask).save(tmp_path / "m.png")
    assert set(np.unique(read_grey(tmp_path / "m.png") * 255).round()) == {0, 127, 255}
    codes = load_lungs(tmp_path / "m.png", 32)
    assert (codes[:8] == IGNORED).all()
    assert (codes[10:, :15] == 254).all() and (codes[10:, 17:] == 0).all()
    logits = torch.randn(1, 1, 8, 8, requires_grad=True)
    known = torch.zeros(1, 1, 8, 8)
    known[..., 4:] = 1
    lung_loss(logits, torch.ones(1, 1, 8, 8), known).backward()
    assert logits.grad is not None
    assert (logits.grad[..., :4] == 0).all() and (logits.grad[..., 4:] != 0).all()


def test_the_loss_by_hand() -> None:
    """Logits of 0 are 1/2: cross-entropy ln 2; soft Dice (2 * 2 + 1) / (4 + 4 + 1) for half a 4 x 2 picture."""
    lungs = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0]])[None, None]
    loss = lung_loss(torch.zeros(1, 1, 2, 4), lungs, torch.ones(1, 1, 2, 4))
    assert float(loss) == pytest.approx(np.log(2) + 1 - 5 / 9, abs=1e-6)


def test_the_network_is_small_and_takes_its_sizes() -> None:
    network = LungNet()
    assert sum(p.numel() for p in network.parameters()) < 600_000
    assert network(torch.zeros(2, 1, 64, 40)).shape == (2, 1, 64, 40)


def test_the_command(config: LungConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = config.model_copy(update={"epochs": 1, "pictures": 16})
    (tmp_path / "c.json").write_text(quick.model_dump_json(), "utf-8")
    assert main(["--config", str(tmp_path / "c.json"), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out/lungs-test")
    (tmp_path / "c.json").write_text(json.dumps({"id": "x"}), "utf-8")
    assert main(["--config", str(tmp_path / "c.json"), "--out", str(tmp_path / "out")]) == 1
    assert "source: Field required" in capsys.readouterr().err


def test_an_earlier_split_is_kept_to(config: LungConfig, bundle: Path, tmp_path: Path) -> None:
    again = make_bundle(
        config.model_copy(update={"split": str(bundle / "split.csv"), "seed": 7, "epochs": 1, "pictures": 16}),
        tmp_path, lambda _share, _words: None,
    )  # fmt: skip
    assert (again / "split.csv").read_bytes() == (bundle / "split.csv").read_bytes()
