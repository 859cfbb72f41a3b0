"""Label files with every fault that is known to happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrviewer.datasets.tables import inside, read_table, refuse
from cxrviewer.errors import LabelFileError, NotFoundError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(content)
    return path


def test_lines_carry_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4\r\n")
    assert read_table(path, ["a"]) == [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": "4"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"labels\.csv is empty"),
        (b"a,c\n1,2\n", r"labels\.csv, line 1: no column named b"),
        (b"a,b\n1\n1,2\n1,2,3\n", r"labels\.csv, line 2, 4: expected 2 fields"),
        (b"a,b\n\xff\xfe,2\n", r"labels\.csv is not a CSV file in UTF-8"),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', r"labels\.csv is not a CSV file in UTF-8"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(LabelFileError, match=message):
        read_table(write(tmp_path, content), ["a", "b"])


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"labels\.csv is missing"):
        read_table(tmp_path / "labels.csv", ["a"])


def test_only_the_first_wrong_lines_are_named() -> None:
    with pytest.raises(LabelFileError, match=r"x\.csv, line 2, 3, 4, 5, 6 and 3 more: it is wrong\. Correct"):
        refuse("x.csv", range(2, 10), "it is wrong")
    refuse("x.csv", [], "it is wrong")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "..\\x", "link/x", "a\x00b"])
def test_paths_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    assert not inside(root, path)


@pytest.mark.parametrize("path", ["x", "a/b.png", "a/./b.png", "..x/y"])
def test_paths_that_stay(tmp_path: Path, path: str) -> None:
    assert inside(tmp_path, path)
