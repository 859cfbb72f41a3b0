"""Checks of what a network may be using, on data whose answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.classifiers.targets import Target
from cxrviewer.datasets import Row
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.studies.radiograph import View
from cxrviewer.training import checking
from cxrviewer.training.checking import header_shortcuts, lung_dependence, source_shortcut, sources_told_apart

RNG = np.random.default_rng(0)
PATIENTS = [f"p{n}" for n in range(200)]


def test_a_view_that_tells_the_label_is_found() -> None:
    bedside = RNG.random(200) < 0.5
    rows = [
        Row(
            f"{n}.png",
            PATIENTS[n],
            PATIENTS[n],
            {},
            View.AP if bedside[n] else View.PA,
            float(20 + n % 50),
            "F",
        )
        for n in range(200)
    ]
    # Edema only at the bedside, Mass only away from it: either direction is learnt.
    labels = np.column_stack([bedside & (RNG.random(200) < 0.8), ~bedside, np.full(200, np.nan)]).astype(
        np.float32
    )
    learn = np.arange(200) % 2 == 0
    found = header_shortcuts(rows, labels, learn, ["Edema", "Mass", "Hernia"])
    assert found["view"]["Mass"] == 1.0
    edema = found["view"]["Edema"]
    assert edema is not None and edema > 0.85
    assert found["view"]["Hernia"] is None
    # Everybody has the same sex: nothing can be learnt from it, so it is not listed.
    assert set(found) == {"view", "age", "view, age and sex"}
    age = found["age"]["Mass"]
    assert age is not None and 0.3 < age < 0.7


def test_nothing_stated_gives_nothing() -> None:
    rows = [Row(f"{n}.png", PATIENTS[n], PATIENTS[n], {}) for n in range(200)]
    assert header_shortcuts(rows, np.zeros((200, 1), np.float32), np.arange(200) < 100, ["Mass"]) == {}


def test_the_source_counts_only_where_several_state_the_label() -> None:
    source = np.repeat([0, 1], 100)
    labels = np.full((200, 2), np.nan, np.float32)
    labels[:, 0] = np.where(source == 0, RNG.random(200) < 0.9, RNG.random(200) < 0.2)
    labels[100:, 1] = RNG.random(100) < 0.5
    found = source_shortcut(source, labels, PATIENTS, ["pneumonia", "Mass"])
    assert list(found) == ["pneumonia"]
    assert found["pneumonia"] is not None and found["pneumonia"] > 0.75


@pytest.mark.parametrize(("shift", "low", "high"), [(3.0, 0.95, 1.0), (0.0, 0.3, 0.7)])
def test_features_that_tell_the_sources_apart(shift: float, low: float, high: float) -> None:
    source = np.repeat([0, 1], 100)
    features = RNG.normal(size=(200, 4)).astype(np.float32)
    features[:, 0] += np.float32(shift) * source
    found = sources_told_apart(features, source, PATIENTS, ["kermany", "nih"])
    assert set(found) == {"kermany", "nih"}
    assert all(value is not None and low <= value <= high for value in found.values())
    assert sources_told_apart(features, np.zeros(200, np.int64), PATIENTS, ["kermany", "nih"]) == {}


@pytest.mark.parametrize("looks_at_lungs", [True, False])
def test_what_the_answer_follows_when_lungs_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks_at_lungs: bool
) -> None:
    """Ill pictures are bright all over; one network sees the middle only, where the lungs are, the other the rim."""
    count, side = 40, 16
    inside = np.zeros((side, side), np.bool_)
    inside[4:12, 4:12] = True
    Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    truth = np.arange(count) % 2
    for n, ill in enumerate(truth):
        Image.fromarray(np.full((side, side), 200 if ill else 50, np.uint8)).save(tmp_path / f"{n}.png")
    material: Any = SimpleNamespace(
        chosen=lambda part: np.arange(count),
        mask=lambda row: tmp_path / "mask.png",
        picture=lambda row: tmp_path / f"{row}.png",
        labels=(PNEUMONIA,),
        targets=truth[:, None].astype(np.float32),
    )
    serving: Any = SimpleNamespace(
        targets=(Target(Head.PNEUMONIA, PNEUMONIA),),
        spec=InputSpec(side),
        preparer=Preparer(InputSpec(side)),
    )
    seen = inside if looks_at_lungs else ~inside

    def score(_serving: object, pictures: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(logits=pictures[:, seen].mean(1)[:, None])

    monkeypatch.setattr(checking, "score_small", score)
    found = lung_dependence(serving, material)
    assert found["pictures"] == count and found["whole picture"] == 1.0
    assert found["moved, by the lungs"] == 1.0 if looks_at_lungs else found["moved, by the lungs"] != 1.0
    assert (found["moved, by the surroundings"] == 1.0) is not looks_at_lungs
