"""No patient, group or picture is ever in two parts (G23)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.grouping import Groups, join_identical, join_listed
from cxrviewer.datasets.splits import (
    Fractions,
    Part,
    SplitRow,
    check,
    read_split,
    split_by_group,
    write_split,
)
from cxrviewer.errors import LabelFileError, SplitError

LABELS = ("pneumonia", "Mass")


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """People with one to four pictures, some joined in groups, some with an expert's label."""
    people = draw(st.integers(1, 60))
    rows = []
    for person in range(people):
        group = draw(st.integers(0, person)) if draw(st.booleans()) else person
        for shot in range(draw(st.integers(1, 4))):
            labels = {name: float(draw(st.booleans())) for name in LABELS if draw(st.booleans())}
            expert = draw(st.integers(0, 9)) == 0
            rows.append(Row(f"{person}-{shot}.png", f"p{person}", f"g{group}", labels, expert=expert))
    return Dataset("made", Path("/nowhere"), tuple(rows), LABELS)


@settings(deadline=None, max_examples=60)
@given(datasets(), st.integers(0, 3), st.floats(0, 0.5), st.floats(0, 0.5))
def test_parts_never_share_anyone(dataset: Dataset, seed: int, tune: float, report: float) -> None:
    split = split_by_group(dataset, Fractions(tune, report), seed)
    assert [row.image for row in split] == [row.image for row in dataset.rows]
    for kind in ("patient", "group", "image"):
        places = {(getattr(row, kind), row.part) for row in split}
        assert len(places) == len({getattr(row, kind) for row in split})
    experts = {row.group for row in dataset.rows if row.expert}
    assert all(row.part is Part.REPORT for row in split if row.group in experts)
    assert split == split_by_group(dataset, Fractions(tune, report), seed)
    # The order in which a reader lists the rows must not matter.
    backwards = split_by_group(replace(dataset, rows=dataset.rows[::-1]), Fractions(tune, report), seed)
    assert set(backwards) == set(split)


def many(people: int) -> Dataset:
    rows = tuple(Row(f"{n}.png", f"p{n}", f"p{n}", {"Mass": float(n % 10 == 0)}) for n in range(people))
    return Dataset("made", Path("/nowhere"), rows, LABELS)


def test_fractions_are_kept_within_each_stratum() -> None:
    split = split_by_group(many(1000), Fractions(0.2, 0.1), 1)
    for ill, size in ((True, 100), (False, 900)):
        parts = [row.part for row in split if (int(row.image[:-4]) % 10 == 0) is ill]
        assert abs(parts.count(Part.TUNE) - 0.2 * size) <= 1
        assert abs(parts.count(Part.REPORT) - 0.1 * size) <= 1


def test_small_strata_get_their_share_on_average() -> None:
    tuned = sum(
        row.part is Part.TUNE
        for seed in range(400)
        for row in split_by_group(many(1), Fractions(0.25, 0.25), seed)
    )
    assert 60 <= tuned <= 140  # 100 expected, deviation below 9


def test_another_seed_is_another_split() -> None:
    assert split_by_group(many(50), Fractions(), 1) != split_by_group(many(50), Fractions(), 2)


def test_a_leak_is_refused() -> None:
    rows = [SplitRow("d", "p1", "g1", "a.png", Part.TRAIN), SplitRow("d", "p1", "g2", "b.png", Part.REPORT)]
    with pytest.raises(SplitError, match="1 of 1 patients stand in more than one part"):
        check(rows)
    # The same name in another data set is another person.
    check([rows[0], replace(rows[1], dataset="e")])


def test_a_split_file_reads_back(tmp_path: Path) -> None:
    split = split_by_group(many(20), Fractions(0.3, 0.3), 1)
    write_split(split, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv") == split


def test_a_split_file_with_an_unknown_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("dataset,patient,group,image,part\nd,p,g,a.png,train\nd,q,h,b.png,test\n", "utf-8")
    with pytest.raises(LabelFileError, match=r"split\.csv, line 3: part is none of report, train, tune"):
        read_split(path)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    groups = Groups()
    for first, second in pairs:
        groups.join(str(first), str(second))
    reached = {n: {n} for n in range(13)}
    for _ in range(13):
        for first, second in pairs:
            union = reached[first] | reached[second]
            for member in union:
                reached[member] |= union
    for n in range(13):
        assert groups.of(str(n)) == min(str(member) for member in reached[n])


def test_identical_files_keep_their_patients_together(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"three"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    rows = tuple(Row(name, f"p-{name}", f"p-{name}", {}) for name in contents)
    joined = join_identical(Dataset("made", tmp_path, rows, ()))
    assert [row.group for row in joined.rows] == ["p-a", "p-b", "p-a", "p-d"]
    assert [row.patient for row in joined.rows] == ["p-a", "p-b", "p-c", "p-d"]


def test_files_of_a_size_of_their_own_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"a": b"1", "b": b"22"}.items():
        (tmp_path / name).write_bytes(content)
    rows = tuple(Row(name, name, name, {}) for name in ("a", "b"))

    def never(path: Path) -> bytes:
        raise AssertionError(os.fspath(path))

    monkeypatch.setattr(Path, "read_bytes", never)
    assert join_identical(Dataset("made", tmp_path, rows, ())).rows == rows


def test_listed_pairs_keep_their_patients_together(tmp_path: Path) -> None:
    rows = tuple(Row(name, f"p-{name}", f"p-{name}", {}) for name in "abcd")
    dataset, listing = Dataset("made", tmp_path, rows, ()), tmp_path / "pairs.csv"
    listing.write_text("a,b,likeness\nd,b,0.99\nc,gone,0.99\n")
    joined = join_listed(dataset, listing)
    assert [row.group for row in joined.rows] == ["p-a", "p-b", "p-c", "p-b"]
    assert [row.patient for row in joined.rows] == ["p-a", "p-b", "p-c", "p-d"]


@pytest.mark.parametrize("text", ["a,b\nx,y\n", "first,second\na,b\n", "a,b\na\n"])
def test_a_list_of_other_pictures_or_of_none_is_refused(tmp_path: Path, text: str) -> None:
    rows = tuple(Row(name, name, name, {}) for name in "ab")
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(LabelFileError):
        join_listed(Dataset("made", tmp_path, rows, ()), tmp_path / "pairs.csv")
