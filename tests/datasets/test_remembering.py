"""Data sets under names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrviewer.datasets.remembering import checked, forget, keep_pairs, named, remember, remembered
from cxrviewer.errors import ConfigurationError, NotFoundError


def test_what_is_remembered_comes_back_and_can_be_forgotten(tmp_path: Path) -> None:
    one = checked(name="My chests", reader="csv", root="/data/x", options={"labels": ["a", "b"]}, tune=0.2)
    remember(tmp_path, one)
    remember(tmp_path, checked(name="Another", reader="kermany", root="/data/y"))
    assert [known.name for known in remembered(tmp_path)] == ["Another", "My chests"]
    assert named(tmp_path, "My chests") == one
    forget(tmp_path, "My chests")
    with pytest.raises(NotFoundError):
        named(tmp_path, "My chests")


def test_the_same_name_replaces(tmp_path: Path) -> None:
    for split in ("patient", "official"):
        remember(tmp_path, checked(name="one", reader="nih", root="/x", split=split))
    assert [known.split for known in remembered(tmp_path)] == ["official"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "<b>", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        checked(name=name, reader="nih", root="/x")


def test_a_damaged_file_hides_nothing_else(tmp_path: Path) -> None:
    remember(tmp_path, checked(name="one", reader="nih", root="/x"))
    (tmp_path / "datasets" / "two.json").write_text("{")
    assert [known.name for known in remembered(tmp_path)] == ["one"]
    forget(tmp_path, "../../etc")


def test_kept_pairs_go_with_the_last_name_that_has_them(tmp_path: Path) -> None:
    one = checked(name="one", reader="nih", root="/x")
    kept = keep_pairs(tmp_path, one, b"a,b\n1.png,2.png\n")
    listing = Path(kept.together)
    assert remembered(tmp_path) == (kept,) and listing.read_bytes() == b"a,b\n1.png,2.png\n"
    remember(tmp_path, kept.model_copy(update={"name": "two"}))
    forget(tmp_path, "one")
    assert listing.is_file()
    forget(tmp_path, "two")
    assert not listing.exists() and remembered(tmp_path) == ()
