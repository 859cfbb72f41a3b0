"""Four pictures of every data set, in the folders, names and tables that their owners publish."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support import dicom_files

from cxrviewer.labels import CHEXPERT_14, NIH_14

Table = Sequence[Sequence[object]]


@dataclass(frozen=True)
class Folder:
    """What was written, and what a reader must find in it.

    listing: the label file, whose last line is the fourth picture's. bad: (column, value, words of the refusal) for
    line 3. counts: positives of some labels. lost: a file whose picture then is missing, under that name.
    """

    root: Path
    patients: int
    counts: dict[str, int]
    official: dict[str, int] = field(default_factory=dict)
    listing: str = ""
    bad: tuple[tuple[str, str, str], ...] = ()
    lost: tuple[str, str] | None = None
    options: dict[str, Any] = field(default_factory=dict)


def picture(path: Path, grey: int) -> None:
    """A small grey picture, in the format that its name says; each grey is another picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((12, 16), grey, np.uint8)
    pixels[2:5, 3 : 5 + grey % 9] = 255 - grey
    if path.suffix in (".dcm", ".dicom"):
        made = dicom_files.dataset(pixels, PatientID=f"P-{grey}", PatientAge="063Y", ViewPosition="AP")
        path.write_bytes(dicom_files.encode(made))
    else:
        encode = dicom_files.png if path.suffix == ".png" else dicom_files.jpeg
        path.write_bytes(encode(pixels))


def table(path: Path, rows: Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def kermany(root: Path) -> Folder:
    names = ("train/NORMAL/IM-0115-0001.jpeg", "train/PNEUMONIA/person3_bacteria_10.jpeg")
    names += ("val/PNEUMONIA/person1946_virus_1.jpeg", "test/NORMAL/NORMAL2-IM-0001-0001.jpeg")
    for grey, name in enumerate(names):
        picture(root / name, 40 + grey)
    return Folder(root, 4, {"pneumonia": 2, "bacterial": 1}, {"train": 2, "tune": 1, "report": 1})


NIH_HEADER = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "",
)  # fmt: skip
NIH_ROWS = (
    ("00000001_000.png", "Cardiomegaly|Effusion", 0, 1, "058Y", "M", "PA", 2682, 2749, 0.14, 0.14, ""),
    ("00000001_001.png", "No Finding", 1, 1, "058Y", "M", "AP", 2682, 2749, 0.14, 0.14, ""),
    ("00000002_000.png", "Pneumonia", 0, 2, "013M", "F", "AP", 2682, 2749, 0.14, 0.14, ""),
    ("00000003_000.png", "Infiltration", 0, 3, "414Y", "F", "PA", 2682, 2749, 0.14, 0.14, ""),
)


def nih(root: Path) -> Folder:
    listing = "Data_Entry_2017.csv"
    table(root / listing, [NIH_HEADER, *NIH_ROWS])
    for number, row in enumerate(NIH_ROWS):
        picture(root / f"images_{number + 1:03}/images/{row[0]}", 40 + number)
    box = ("00000003_000.png", "Infiltrate", 256, 512, 128, 64, "", "", "")
    table(
        root / "BBox_List_2017.csv",
        [("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""), box],
    )
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000002_000.png", "utf-8")
    (root / "test_list.txt").write_text("00000003_000.png\n", "utf-8")
    return Folder(
        root, 3, {"Effusion": 1, "pneumonia": 1, "abnormal": 3}, {"train": 3, "report": 1}, listing,
        (
            ("Finding Labels", "Gout", "an unknown finding"),
            ("Patient ID", "anna", "a patient that is no number"),
            ("Image Index", "../x.png", "a picture outside the folder"),
            ("Patient Age", "", "an age that is no number"),
        ),
        ("images_004/images/00000003_000.png", "00000003_000.png"),
    )  # fmt: skip


CHEXPERT_HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_14)


def chexpert_line(path: str, side: str, projection: str, **stated: str) -> tuple[str, ...]:
    values = [stated.get(name.replace(" ", "_"), "") for name in CHEXPERT_14]
    return (f"CheXpert-v1.0-small/{path}", "Female", "68", side, projection, *values)


def chexpert(root: Path) -> Folder:
    lines = (
        chexpert_line("train/patient00001/study1/view1_frontal.jpg", "Frontal", "AP", No_Finding="1.0"),
        chexpert_line(
            "train/patient00002/study1/view1_frontal.jpg", "Frontal", "PA", Pneumonia="1.0", Edema="-1.0"
        ),
        chexpert_line(
            "train/patient00002/study1/view2_lateral.jpg", "Lateral", "", Edema="0.0", Pneumonia="-1.0"
        ),
    )
    valid = chexpert_line(
        "valid/patient64541/study1/view1_frontal.jpg", "Frontal", "AP", Pleural_Effusion="1.0"
    )
    table(root / "train.csv", [CHEXPERT_HEADER, *lines])
    table(root / "valid.csv", [CHEXPERT_HEADER, valid])
    for grey, line in enumerate((*lines, valid)):
        picture(root / line[0].split("/", 1)[1], 40 + grey)
    return Folder(
        root, 3, {"Pneumonia": 1, "Edema": 0, "Pleural Effusion": 1}, {"train": 3, "report": 1}, "train.csv",
        (
            ("Edema", "2.0", "Edema is none of 1, 0, -1 and empty"),
            ("Edema", "nan", "Edema is none of 1, 0, -1 and empty"),
            ("Frontal/Lateral", "Oblique", "Frontal/Lateral is neither"),
            ("Age", "", "an age that is no number"),
            ("Path", "/etc/patient1/x.jpg", "a path outside the folder"),
            ("Path", "CheXpert/view1.jpg", "a path without patientNNNNN"),
        ),
        ("train/patient00002/study1/view2_lateral.jpg", f"{lines[2][0]}"),
    )  # fmt: skip


def siim(root: Path) -> Folder:
    # The owner's header has a blank before its second name.
    rows = (("1.2.1", "-1"), ("1.2.2", " 5 2 10 3"), ("1.2.3", "-1"), ("1.2.4", "0 12"))
    table(root / "train-rle.csv", [("ImageId", " EncodedPixels"), *rows])
    for grey, (name, _) in enumerate(rows):
        picture(root / f"dicom-images-train/1.9.{name}/1.8.{name}/{name}.dcm", 40 + grey)
    return Folder(
        root, 4, {"Pneumothorax": 2}, {}, "train-rle.csv",
        (
            (" EncodedPixels", "5 2 10", "neither -1 nor pairs"),
            (" EncodedPixels", "nan", "neither -1 nor pairs"),
            (" EncodedPixels", "190 5", "a mask leaves the picture"),
            ("ImageId", "", "a picture without a name"),
            ("ImageId", "../1.2.2", "a name that is a path"),
        ),
        ("dicom-images-train/1.9.1.2.4/1.8.1.2.4/1.2.4.dcm", "1.2.4"),
    )  # fmt: skip


def rsna(root: Path) -> Folder:
    names = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(4)]
    none, first, second = ("", "", "", "", 0), (4, 3, 8, 6, 1), (0, 0, 2, 2, 1)
    boxes = [(name, *box) for name, box in zip(names, (none, first, none, second), strict=True)]
    table(root / "stage_2_train_labels.csv", [("patientId", "x", "y", "width", "height", "Target"), *boxes])
    kinds = ("Normal", "Lung Opacity", "No Lung Opacity / Not Normal", "Lung Opacity")
    classes = list(zip(names, kinds, strict=True))
    # The owner repeats a picture's class for each of its boxes.
    table(root / "stage_2_detailed_class_info.csv", [("patientId", "class"), *classes, classes[1]])
    for grey, name in enumerate(names):
        picture(root / f"stage_2_train_images/{name}.dcm", 40 + grey)
    # Two of the four pictures are of one person, by the owner's mapping to ChestX-ray14.
    images = ("00000007_000.png", "00000007_001.png", "00000008_000.png", "00000009_000.png")
    mapping = [
        {"subset_img_id": n, "img_id": i, "SOPInstanceUID": "1.2"} for n, i in zip(names, images, strict=True)
    ]
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapping), "utf-8")
    return Folder(
        root, 3, {"pneumonia": 2, "Lung Opacity": 2, "abnormal": 3}, {}, "stage_2_train_labels.csv",
        (
            ("Target", "2", "Target is neither 0 nor 1"),
            ("Target", "", "Target is neither 0 nor 1"),
            ("x", "nan", "x is no number"),
            ("x", "", "a target without a box"),
            ("width", "-1", "a box without an inside"),
            ("width", "14", "a box leaves the picture"),
            ("patientId", "", "a picture without a name"),
            ("patientId", "a/b", "a name that is a path"),
        ),
        (f"stage_2_train_images/{names[3]}.dcm", names[3]),
    )  # fmt: skip


VINDR_LABELS = ("Cardiomegaly", "Pleural effusion", "Pneumonia", "Other diseases", "No finding")
VINDR_HEADER = ("image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max")


def vindr(root: Path) -> Folder:
    votes = {
        "aa": ((1, 0, 0, 0, 0), (1, 1, 0, 0, 0), (0, 0, 0, 0, 1)),
        "bb": ((0, 0, 0, 0, 1),) * 3,
        "cc": ((0, 1, 1, 0, 0),) * 3,
    }
    rows = [(image, f"R{n}", *vote) for image, each in votes.items() for n, vote in enumerate(each, 1)]
    table(root / "annotations/image_labels_train.csv", [("image_id", "rad_id", *VINDR_LABELS), *rows])
    test = ("image_id", *(name.replace("diseases", "disease") for name in VINDR_LABELS))
    table(root / "annotations/image_labels_test.csv", [test, ("dd", 0, 0, 1, 0, 0)])
    marks = (
        ("aa", "R1", "Cardiomegaly", 4.0, 3.0, 12.0, 9.0),
        ("aa", "R2", "Cardiomegaly", 4.5, 3.0, 12.0, 9.0),
        ("aa", "R2", "Pleural effusion", 0, 0, 2.5, 2.5),
        ("bb", "R1", "No finding", "", "", "", ""),
        ("cc", "R1", "Pleural effusion", 8, 6, 16, 12),
    )
    table(root / "annotations/annotations_train.csv", [VINDR_HEADER, *marks])
    table(
        root / "annotations/annotations_test.csv",
        [[name for name in VINDR_HEADER if name != "rad_id"], ("dd", "No finding", "", "", "", "")],
    )
    for grey, name in enumerate(("train/aa", "train/bb", "train/cc", "test/dd")):
        picture(root / f"{name}.dicom", 40 + grey)
    return Folder(
        root, 4, {"Cardiomegaly": 1, "Effusion": 1, "pneumonia": 2}, {"train": 3, "report": 1},
        "annotations/image_labels_train.csv",
        (
            ("Pneumonia", "2", "Pneumonia is neither 0 nor 1"),
            ("Pneumonia", "", "Pneumonia is neither 0 nor 1"),
            ("image_id", "", "a picture without a name"),
            ("image_id", "..", "a name that is a path"),
        ),
        ("train/cc.dicom", "cc"),
    )  # fmt: skip


def nlm(root: Path) -> Folder:
    names = [f"images/CHNCXR_000{number}_{number % 2}.jpg" for number in range(4)]
    rows = [(name, "", number % 2) for number, name in enumerate(names)]
    table(root / "labels.csv", [("image", "mask", "tb"), *rows])
    for grey, name in enumerate(names):
        picture(root / name, 40 + grey)
    bad = (("tb", "", "tb is neither 0 nor 1"), ("image", "../x.jpg", "a picture outside the folder"))
    return Folder(root, 4, {"tuberculosis": 2}, {}, "labels.csv", bad, (names[3], names[3]))


def covid(root: Path) -> Folder:
    rows = [(f"p{n}", f"a{n}", "f", 61, "pa") for n in range(4)]
    table(root / "data.csv", [("patient_id", "image_id", "sex", "age", "projection"), *rows])
    for number in range(4):
        picture(root / f"a{number}.jpg", 40 + number)
    bad = (
        ("image_id", "../a1", "a picture outside the folder"),
        ("patient_id", "", "a picture without a patient"),
    )
    return Folder(root, 4, {"pneumonia": 4}, {}, "data.csv", bad, ("a3.jpg", "a3.jpg"))


def folder(root: Path) -> Folder:
    names = (
        "train/pneumonia/p1_a.png",
        "train/normal/p2_a.jpg",
        "val/normal/p3_a.dcm",
        "test/pneumonia/p1_b.png",
    )
    for grey, name in enumerate(names):
        picture(root / name, 40 + grey)
    return Folder(root, 4, {"pneumonia": 2, "normal": 2}, {"train": 2, "tune": 1, "report": 1})


def any_csv(root: Path) -> Folder:
    rows = (
        ("a/1.png", "anna", "PA", 60, "F", "train", 1, ""),
        ("a/2.dcm", "bert", "ap", "", "M", "train", 0, 1),
        ("a/3.jpg", "bert", "lateral", 61, "M", "train", 0, 0),
        ("b/4.png", "carl", "", 2.5, "", "test", 1, 1),
    )
    header = ("path", "patient", "view", "age", "sex", "split", "pneumonia", "Mass")
    table(root / "my.csv", [header, *rows])
    for grey, row in enumerate(rows):
        picture(root / str(row[0]), 40 + grey)
    columns = {
        "path": "path",
        "patient": "patient",
        "view": "view",
        "age": "age",
        "sex": "sex",
        "split": "split",
    }
    return Folder(
        root, 3, {"pneumonia": 2, "Mass": 2}, {"train": 3, "report": 1}, "my.csv",
        (
            ("pneumonia", "2", "pneumonia is none of 1, 0 and empty"),
            ("pneumonia", "nan", "pneumonia is none of 1, 0 and empty"),
            ("path", "../a/2.dcm", "a path outside the folder"),
            ("path", "", "a picture without a name"),
            ("patient", " ", "a picture without a patient"),
            ("age", "old", "age is not one of: a number up to 120"),
            ("view", "sideways", "view is not one of"),
            ("split", "holdout", "split is not one of"),
        ),
        ("b/4.png", "b/4.png"),
        {**columns, "labels": ["pneumonia", "Mass"]},
    )  # fmt: skip


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit (RFC 3720, appendix B.4), apart from the library that the reader uses."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """One TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(features: dict[str, bytes | int], packed: bool = True) -> bytes:
    """A serialised tf.train.Example of bytes and int64 features."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = delimited(1, delimited(1, value))
        else:
            feature = delimited(3, delimited(1, varint(value)) if packed else varint(1 << 3) + varint(value))
        entries += delimited(1, delimited(1, name.encode()) + delimited(2, feature))
    return delimited(1, entries)


def record_of(name: str, findings: Sequence[str], grey: int, packed: bool = True) -> bytes:
    pixels = np.full((12, 16), grey, np.uint8)
    labels = {label: int(label in findings) for label in (*NIH_14, "No Finding")}
    return example({"image": dicom_files.jpeg(pixels), "image_id": name.encode(), **labels}, packed)


def nih_tfrecord(root: Path) -> Folder:
    pictures = [(str(row[0]), str(row[1]).split("|")) for row in NIH_ROWS]
    (root / "data").mkdir(parents=True)
    for shard, rows in (("000-3", pictures[:3]), ("001-1", pictures[3:])):
        records = [
            record_of(name, names, 50 * len(names) + 10 * int(name[7]) + int(name[11]), int(name[7]) % 2 == 0)
            for name, names in rows
        ]
        (root / f"data/{shard}.tfrec").write_bytes(b"".join(map(frame, records)))
    labels = (*NIH_14, "No Finding")
    lines = [(name, *(int(label in names) for label in labels)) for name, names in pictures]
    table(root / "preprocessed_data.csv", [("image_id", *labels), *lines])
    return Folder(
        root, 3, {"Effusion": 1, "pneumonia": 1, "abnormal": 3}, {}, "preprocessed_data.csv",
        (
            ("image_id", "../x.png", "a picture's name is none of ChestX-ray14"),
            ("Hernia", "2", "Hernia is neither 0 nor 1"),
            ("Hernia", "", "Hernia is neither 0 nor 1"),
            ("Hernia", "1", "other labels than in the picture's record"),
        ),
        ("data/001-1.tfrec", "00000003_000.png"),
    )  # fmt: skip


def xrayvision(root: Path) -> Folder:
    chexpert(root)
    views = ["AP", "PA", "L"]
    arguments = {"csvpath": str(root / "train.csv"), "views": views, "unique_patients": False}
    for grey in range(2):  # the fourth picture is in the owner's validation table
        picture(root / f"train/patient0000{grey + 3}/study1/view1_frontal.jpg", 60 + grey)
    extra = chexpert_line(
        "train/patient00003/study1/view1_frontal.jpg", "Frontal", "AP", Pleural_Effusion="1.0"
    )
    with (root / "train.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(extra)
    options = {"data": "CheX_Dataset", "arguments": arguments}
    return Folder(root, 3, {"Effusion": 1, "Pneumonia": 1}, options=options)


FOLDERS: dict[str, Callable[[Path], Folder]] = {
    "kermany": kermany, "nih": nih, "nih-tfrecord": nih_tfrecord, "chexpert": chexpert, "siim": siim, "rsna": rsna,
    "vindr": vindr, "nlm": nlm, "covid": covid, "folder": folder, "csv": any_csv, "torchxrayvision": xrayvision,
}  # fmt: skip
"""Data set -> what writes its four pictures."""
