"""TFRecords: known checksums, both spellings of a number, and every kind of damage."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dataset_folders import FOLDERS, crc32c, delimited, example, frame, masked, record_of, varint

from cxrviewer.datasets import read_dataset
from cxrviewer.datasets.tfrecords import masked_crc, parse_example, records_of
from cxrviewer.errors import CxrError, LabelFileError, TooLargeError, UnreadableError
from cxrviewer.labels import NIH_14


def test_the_checksum_is_crc32c() -> None:
    # RFC 3720, appendix B.4, and the check value of the CRC catalogues.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    # Masked as tensorflow/core/lib/hash/crc32c.h masks it.
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrec"
    path.write_bytes(b"".join(frame(data) for data in (b"one", b"", b"three")))
    found = list(records_of(path))
    assert [data for _, data in found] == [b"one", b"", b"three"]
    assert [record.read() for record, _ in found] == [b"one", b"", b"three"]


@pytest.mark.parametrize("place", range(len(frame(b"one"))))
def test_one_changed_bit_is_noticed(tmp_path: Path, place: int) -> None:
    data = bytearray(frame(b"one"))
    data[place] ^= 4
    (tmp_path / "a.tfrec").write_bytes(data)
    with pytest.raises(UnreadableError, match=r"a\.tfrec is (damaged|cut short)"):
        list(records_of(tmp_path / "a.tfrec"))


@pytest.mark.parametrize("length", range(1, len(frame(b"one"))))
def test_a_file_cut_short_is_noticed(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.tfrec").write_bytes(frame(b"one")[:length])
    with pytest.raises(UnreadableError, match="cut short"):
        list(records_of(tmp_path / "a.tfrec"))


def test_a_length_beyond_any_picture_takes_no_memory(tmp_path: Path) -> None:
    length = pack("<Q", 1 << 50)
    (tmp_path / "a.tfrec").write_bytes(length + pack("<I", masked(length)) + b"x" * 100)
    with pytest.raises(TooLargeError):
        list(records_of(tmp_path / "a.tfrec"))


@given(
    st.dictionaries(st.text(max_size=5), st.binary(max_size=9) | st.integers(-(1 << 63), (1 << 63) - 1)),
    st.booleans(),
)
def test_examples_read_back(features: dict[str, bytes | int], packed: bool) -> None:
    assert parse_example(example(features, packed)) == {name: (value,) for name, value in features.items()}


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_unreadable(data: bytes) -> None:
    try:
        parse_example(data)
    except UnreadableError as refused:
        assert refused.kind == "unreadable"  # nothing else may come out


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05abc",  # a length past the end
        b"\x0a\x80" + b"\x80" * 10 + b"\x01",  # a number of more than ten bytes
        b"\x0d1234",  # a fixed 32-bit field
        delimited(2, b""),  # another field than features
        delimited(1, delimited(1, delimited(1, b"name"))),  # a name without a feature
        delimited(1, delimited(1, delimited(1, b"\xff") + delimited(2, delimited(3, b"")))),  # no UTF-8
        delimited(1, delimited(1, delimited(1, b"n") + delimited(2, delimited(2, b"")))),  # floats
        delimited(1, delimited(1, varint(1 << 3) + varint(1) + delimited(2, b""))),  # a name that is a number
    ],
)
def test_what_is_no_example_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_example(data)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (record_of("anna.png", ["Mass"], 9), "are not all there and in order"),
        (record_of("00000009_000.png", [], 9), "are not all there and in order"),
        (record_of("00000009_000.png", ["Mass", "No Finding"], 9), "are not all there and in order"),
        (record_of("00000001_000.png", ["Mass"], 9), "holds a picture that stood before"),
        (example({"image_id": b"00000009_000.png"}), "are not all there and in order"),
        (b"no example", "are not all there and in order"),
    ],
)
def test_a_wrong_record_is_refused(tmp_path: Path, record: bytes, words: str) -> None:
    root = FOLDERS["nih-tfrecord"](tmp_path).root
    (root / "data/002-1.tfrec").write_bytes(frame(record))
    with pytest.raises(LabelFileError, match=rf"002-1\.tfrec.*{words}"):
        read_dataset("nih-tfrecord", root)


def test_a_shard_holds_as_many_records_as_it_says(tmp_path: Path) -> None:
    root = FOLDERS["nih-tfrecord"](tmp_path).root
    (root / "data/000-3.tfrec").rename(root / "data/000-4.tfrec")
    with pytest.raises(LabelFileError, match=r"000-4\.tfrec holds 3 records; its name says 4"):
        read_dataset("nih-tfrecord", root)


def test_a_picture_damaged_later_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    root = FOLDERS["nih-tfrecord"](tmp_path).root
    dataset = read_dataset("nih-tfrecord", root)
    shard = root / "data/001-1.tfrec"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CxrError, match="wrong checksum"):
        dataset.picture(dataset.rows[3]).read_bytes()


def test_the_fifteenth_label_is_stated_in_every_row(tmp_path: Path) -> None:
    dataset = read_dataset("nih-tfrecord", FOLDERS["nih-tfrecord"](tmp_path).root)
    stated = dataset.targets((*NIH_14, "No Finding"))
    # Present where none of the fourteen is, and nowhere else.
    assert stated[:, 14].tolist() == (stated[:, :14].sum(1) == 0).astype(float).tolist()
    assert 0 < stated[:, 14].sum() < len(stated)
