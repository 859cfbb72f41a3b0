"""What every reader of a data set promises, each tried on four pictures as its owner publishes them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.dataset_folders import FOLDERS, Folder

from cxrviewer.datasets import DATASETS, Dataset, Part, digest_of, read_dataset
from cxrviewer.datasets.grouping import join_identical
from cxrviewer.datasets.inspecting import inspect
from cxrviewer.datasets.splits import Fractions, check
from cxrviewer.datasets.splitting import SPLITS, split_into_folds
from cxrviewer.errors import ConfigurationError, LabelFileError, NotFoundError
from cxrviewer.training.pictures import load_picture, read_grey

DOCS = Path(__file__).resolve().parents[2] / "docs/datasets.md"

Made = tuple[str, Folder]


@pytest.fixture(params=FOLDERS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    name: str = request.param
    if name == "torchxrayvision":
        pytest.importorskip("torchxrayvision", reason="the optional extra torchxrayvision is not installed")
    return name, FOLDERS[name](tmp_path / "root")


def read(made: Made) -> Dataset:
    name, folder = made
    return read_dataset(name, folder.root, folder.options)


def lines_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def change(path: Path, edit: Callable[[list[list[str]]], None]) -> None:
    lines = lines_of(path)
    edit(lines)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def with_listing(made: Made) -> Path:
    if not made[1].listing:
        pytest.skip("this data set has no label file of its own")
    return made[1].root / made[1].listing


def test_every_reader_is_tried_here() -> None:
    assert set(FOLDERS) == set(DATASETS)


def test_four_pictures(made: Made) -> None:
    dataset, folder = read(made), made[1]
    assert dataset.name == made[0]
    assert (len(dataset.rows), len({row.patient for row in dataset.rows})) == (4, folder.patients)
    assert len({row.image for row in dataset.rows}) == 4
    assert list(dataset.missing) == []
    for label, count in folder.counts.items():
        assert sum(row.labels.get(label) == 1 for row in dataset.rows) == count, label
    parts = Counter(str(row.official) for row in dataset.rows if row.official is not None)
    assert dict(parts) == folder.official


def test_labels_are_one_zero_or_not_there(made: Made) -> None:
    dataset = read(made)
    stated = {label for row in dataset.rows for label in row.labels}
    assert stated <= set(dataset.labels)
    assert {value for row in dataset.rows for value in row.labels.values()} <= {0.0, 1.0}
    assert all(value.__class__ is float for row in dataset.rows for value in row.labels.values())
    assert dataset.targets(dataset.labels).shape == (4, len(dataset.labels))


def test_every_picture_can_be_learnt_from(made: Made) -> None:
    dataset = read(made)
    small = [load_picture(dataset.picture(row), 32) for row in dataset.rows]
    assert all(picture.shape == (32, 32) for picture in small)
    assert len({picture.tobytes() for picture in small}) == 4
    grey = read_grey(dataset.picture(dataset.rows[0]))
    assert (grey.shape, grey.dtype) == ((12, 16), np.float32)
    assert 0 <= grey.min() <= grey.max() <= 1


def test_boxes_lie_in_the_picture(made: Made) -> None:
    for row in read(made).rows:
        for box in row.boxes:
            assert box.left >= 0
            assert box.top >= 0
            assert box.width > 0
            assert box.height > 0
            assert max(box.left + box.width, box.top + box.height) <= 1.001


def test_the_same_folder_is_the_same_data(made: Made) -> None:
    assert digest_of(read(made)) == digest_of(read(made))


def test_every_way_of_parting_it_keeps_people_whole(made: Made) -> None:
    dataset = join_identical(read(made))
    for name, split in SPLITS.items():
        if name == "official" and len(made[1].official) == 0:
            continue
        rows = split(dataset, Fractions(0.25, 0.25), 1)
        check(rows)
        assert [row.image for row in rows] == [row.image for row in dataset.rows]
        if name == "official":
            kept = {row.image for row in rows if row.part is Part.REPORT}
            assert kept == {row.image for row in dataset.rows if row.official is Part.REPORT}
    folds = [row for fold in range(3) for row in split_into_folds(dataset, 3, fold, 1)]
    reported = [row.image for row in folds if row.part is Part.REPORT]
    assert sorted(reported) == sorted(row.image for row in dataset.rows)


def test_a_missing_picture_is_counted_and_named(made: Made) -> None:
    name, folder = made
    if folder.lost is None:
        pytest.skip("nothing says which pictures there should be")
    path, missing = folder.lost
    (folder.root / path).unlink()
    dataset = read(made)
    assert (list(dataset.missing), len(dataset.rows)) == ([missing], 3)
    found = inspect(name, folder.root, folder.options)
    assert (found.missing_files, found.missing_examples) == (1, (missing,))


def test_a_missing_column_is_refused(made: Made) -> None:
    listing = with_listing(made)
    before = lines_of(listing)
    for column in dict.fromkeys(column for column, _, _ in made[1].bad):
        place = before[0].index(column)
        change(listing, lambda rows, at=place: rows[0].__setitem__(at, "elsewhere"))  # type: ignore[misc]
        with pytest.raises((LabelFileError, ConfigurationError)) as refused:
            read(made)
        words = refused.value.message
        # A table of findings may have any of its columns; a strange one is refused by its own name.
        assert column.strip() in words or "line 1: unknown findings elsewhere" in words
        assert "line 1" in words or isinstance(refused.value, ConfigurationError)
        change(listing, lambda rows: rows.__setitem__(slice(None), before))


def test_a_wrong_cell_is_refused_with_its_line(made: Made) -> None:
    listing = with_listing(made)
    before = lines_of(listing)
    for column, value, words in made[1].bad:
        place = before[0].index(column)
        change(listing, lambda rows, at=place, new=value: rows[2].__setitem__(at, new))  # type: ignore[misc]
        with pytest.raises(LabelFileError) as refused:
            read(made)
        assert f"{listing.name}, line 3: " in refused.value.message, (column, value)
        assert words in refused.value.message
        change(listing, lambda rows: rows.__setitem__(slice(None), before))
    assert len(read(made).rows) == 4


def test_a_line_that_stands_twice_is_refused(made: Made) -> None:
    listing = with_listing(made)
    last = len(lines_of(listing)) + 1
    change(listing, lambda rows: rows.append(rows[-1]))
    with pytest.raises(LabelFileError, match=rf"{listing.name}, line {last}: "):
        read(made)


def test_a_line_with_too_few_fields_is_refused(made: Made) -> None:
    listing = with_listing(made)
    change(listing, lambda rows: rows[3].pop())
    with pytest.raises(LabelFileError, match=r"line 4: expected \d+ fields"):
        read(made)


def test_links_out_of_the_folder_are_not_followed(made: Made, tmp_path: Path) -> None:
    folder = made[1]
    if folder.lost is None:
        pytest.skip("nothing says which pictures there should be")
    path = folder.root / folder.lost[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    try:
        dataset = read(made)
    except LabelFileError as refused:
        assert "outside the folder" in refused.message
    else:
        assert list(dataset.missing) == [folder.lost[1]]


def test_an_empty_folder_is_not_a_data_set(made: Made, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        read_dataset(made[0], tmp_path / "empty")


def test_an_option_that_there_is_not_is_refused(made: Made) -> None:
    with pytest.raises(ConfigurationError, match=r"colour: .*Options here: "):
        read_dataset(made[0], made[1].root, {"colour": "red"})


def test_the_inspection_is_json(made: Made) -> None:
    found = json.loads(json.dumps(inspect(made[0], made[1].root, made[1].options).as_json()))
    assert (found["dataset"], found["images"], found["patients"]) == (made[0], 4, made[1].patients)
    assert found["official"] == made[1].official
    assert found["leak_check"]["groups"] == made[1].patients


def test_its_terms_are_told(made: Made) -> None:
    dataset = read(made)
    assert f"\n## `{made[0]}`" in DOCS.read_text("utf-8")
    if made[0] not in ("folder", "csv"):
        assert dataset.licence
        assert dataset.citation
