"""Big label files by columns: the same lines as read by rows, and every fault named by its line."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.datasets import label_file
from cxrviewer.datasets.columns import Names, among, repeated
from cxrviewer.datasets.label_file import header_of, read_columns
from cxrviewer.datasets.tables import read_table
from cxrviewer.errors import LabelFileError, NotFoundError

ROWS = np.arange


def write(folder: Path, content: bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(content)
    return path


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=6
)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(cells, cells, cells), max_size=12), st.data())
def test_as_read_by_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], data: st.DataObject
) -> None:
    text = StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("name", "kind", "more"))
    for row in rows:
        if data.draw(st.booleans()):
            text.write("\n")
        writer.writerow(row)
    path = write(tmp_path_factory.mktemp("t"), text.getvalue().encode())
    table, expected = read_columns(path, ("name", "more"), ("kind",)), read_table(path, ("name", "kind"))
    everything = ROWS(len(table))
    assert table.at("name", everything) == [line["name"] for _, line in expected]
    assert table.at("more", everything) == [line["more"] for _, line in expected]
    assert table.coded["kind"].at(everything, str) == [line["kind"].strip() for _, line in expected]
    numbers = everything + 2 if table.lines is None else table.lines
    assert numbers.tolist() == [number for number, _ in expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"labels\.csv is empty"),
        (b"a,c\n1,2\n", r"labels\.csv, line 1: no column named b"),
        (b"a,b,b\n1,2,3\n", r"labels\.csv, line 1: two columns named b"),
        (b"a,b\n1\n1,2\n1,2,3\n", r"labels\.csv, line 2, 4: expected 2 fields"),
        (b"a,b\n\xff\xfe,2\n", r"labels\.csv is not a CSV file in UTF-8"),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', r"labels\.csv is not a CSV file in UTF-8"),
        (b'a,b\n1,"2\n' + b"3,4\n" * 60_000, r"labels\.csv is not a CSV file in UTF-8"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(LabelFileError, match=message):
        read_columns(write(tmp_path, content), ("a", "b"))


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"labels\.csv is missing"):
        read_columns(tmp_path / "labels.csv", ("a",))


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf a ,b\n")
    table = read_columns(path, ("a",), ("b",))
    assert (header_of(path), len(table), table.hashes("a").tolist()) == (("a", "b"), 0, [])


def test_a_column_of_names_is_no_column_of_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_file, "MAX_DIFFERENT", 3)
    path = write(tmp_path, b"a,b\n1,w\n2,x\n3,y\n4,z\n")
    with pytest.raises(LabelFileError, match="the column b has more than 3 different values"):
        read_columns(path, ("a",), ("b",))
    assert len(read_columns(path, ("a", "b"))) == 4


def test_codes_outgrow_one_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_file, "BLOCK", 1000)
    values = [f"v{n % 300}" for n in range(2000)]
    table = read_columns(
        write(tmp_path, ("a,b\n" + "".join(f"x,{v}\n" for v in values)).encode()), ("a",), ("b",)
    )
    assert table.coded["b"].at(ROWS(2000), str) == values


def test_numbers(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, b'a\n1.5\n" "\n-2e1\n.5\n'), ("a",))
    np.testing.assert_array_equal(table.numbers("a"), [1.5, np.nan, -20, 0.5])
    for word in (b"nan", b"inf", b"1,5", b"0x1", b"one"):
        wrong = read_columns(write(tmp_path, b'a\n1\n\n"' + word + b'"\n'), ("a",))
        with pytest.raises(LabelFileError, match="line 4: a is no number"):
            wrong.numbers("a")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "..\\x", "c:\\x", "a/..", "\\\\host\\x"]
)
def test_paths_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    table = read_columns(write(tmp_path, f"a\nx/y.png\n{path}\n..x/y\n".encode()), ("a",))
    assert table.leaving("a").tolist() == [False, True, False]


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=20))
def test_what_stood_before(numbers: list[int]) -> None:
    expected = [number in numbers[:place] for place, number in enumerate(numbers)]
    assert repeated(np.array(numbers, np.int64)).tolist() == expected


def test_names_among_others(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, b"a\nx\ny\nz\nx\n"), ("a",))
    assert among(table.hashes("a"), {"x", "w"}).tolist() == [True, False, False, True]
    assert not among(table.hashes("a"), ()).any()


def test_names_are_a_sequence(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, b"a\nx\ny\nz\n"), ("a",))
    names = Names(table.texts["a"], np.array([2, 0]))
    assert (len(names), names[0], names[-1], names[:1], list(names)) == (2, "z", "x", ("z",), ["z", "x"])
    assert names == ("z", "x")
    assert names != ("z",)
    assert names.and_then(names) == ("z", "x", "z", "x")
    assert "x" not in repr(names)
