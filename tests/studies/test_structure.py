"""The walk over a DICOM file before it is parsed: caps one below and one above, and cut ends."""

from __future__ import annotations

import struct
import zlib

import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support import dicom_files as files

from cxrviewer.errors import TooLargeError, UnreadableError
from cxrviewer.studies import structure
from cxrviewer.studies.deidentify import plain_text, scrub_preamble, visible
from cxrviewer.studies.opening import decode


def nested(depth: int) -> Sequence:
    """`depth` sequences inside each other."""
    inner = Dataset()
    inner.CodeValue = "x"
    for _ in range(depth):
        outer = Dataset()
        outer.ViewCodeSequence = Sequence([inner])
        inner = outer
    return inner.ViewCodeSequence


@pytest.mark.parametrize("syntax", files.NATIVE, ids=lambda s: s.name)
def test_depth_one_below_and_one_above(syntax: uid.UID) -> None:
    decode(files.encode(files.dataset(files.ramp(4, 4), ViewCodeSequence=nested(32)), syntax))
    with pytest.raises(TooLargeError, match="deeper than 32"):
        decode(files.encode(files.dataset(files.ramp(4, 4), ViewCodeSequence=nested(33)), syntax))


def test_elements_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    made = files.dataset(files.ramp(4, 4), ViewCodeSequence=nested(1))
    # The sequence counts itself, its item and the element inside.
    count = len(made) + 2
    data = files.encode(made)
    monkeypatch.setattr(structure, "MAX_ELEMENTS", count)
    structure.dissect(data)
    monkeypatch.setattr(structure, "MAX_ELEMENTS", count - 1)
    with pytest.raises(TooLargeError, match="elements"):
        structure.dissect(data)


def test_an_element_bomb_is_refused_at_the_real_cap() -> None:
    element = struct.pack("<HH2sH", 0x0011, 0x1001, b"LO", 0)
    data = files.encode(files.dataset(files.ramp(4, 4)))
    with pytest.raises(TooLargeError, match="50,000"):
        decode(data + element * 50_001)


def test_a_deflate_bomb_stops_at_the_cap() -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)), uid.DeflatedExplicitVRLittleEndian)
    start = structure._file_meta(data)[1]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(300)), packer.flush()])
    with pytest.raises(TooLargeError, match="256 MB"):
        decode(data[:start] + bomb)


def test_the_inflated_cap_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)), uid.DeflatedExplicitVRLittleEndian)
    size = len(structure.dissect(data).data)
    monkeypatch.setattr(structure, "MAX_INFLATED_BYTES", size)
    structure.dissect(data)
    monkeypatch.setattr(structure, "MAX_INFLATED_BYTES", size - 1)
    with pytest.raises(TooLargeError):
        structure.dissect(data)


def test_undefined_lengths_are_walked() -> None:
    made = files.dataset(files.ramp(4, 4), ViewCodeSequence=nested(3))
    for place in made.iterall():
        if place.VR == "SQ":
            place.is_undefined_length = True
            for item in place.value:
                item.is_undefined_length_sequence_item = True
    data = files.encode(made)
    assert data.count(b"\xfe\xff\xdd\xe0") == 3
    decode(data)
    inside = data.index(b"\xfe\xff\xdd\xe0")
    with pytest.raises(UnreadableError):
        decode(data[:inside])


def test_zero_padding_behind_the_last_element_is_no_damage() -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)))
    decode(data + bytes(100))
    with pytest.raises(UnreadableError):
        decode(data + b"trailing rubbish")


def test_explicit_elements_under_an_implicit_label_are_read() -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)))
    # One byte shorter, so padded: 1.2.840.10008.1.2.1 -> 1.2.840.10008.1.2
    relabelled = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)
    assert (decode(relabelled).pixels == decode(data).pixels).all()


def test_the_preamble_is_zeroed_and_nothing_else() -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)))
    polyglot = b"MZ" + b"\x90" * 126 + data[128:]
    assert scrub_preamble(polyglot) == data
    assert scrub_preamble(b"\xff\xd8\xff" + b"x" * 300) == b"\xff\xd8\xff" + b"x" * 300
    assert (decode(polyglot).pixels == decode(data).pixels).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain", "plain"),
        ("two\nlines\tand  spaces", "two lines and spaces"),
        ("\x1b]0;title\x07\x1b[2Jgone", "]0;title[2Jgone"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("Müller^Jürgen 肺", "Müller^Jürgen 肺"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_text_stays_text(given: str, expected: str) -> None:
    assert plain_text(given) == expected


def test_a_name_keeps_its_spaces_and_shows_what_cannot_be_seen() -> None:
    assert visible("a  b\n\x1b[1m\udcff.dcm") == "a  b??[1m?.dcm"
