"""A finished run's folder, made up: figures by the program's own measuring, on random scores."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from support.small_models import save_small, small_card

from cxrviewer.classifiers.card import TrainingData
from cxrviewer.datasets.splits import Part
from cxrviewer.evaluation.measuring import Task, measure
from cxrviewer.evaluation.subgroups import subgroups
from cxrviewer.training.config import Source, Stage, TrainingConfig
from cxrviewer.training.material import gather
from cxrviewer.training.measuring import plain_json, rounded
from cxrviewer.training.predictions import Predictions, write_predictions
from cxrviewer.training.run_folder import RunFolder

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;$x^2$</para><b>"
"""What a file might call something: markup for a page, for ReportLab, for a formula."""


def measured(names: tuple[str, ...], rows: int = 120, seed: int = 0) -> dict[str, Any]:
    """One data set's entry in metrics.json: every second picture is ill, half of the people are women."""
    rng = np.random.default_rng(seed)
    labels = np.tile([1.0, 0.0], rows // 2)[:, None].repeat(len(names), 1).astype(np.float32)
    chances = np.clip(labels * 0.3 + rng.random((rows, len(names))) * 0.7, 0, 1)
    tasks = [Task(name, 0.5) for name in names]
    people = [f"p{n}" for n in range(rows)]
    sexes = [("F", "F", "M", "M")[n % 4] for n in range(rows)]
    groups = subgroups(labels, chances, tasks, people, {"sex": sexes})
    part = measure(labels, chances, tasks, people)
    return plain_json(part, labels, chances, tasks) | rounded(
        {"subgroups": [group.as_json() for group in groups], "one_class": {}}
    )


def save_run(folder: Path, name: str = "Mass", model_id: str = "small-1", **changes: Any) -> Path:
    """A run folder with bundle, metrics.csv and a card that has figures of a data set called as `name` is."""
    card = small_card(
        model_id,
        title=f"Made of {name}",
        metrics={"report": {name: measured(("pneumonia", "Pneumonia", name))}},
        checks={"auroc_of_telling_sources_apart": {name: 0.9}},
        training_data=(
            TrainingData(
                name=name,
                digest="ab" * 32,
                n_images=120,
                n_patients=120,
                licence=name,
                citation=name,
                use=name,
            ),
        ),
        split={"file": "split.csv", "sha256": "cd" * 32, "parts": {"report": {"images": 120, "groups": 120}}},
        recipe={"backbone": "tiny", "note": name},
        software={"torch": "2"},
        **changes,
    )
    save_small(folder / "made", model_id)
    shutil.copytree(folder / "made" / model_id, folder / "bundle" / model_id)
    shutil.rmtree(folder / "made")
    kept = (folder / "bundle" / model_id / "card.json").read_text()
    sha = small_card().model_validate_json(kept).weights_sha256
    written = card.model_copy(update={"weights_sha256": sha}).model_dump_json()
    (folder / "bundle" / model_id / "card.json").write_text(written, encoding="utf-8")
    (folder / "metrics.csv").write_text("epoch,size,loss,tune_auroc,seconds\n0,64,0.7,,1\n1,64,0.5,0.8,2\n")
    return folder


def write_nih(root: Path, boxes: bool = True) -> Path:
    """Twelve pictures of as many people; four are marked, one of them with two boxes of a label."""
    (root / "images").mkdir(parents=True)
    rows = ["filename,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position"]
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        rows.append(f"{number}.png,{'Mass' if number % 2 else 'No Finding'},{number},50,M,PA")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    if boxes:
        marked = [(1, 0.1), (3, 0.3), (5, 0.5), (7, 0.1), (7, 0.6)]
        lines = [f"{number}.png,Mass,{left},0.2,0.3,0.3" for number, left in marked]
        header = "filename,Finding Label,x_frac,y_frac,w_frac,h_frac\n"
        (root / "boxes.csv").write_text(header + "\n".join(lines) + "\n")
    return root


def made_run(data_dir: Path, root: Path) -> Path:
    """A finished, untrained run on such a folder: bundle, split, and made-up predictions."""
    config = TrainingConfig(
        id="small-1",
        sources=(Source(name="nih", root=str(root), report=0.2),),
        backbone="tiny",
        stages=(Stage(size=64),),
    )
    run = RunFolder(data_dir / "runs" / "small-1")
    run.write_config(config)
    run.write_split(gather(config).split)
    save_small(run.path / "bundle", "small-1")
    rows = tuple(row for row in gather(config).split if row.part is Part.REPORT)
    rng = np.random.default_rng(0)
    chances = rng.random((len(rows), 1))
    labels = np.array([[float(int(Path(row.image).stem) % 2)] for row in rows])
    found = Predictions(rows, ("Mass",), np.log(chances / (1 - chances)), chances, labels)
    write_predictions(found, run.path / "predictions.csv")
    run.status("finished", 1.0)
    return run.path
