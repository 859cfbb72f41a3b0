"""What `datasets inspect` tells, counted by hand on a few rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxrviewer.datasets.dataset import Box, Dataset, Row
from cxrviewer.datasets.grouping import join_identical
from cxrviewer.datasets.inspecting import inspect, inspect_dataset
from cxrviewer.errors import NotFoundError
from cxrviewer.studies.radiograph import View


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for name, content in {"a": b"same", "b": b"else", "c": b"same", "d": b"else", "e": b"none"}.items():
        (tmp_path / name).write_bytes(content)
    rows = (
        Row(
            "a", "p1", "p1", {"Mass": 1.0}, View.PA, 60.0, "F", boxes=(Box("Mass", 0, 0, 1, 1),), expert=True
        ),
        Row("b", "p1", "p1", {"Mass": 0.0}, View.AP, 62.0, "F"),
        Row("c", "p2", "p2", {}, View.AP, None, None, mask="m"),
        Row("d", "p1", "p1", {"Mass": 0.0}, None, 70.0, "F"),
        Row("e", "p3", "p3", {"Hernia": 1.0}),
    )
    return Dataset("made", tmp_path, rows, ("Mass", "Hernia"), missing=("x",), licence="CC0", notes=("mind",))


def test_the_contracts_keys(dataset: Dataset) -> None:
    answer = json.loads(json.dumps(inspect_dataset(dataset).as_json()))
    assert (answer["dataset"], answer["images"], answer["patients"], answer["missing_files"]) == (
        "made",
        5,
        3,
        1,
    )
    assert answer["labels"] == {
        "Mass": {"positive": 1, "negative": 2, "unstated": 2},
        "Hernia": {"positive": 1, "negative": 0, "unstated": 4},
    }
    assert answer["missing_examples"] == ["x"]
    assert answer["notes"] == ["mind"]


def test_who_was_examined_how(dataset: Dataset) -> None:
    found = inspect_dataset(dataset)
    assert found.views == {"AP": 2, "unstated": 2, "PA": 1}
    assert found.sexes == {"F": 3, "unstated": 2}
    assert (found.ages.youngest, found.ages.median, found.ages.oldest, found.ages.unstated) == (60, 62, 70, 2)
    assert (found.expert_images, found.boxes, found.masks) == (1, 1, 1)


def test_the_leak_check(dataset: Dataset) -> None:
    leak = inspect_dataset(dataset).leak_check
    # a = c belong to two patients; b = d to one, which leaks nothing.
    assert (leak.identical_pictures, leak.across_patients, leak.joined) == (2, 1, 0)
    assert leak.examples == (("a", "c"),)
    assert (leak.groups, leak.repeated_patients) == (3, 1)
    assert not leak.safe
    assert inspect_dataset(join_identical(dataset)).leak_check.safe


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        inspect("nih", tmp_path)


DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real radiographs in ../shared/data are absent")
def test_the_real_folders() -> None:
    kermany = inspect("kermany", DATA / "kermany")
    assert (kermany.images, kermany.missing_files) == (5232, 0)
    assert (kermany.labels["pneumonia"].positive, kermany.labels["pneumonia"].negative) == (3883, 1349)
    assert kermany.leak_check.safe
    nih = inspect("nih", DATA / "nih")
    assert (nih.images, nih.boxes) == (1279, 45)
