"""Files, folders, ZIP archives and DICOMDIR: what is given, what is refused, and that nothing leads outside (G11)."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage
from support import dicom_files as files

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies import sources, zip_directory
from cxrviewer.studies.opening import open_study
from cxrviewer.studies.sources import Refused, Source, iter_sources, iter_upload

DICOM = files.encode(files.dataset(files.ramp()))
PNG = files.png(np.zeros((4, 4), np.uint8))


def packed(
    members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def dicomdir(*references: list[str]) -> bytes:
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    records = []
    for kind, reference in [("PATIENT", None), *(("IMAGE", reference) for reference in references)]:
        record = Dataset()
        record.DirectoryRecordType = kind
        if reference:
            record.ReferencedFileID = reference
        records.append(record)
    directory.DirectoryRecordSequence = Sequence(records)
    stream = BytesIO()
    directory.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def told(found: Iterable[Source | Refused]) -> list[tuple[str, str]]:
    """Name and fate of everything: `read`, or the kind of its refusal (when listed or when opened)."""
    result = []
    for one in found:
        try:
            if isinstance(one, Refused):
                raise one.error
            open_study(one.read())
            result.append((one.name, "read"))
        except CxrError as error:
            result.append((one.name, error.kind))
    return result


def test_files_and_folders_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.dcm").write_bytes(DICOM)
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("not a picture")
    for junk in (".DS_Store", "Thumbs.db", "._a.png"):
        (tmp_path / junk).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").write_bytes(PNG)
    single, absent = tmp_path / "a.png", tmp_path / "absent"
    assert told(iter_sources([single, tmp_path, absent])) == [
        (str(single), "read"),
        (f"{tmp_path}/a.png", "read"),
        (f"{tmp_path}/b/two.dcm", "read"),
        (f"{tmp_path}/notes.txt", "unreadable"),
        (str(absent), "not-found"),
    ]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.dcm").write_bytes(DICOM)
    (inside / "file.dcm").symlink_to(outside / "secret.dcm")
    (inside / "folder").symlink_to(outside)
    assert told(iter_sources([inside])) == [
        (f"{inside}/file.dcm", "unsupported"),
        (f"{inside}/folder", "unsupported"),
    ]


def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x.dcm").write_bytes(DICOM)
    (tmp_path / "secret.dcm").write_bytes(DICOM)
    (source,) = iter_sources([folder])
    (folder / "x.dcm").unlink()
    (folder / "x.dcm").symlink_to(tmp_path / "secret.dcm")
    assert isinstance(source, Source)
    with pytest.raises(UnreadableError):
        source.read()


def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert told(iter_sources([tmp_path, tmp_path / "pipe"])) == [(f"{tmp_path}/pipe", "unsupported")] * 2


def test_a_zip_in_a_folder_and_in_an_upload(tmp_path: Path) -> None:
    data = packed(
        [
            ("one.dcm", DICOM),
            ("sub/", b""),
            ("sub/two.png", PNG),
            ("read me.txt", b"hello"),
            ("__MACOSX/._one", b"x"),
        ]
    )
    (tmp_path / "archive.zip").write_bytes(data)
    members = [("one.dcm", "read"), ("sub/two.png", "read"), ("read me.txt", "unreadable")]
    assert told(iter_sources([tmp_path])) == [
        (f"{tmp_path}/archive.zip!{name}", fate) for name, fate in members
    ]
    assert told(iter_upload(data, "archive.zip")) == [(f"archive.zip!{name}", fate) for name, fate in members]
    assert told(iter_upload(PNG, "a.dcm")) == [("a.dcm", "read")]


def test_names_that_point_outside_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["../../evil.dcm", "/etc/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm", "a\x1b[31m.dcm"]
    found = told(iter_upload(packed([(name, DICOM) for name in names]), "x.zip"))
    assert [fate for _, fate in found] == ["read"] * 5
    assert "\x1b" not in "".join(name for name, _ in found)
    assert list(tmp_path.rglob("*")) == []


def test_links_and_nested_archives_in_a_zip() -> None:
    link = zipfile.ZipInfo("link.dcm")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    data = packed([(link, b"/etc/passwd"), ("inner.zip", packed([("x.dcm", DICOM)]))])
    assert told(iter_upload(data, "x.zip")) == [
        ("x.zip!link.dcm", "unsupported"),
        ("x.zip!inner.zip", "unsupported"),
    ]


def test_encrypted_and_uncommon_members() -> None:
    data = bytearray(packed([("x.dcm", DICOM)]))
    for place in (data.index(b"PK\3\4") + 6, data.index(b"PK\1\2") + 8):
        data[place] |= 1
    (refused,) = iter_upload(bytes(data), "x.zip")
    assert isinstance(refused, Refused) and "encrypted" in str(refused.error)
    (lzma,) = iter_upload(packed([("x.dcm", DICOM)], zipfile.ZIP_LZMA), "x.zip")
    assert isinstance(lzma, Refused) and isinstance(lzma.error, UnsupportedError)


def test_a_member_that_inflates_beyond_the_cap() -> None:
    data = packed([("bomb.dcm", bytes((64 << 20) + 1)), ("good.dcm", DICOM), ("full.bin", bytes(64 << 20))])
    assert len(data) < 1 << 20
    assert told(iter_upload(data, "x.zip")) == [
        ("x.zip!bomb.dcm", "too-large"),
        ("x.zip!good.dcm", "read"),
        ("x.zip!full.bin", "unreadable"),
    ]


def test_a_member_that_lies_about_its_size() -> None:
    data = bytearray(packed([("bomb.dcm", bytes(70 << 20))]))
    for place in (data.index(b"PK\3\4") + 22, data.index(b"PK\1\2") + 24):
        data[place : place + 4] = struct.pack("<L", 1000)
    (source,) = iter_upload(bytes(data), "x.zip")
    assert isinstance(source, Source)
    with pytest.raises((UnreadableError, TooLargeError)):
        source.read()


def test_the_total_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed([("a.dcm", DICOM), ("b.dcm", DICOM)])
    monkeypatch.setattr(sources, "MAX_ZIP_TOTAL_BYTES", 2 * len(DICOM))
    assert [fate for _, fate in told(iter_upload(data, "x.zip"))] == ["read", "read"]
    monkeypatch.setattr(sources, "MAX_ZIP_TOTAL_BYTES", 2 * len(DICOM) - 1)
    assert [fate for _, fate in told(iter_upload(data, "x.zip"))] == ["read", "too-large"]


def test_members_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed([(f"{i}.png", PNG) for i in range(5)])
    monkeypatch.setattr(zip_directory, "MAX_ZIP_MEMBERS", 5)
    assert len(list(iter_upload(data, "x.zip"))) == 5
    monkeypatch.setattr(zip_directory, "MAX_ZIP_MEMBERS", 4)
    assert told(iter_upload(data, "x.zip")) == [("x.zip", "too-large")]


@pytest.mark.parametrize("field", ["end", "end64"])
def test_a_directory_that_says_it_is_huge_is_refused_before_it_is_read(field: str) -> None:
    data = packed([("a.png", PNG)])
    place = data.rindex(b"PK\5\6")
    if field == "end":
        changed = bytearray(data)
        changed[place + 12 : place + 16] = struct.pack("<L", 100 << 20)
        data = bytes(changed)
    else:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 20, 1 << 20, 1 << 30, 0)
        data = data[:place] + record + struct.pack("<4sLQL", b"PK\6\7", 0, place, 1) + data[place:]
    assert told(iter_upload(data, "x.zip")) == [("x.zip", "too-large")]


def test_a_cut_or_empty_zip() -> None:
    data = packed([("a.png", PNG)])
    assert told(iter_upload(data[: len(data) // 2], "x.zip")) == [("x.zip", "unreadable")]
    assert told(iter_upload(packed([]), "x.zip")) == []
    damaged = bytearray(data)
    damaged[40] ^= 0xFF
    assert [fate for _, fate in told(iter_upload(bytes(damaged), "x.zip"))] == ["unreadable"]


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A disc: two listed pictures, an unlisted one, a viewer program, and a file outside."""
    (tmp_path / "outside.dcm").write_bytes(DICOM)
    folder = tmp_path / "disc"
    (folder / "images").mkdir(parents=True)
    for name in ("im1", "im2", "im3"):
        (folder / "images" / name).write_bytes(DICOM)
    (folder / "viewer.exe").write_bytes(b"MZ" + bytes(300))
    return folder


def test_a_dicomdir_gives_its_order_then_what_it_left_out(disc: Path) -> None:
    (disc / "DICOMDIR").write_bytes(dicomdir(["IMAGES", "IM2"], ["IMAGES", "IM1"], ["IMAGES", "IM9"]))
    listed = [
        (f"{disc}/images/im2", "read"),
        (f"{disc}/images/im1", "read"),
        (f"{disc}/DICOMDIR: IMAGES/IM9", "not-found"),
    ]
    assert told(iter_sources([disc])) == [*listed, (f"{disc}/images/im3", "read")]
    assert told(iter_sources([disc / "DICOMDIR"])) == listed


def test_a_dicomdir_leads_nowhere_outside(disc: Path) -> None:
    (disc / "images" / "link").symlink_to(disc.parent / "outside.dcm")
    hostile = [
        ["..", "outside.dcm"],
        ["/etc/passwd"],
        ["IMAGES", "..", "..", "outside.dcm"],
        ["IMAGES", "LINK"],
        [".."],
    ]
    (disc / "DICOMDIR").write_bytes(dicomdir(*hostile))
    found = told(iter_sources([disc / "DICOMDIR"]))
    assert sorted(fate for _, fate in found) == ["not-found"] * 4 + ["unsupported"]


def test_a_damaged_dicomdir_does_not_hide_the_files(disc: Path) -> None:
    (disc / "DICOMDIR").write_bytes(dicomdir(["IMAGES", "IM1"])[:-20])
    assert told(iter_sources([disc])) == [
        (f"{disc}/DICOMDIR", "unreadable"),
        *((f"{disc}/images/im{i}", "read") for i in (1, 2, 3)),
        (f"{disc}/viewer.exe", "unreadable"),
    ]


def test_a_dicomdir_in_a_zip() -> None:
    data = packed([("disc/DICOMDIR", dicomdir(["A", "B"])), ("disc/a/b", DICOM), ("disc/run.exe", b"MZ")])
    assert told(iter_upload(data, "x.zip")) == [("x.zip!disc/a/b", "read")]


def test_an_unreadable_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "scandir", refuse)
    (refused,) = iter_sources([tmp_path])
    assert isinstance(refused, Refused) and refused.error.kind == "unreadable"
    assert isinstance(next(iter(iter_sources(["absent"]))).error, NotFoundError)  # type: ignore[union-attr]
