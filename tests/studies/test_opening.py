"""Content decides, never the name (G8); nothing but a CxrError ever comes out; and the isolated way is the same."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import dicom_files as files

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies import limits
from cxrviewer.studies.opening import Format, decode, open_path, open_study, sniff

PICTURE = Image.fromarray(np.zeros((8, 8), np.uint8))


def saved(format_: str) -> bytes:
    stream = BytesIO()
    PICTURE.save(stream, format_)
    return stream.getvalue()


@pytest.mark.parametrize("format_", ["BMP", "TIFF", "GIF", "WEBP", "JPEG2000", "PDF"])
def test_other_pictures_are_unsupported_under_any_name(format_: str, tmp_path: Path) -> None:
    data = saved(format_)
    for name in ("chest.dcm", "chest.png", "chest.jpg", "chest"):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnsupportedError, match="DICOM, PNG and JPEG are read"):
            open_path(path)


@pytest.mark.parametrize(
    "start", [b"8BPS\0\1", b"PK\3\4abc", b"%PDF-1.7", b"MM\0*", b"II+\0", b"\x1f\x8b\x08"]
)
def test_other_kinds_by_their_start(start: bytes) -> None:
    with pytest.raises(UnsupportedError):
        open_study(start + bytes(500))


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"plain text, not a picture " * 20, b"<html>" * 50, bytes(1000), b"\x08\0\x05\0"]
)
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        open_study(data)


def test_the_name_plays_no_part(tmp_path: Path) -> None:
    path = tmp_path / "picture.bmp"
    path.write_bytes(files.png(np.full((4, 4), 7, np.uint8)))
    assert open_path(path).metadata.format == "PNG"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_path(tmp_path / "absent")
    with pytest.raises(UnreadableError):
        open_path(tmp_path)


@pytest.mark.parametrize("syntax", files.NATIVE[:2], ids=lambda s: s.name)
def test_a_data_set_without_preamble_is_recognised(syntax: object) -> None:
    data = files.encode(files.dataset(files.ramp()), syntax)  # type: ignore[arg-type]
    with_meta = data[132:]
    bare = data[data.index(b"\x08\x00\x16\x00", 200) :]
    for piece in (with_meta, bare):
        assert sniff(piece) is Format.DICOM
        np.testing.assert_array_equal(decode(piece).pixels, files.ramp())


def test_a_dicom_file_that_is_also_something_else_is_dicom() -> None:
    data = files.encode(files.dataset(files.ramp()))
    for start in (b"II*\0", b"BM", b"GIF89a", b"MZ"):
        assert sniff(start + data[len(start) :]) is Format.DICOM


def test_file_size_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = files.png(np.zeros((4, 4), np.uint8))
    at_cap, above = (
        data + bytes(limits.MAX_FILE_BYTES - len(data)),
        data + bytes(limits.MAX_FILE_BYTES - len(data) + 1),
    )
    assert open_study(at_cap).shape == (4, 4)
    path = tmp_path / "big"
    path.write_bytes(above)
    for attempt in (lambda: open_study(above), lambda: open_path(path)):
        with pytest.raises(TooLargeError, match="64"):
            attempt()


def test_the_child_gives_what_this_process_would() -> None:
    pixels = files.ramp(50, 60, 4095)
    data = files.encode(
        files.dataset(
            pixels,
            PixelPaddingValue=0,
            WindowCenter=["100", "200"],
            WindowWidth=["50", "60"],
            VOILUTFunction="SIGMOID",
            ImagerPixelSpacing=[0.1, 0.2],
            PatientAge="050Y",
            PhotometricInterpretation="MONOCHROME1",
            PresentationIntentType="FOR PROCESSING",
        )
    )
    here, there = decode(data), open_study(data)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert here.padding is not None and there.padding is not None
    np.testing.assert_array_equal(here.padding, there.padding)
    for name in (
        "digest",
        "metadata",
        "voi",
        "presets",
        "inverted",
        "spacing",
        "frame",
        "frames",
        "identity",
        "tags",
        "warnings",
    ):
        assert getattr(here, name) == getattr(there, name), name
    assert there.digest == hashlib.sha256(data).hexdigest()
    assert not there.pixels.flags.writeable
    np.testing.assert_array_equal(here.presentation(), there.presentation())


def test_a_voi_table_survives_the_way() -> None:
    from test_grayscale import table

    data = files.encode(
        files.dataset(files.ramp(), VOILUTSequence=table(5, [0, 30000, 65535], explanation="SOFT"))
    )
    here, there = decode(data), open_study(data)
    assert (there.voi.first, there.voi.name) == (5, "SOFT")  # type: ignore[union-attr]
    np.testing.assert_array_equal(here.presentation(), there.presentation())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_damage_gives_an_answer_or_a_cxr_error(data: st.DataObject) -> None:
    """Whatever bytes change, the reader answers or refuses; it never raises anything else."""
    whole = bytearray(WHOLE[data.draw(st.integers(0, len(WHOLE) - 1))])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        opened = decode(bytes(whole))
    except CxrError:
        return
    assert np.isfinite(opened.pixels).all()


WHOLE = [
    files.encode(files.dataset(files.ramp(), WindowCenter=50, WindowWidth=100)),
    files.encode(files.dataset(files.ramp()), files.NATIVE[0]),
    files.encode(files.dataset(files.ramp()), files.BY_PYDICOM[0]),
    files.png(files.ramp(8, 8, 255).astype(np.uint8)),
    files.jpeg(files.ramp(16, 16, 255).astype(np.uint8)),
]


def test_importing_the_door_brings_neither_networks_nor_decoders() -> None:
    unwanted = "{'torch', 'streamlit', 'pydicom', 'gdcm', 'PIL'}"
    code = f"import sys, cxrviewer.studies.sources; print(*sorted({unwanted} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == ""
