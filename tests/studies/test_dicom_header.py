"""What the header states: view, age, spacing, identity, tags; and what it must not do."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support import dicom_files as files

from cxrviewer.studies.dicom import BURNED_IN_WARNING, FOR_PROCESSING_WARNING
from cxrviewer.studies.header import MAX_TAGS, age_years, tags, view
from cxrviewer.studies.opening import decode
from cxrviewer.studies.radiograph import Identity, Radiograph, SpacingReference, View

CALIBRATED, DETECTOR, UNKNOWN = (
    SpacingReference.CALIBRATED,
    SpacingReference.DETECTOR,
    SpacingReference.UNKNOWN,
)


def opened(**attributes: Any) -> Radiograph:
    return decode(files.encode(files.dataset(files.ramp(4, 4), **attributes)))


def coded(value: str, meaning: str, scheme: str = "SCT") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ViewPosition": "PA"}, View.PA),
        ({"ViewPosition": "AP"}, View.AP),
        ({"ViewPosition": "LL"}, View.LATERAL),
        ({"ViewPosition": "RL"}, View.LATERAL),
        ({"ViewPosition": "LLD"}, View.OTHER),
        ({"ViewPosition": "Postero-Anterior"}, View.PA),
        ({"ViewPosition": "MLO"}, View.OTHER),
        ({"ViewCodeSequence": coded("272479007", "postero-anterior")}, View.PA),
        ({"ViewCodeSequence": coded("R-10206", "antero-posterior", "SRT")}, View.AP),
        ({"ViewCodeSequence": coded("X", "left lateral", "99LOCAL")}, View.LATERAL),
        ({"ViewCodeSequence": coded("399162004", "cranio-caudal")}, View.OTHER),
        ({"ViewPosition": "AP", "ViewCodeSequence": coded("272479007", "postero-anterior")}, View.AP),
        ({"SeriesDescription": "Thorax p.a."}, View.PA),
        ({"SeriesDescription": "CHEST LATERAL"}, View.LATERAL),
        ({"SeriesDescription": "Chest PA and lateral"}, None),
        ({"SeriesDescription": "CHEST"}, None),
        ({"SeriesDescription": "PARANASAL"}, None),
        ({"ViewPosition": "AP", "SeriesDescription": "Chest PA"}, View.AP),
        ({}, None),
    ],
)
def test_view(attributes: dict[str, Any], expected: View | None) -> None:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    assert view(made) is expected


@pytest.mark.parametrize(
    ("attributes", "years"),
    [
        ({"PatientAge": "034Y"}, 34),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "026W"}, 26 / 52.18),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientAge": "old", "PatientBirthDate": "19800101", "StudyDate": "20200101"}, 40),
        ({"PatientBirthDate": "20200101", "StudyDate": "19800101"}, None),
        ({"PatientBirthDate": "19800101"}, None),
        ({}, None),
    ],
)
def test_age(attributes: dict[str, str], years: float | None) -> None:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    assert age_years(made) == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3, UNKNOWN, "PixelSpacing", None)),
        ({"PixelSpacing": [0.2, 0.3], "Modality": "CT"}, (0.2, 0.3, CALIBRATED, "PixelSpacing", None)),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1, DETECTOR, "ImagerPixelSpacing", None)),
        (
            {"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1]},
            (0.1, 0.1, DETECTOR, "ImagerPixelSpacing", None),
        ),
        (
            {"PixelSpacing": [0.09, 0.09], "ImagerPixelSpacing": [0.1, 0.1]},
            (0.09, 0.09, CALIBRATED, "PixelSpacing", None),
        ),
        (
            {
                "PixelSpacing": [0.1, 0.1],
                "ImagerPixelSpacing": [0.1, 0.1],
                "PixelSpacingCalibrationType": "GEOMETRY",
            },
            (0.1, 0.1, CALIBRATED, "PixelSpacing", None),
        ),
        (
            {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.1, 0.1, CALIBRATED, "PixelSpacing", None),
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": "1.1"},
            (0.1, 0.1, DETECTOR, "ImagerPixelSpacing", 1.1),
        ),
        (
            {"NominalScannedPixelSpacing": [0.17, 0.17]},
            (0.17, 0.17, UNKNOWN, "NominalScannedPixelSpacing", None),
        ),
        (
            {"PixelSpacing": [0.17, 0.17], "NominalScannedPixelSpacing": [0.17, 0.17]},
            (0.17, 0.17, UNKNOWN, "NominalScannedPixelSpacing", None),
        ),
        (
            {"PixelSpacing": [0.15, 0.15], "NominalScannedPixelSpacing": [0.17, 0.17]},
            (0.15, 0.15, CALIBRATED, "PixelSpacing", None),
        ),
        ({"ImagerPixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [-0.1, 0.1]}, None),
    ],
)
def test_spacing_says_where_its_millimetre_is(
    attributes: dict[str, Any], expected: tuple[Any, ...] | None
) -> None:
    spacing = opened(**attributes).spacing
    if expected is None:
        assert spacing is None
    else:
        assert spacing is not None
        found = (
            spacing.row_mm,
            spacing.column_mm,
            spacing.reference,
            spacing.attribute,
            spacing.magnification,
        )
        assert found == expected


def test_metadata_is_read_where_it_is_stated() -> None:
    meta = opened(
        StudyDate="20240229", ImageLaterality="U", PatientAge="007Y", PatientOrientation=["L", "F"]
    ).metadata
    assert (meta.modality, meta.body_part, meta.view, meta.laterality) == ("DX", "CHEST", View.PA, "U")
    assert (meta.age_years, meta.sex, meta.study_date) == (7, "F", "2024-02-29")
    assert (meta.patient_orientation, meta.photometric, meta.bits_stored) == ("L\\F", "MONOCHROME2", 16)
    assert meta.format == "DICOM" and not meta.lossy and not meta.for_processing


def test_for_processing_is_warned_of() -> None:
    radiograph = opened(PresentationIntentType="FOR PROCESSING")
    assert radiograph.metadata.for_processing
    assert radiograph.warnings == (FOR_PROCESSING_WARNING,)
    assert opened(PresentationIntentType="FOR PRESENTATION").warnings == ()


def test_burned_in_text_is_warned_of() -> None:
    assert opened(BurnedInAnnotation="YES").warnings == (BURNED_IN_WARNING,)
    assert opened(BurnedInAnnotation="NO").warnings == ()


def test_identity_is_kept_out_of_repr() -> None:
    radiograph = opened(PatientBirthDate="19700102")
    assert radiograph.identity == Identity("Phantom^Petra", "P-1", "1970-01-02")
    assert radiograph.identity.initials == "P. P."
    assert (
        "Petra" not in repr(radiograph) and "P-1" not in repr(radiograph) and "1970" not in repr(radiograph)
    )


def test_text_of_a_file_has_no_control_characters() -> None:
    data = files.encode(files.dataset(files.ramp(4, 4)))
    hostile = b"E\x1b[31mvil^\x07N \x00"
    data = data.replace(b"Phantom^Petra ", hostile[:14])
    radiograph = decode(data)
    assert radiograph.identity.patient_name == "E[31mvil^N"
    assert "\x1b" not in "".join(tag.value for tag in radiograph.tags)


def test_tags_are_plain_short_and_few() -> None:
    made = files.dataset(
        files.ramp(4, 4), ImageComments="long " * 100, RedPaletteColorLookupTableData=b"\0" * 30
    )
    made.ViewCodeSequence = coded("272479007", "postero-anterior")
    made.private_block(0x0011, "TEST", create=True).add_new(1, "LO", "private text")
    shown = {tag.number: tag for tag in tags(made)}
    assert shown["(0008,0060)"].value == "DX" and shown["(0008,0060)"].keyword == "Modality"
    assert shown["(0054,0220)"].value == "<1 items>"
    assert shown["(0028,1201)"].value == "<30 bytes>"
    assert shown["(0011,1001)"].keyword == "private"
    assert len(shown["(0020,4000)"].value) == 120
    many = Dataset()
    for i in range(MAX_TAGS + 50):
        many.add_new((0x0011, 0x1000 + i), "LO", "x")
    assert len(tags(many)) == MAX_TAGS


def test_a_malformed_value_is_no_reason_to_fail() -> None:
    made = files.dataset(files.ramp(4, 4), WindowCenter="5", WindowWidth="10")
    data = files.encode(made).replace(b"\x28\x00\x50\x10DS\x02\x005 ", b"\x28\x00\x50\x10DS\x02\x00xx")
    radiograph = decode(data)
    assert radiograph.presets == ()
    assert {tag.number: tag.value for tag in radiograph.tags}["(0028,1050)"]
