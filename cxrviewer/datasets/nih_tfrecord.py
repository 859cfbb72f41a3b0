"""ChestX-ray14 as TFRecords (a public re-encoding at 600 x 600, one channel): labels and pictures, nothing else.

Reads `data/NNN-COUNT.tfrec` and, where it is there, `preprocessed_data.csv`. Views, ages and sexes were left out by
those who made it; the patient stands in the picture's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.datasets.columns import repeated
from cxrviewer.datasets.dataset import NO_FINDING, Dataset, Row
from cxrviewer.datasets.files import find
from cxrviewer.datasets.label_file import header_of, read_columns
from cxrviewer.datasets.nih import CITATION, LABELS, LICENCE, labels_of
from cxrviewer.datasets.tfrecords import Record, Value, parse_example, records_of
from cxrviewer.errors import LabelFileError, NotFoundError, UnreadableError
from cxrviewer.labels import NIH_14

LISTING = "preprocessed_data.csv"
ID_COLUMNS = ("image_id", "Image Index", "image", "id")
NAMES = (*NIH_14, NO_FINDING)
SHARD = re.compile(r"(\d+)-(\d+)\.tfrec")
_IMAGE = re.compile(r"(\d{8})_\d{3}(\.\w{1,5})?")
_JPEG = b"\xff\xd8\xff"
_AGAIN = "Fetch the file again."


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture inside a shard."""

    name: str
    record: Record

    @property
    def origin(self) -> tuple[Path, int]:
        """The shard that it lies in, and where."""
        return self.record.path, self.record.offset

    def read_bytes(self) -> bytes:
        """The JPEG file. Raises UnreadableError."""
        return _picture(parse_example(self.record.read()), self.name)


def read(root: Path) -> Dataset:
    """The shards' pictures; every checksum is looked at. Raises NotFoundError, UnreadableError or LabelFileError."""
    folder = root / "data" if (root / "data").is_dir() else root
    shards = sorted(
        path for path in folder.glob("*.tfrec") if SHARD.fullmatch(path.name) and not path.is_symlink()
    )
    if not shards:
        raise NotFoundError(
            "No data/NNN-COUNT.tfrec was found.",
            "Point at the folder that holds data/ and preprocessed_data.csv.",
        )
    rows: list[Row] = []
    members: dict[str, Encoded] = {}
    names: dict[str, str] = {}
    for shard in shards:
        place = shard.relative_to(root).as_posix()
        for name, record, labels in _records(shard):
            image, patient = f"{place}!{name}", f"nih:{int(name.split('_')[0])}"
            if name in names:
                raise LabelFileError(f"{shard.name} holds a picture that stood before.", _AGAIN)
            names[name] = image
            members[image] = Encoded(image.rsplit("/", 1)[-1], record)
            rows.append(Row(image, patient, patient, labels))
    missing, notes = _compare(root / LISTING, names, rows)
    return Dataset(
        "nih-tfrecord",
        root,
        tuple(rows),
        (*LABELS, NO_FINDING),
        missing,
        LICENCE,
        CITATION,
        notes,
        members=members,
    )


def _records(shard: Path) -> Iterator[tuple[str, Record, dict[str, float]]]:
    count = 0
    for record, data in records_of(shard):
        count += 1
        try:
            example = parse_example(data)
            (name,) = example["image_id"]
            text = name.decode("ascii") if isinstance(name, bytes) else ""
            if not _IMAGE.fullmatch(text):
                raise ValueError("the name is none of ChestX-ray14")
            _picture(example, text)
            present = [label for label in NAMES if _flag(example, label)]
            if not present or (NO_FINDING in present and len(present) > 1):
                raise ValueError("No Finding beside a finding, or nothing at all")
        except (KeyError, ValueError, UnreadableError) as exc:
            raise LabelFileError(
                f"{shard.name}, record {count}: image, image_id and the 15 labels are not all there and in order.",
                _AGAIN,
            ) from exc
        yield text, record, labels_of(present) | {NO_FINDING: float(present == [NO_FINDING])}
    expected = int(shard.stem.split("-")[1])
    if count != expected:
        raise LabelFileError(f"{shard.name} holds {count} records; its name says {expected}.", _AGAIN)


def _flag(example: dict[str, Value], label: str) -> bool:
    (value,) = example[label]
    if value not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return bool(value)


def _picture(example: dict[str, Value], name: str) -> bytes:
    values = example.get("image", ())
    if len(values) == 1 and isinstance(values[0], bytes) and values[0].startswith(_JPEG):
        return values[0]
    raise UnreadableError(f"The record of {name} holds no JPEG.", _AGAIN)


def _compare(path: Path, names: dict[str, str], rows: list[Row]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the owner's table names and the shards lack. Raises LabelFileError where labels differ."""
    if not path.is_file():
        return (), (f"Without {LISTING} it cannot be told whether shards are missing.",)
    header = header_of(path)
    column = next((name for name in ID_COLUMNS if name in header), None)
    if column is None:
        raise LabelFileError(f"{path.name}, line 1: no column named {ID_COLUMNS[0]}.", "Fetch it again.")
    table = read_columns(path, (column,), NAMES)
    hashes = table.hashes(column)
    table.refuse(~table.matches(column, f"^{_IMAGE.pattern}$"), "a picture's name is none of ChestX-ray14")
    table.refuse(repeated(hashes), "a picture that was named before")
    for label in NAMES:
        table.refuse(
            table.coded[label].where(lambda v: v not in ("0", "1", "0.0", "1.0")),
            f"{label} is neither 0 nor 1",
        )
    found = find(table, column, hashes, names)
    by_image = {row.image: row for row in rows}
    differ = table.empty(column)
    for label in NAMES:
        stated = table.coded[label].at(found.rows, float)
        for row, image, value in zip(found.rows, found.paths, stated, strict=True):
            own = by_image[image].labels
            differ[row] |= value != (own[label] if label in own else float(not any(own[n] for n in NIH_14)))
    table.refuse(differ, "other labels than in the picture's record")
    unlisted = len(names) - len(found.rows)
    return tuple(found.missing), (f"{unlisted} pictures are not in {path.name}.",) if unlisted else ()
