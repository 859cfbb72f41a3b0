"""A finished run's folder, made up: figures by the program's own measuring, on random scores."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from support.small_models import save_small, small_card

from cxrviewer.classifiers.card import TrainingData
from cxrviewer.evaluation.measuring import Task
from cxrviewer.evaluation.subgroups import subgroups
from cxrviewer.training.measuring import plain_json, rounded

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;$x^2$</para><b>"
"""What a file might call something: markup for a page, for ReportLab, for a formula."""


def measured(names: tuple[str, ...], rows: int = 120, seed: int = 0) -> dict[str, Any]:
    """One data set's entry in metrics.json: every second picture is ill, half of the people are women."""
    rng = np.random.default_rng(seed)
    labels = np.tile([1.0, 0.0], rows // 2)[:, None].repeat(len(names), 1).astype(np.float32)
    chances = np.clip(labels * 0.3 + rng.random((rows, len(names))) * 0.7, 0, 1)
    tasks = [Task(name, 0.5) for name in names]
    people = [f"p{n}" for n in range(rows)]
    from cxrviewer.evaluation.measuring import measure

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
