"""A phantom as the files that hospitals and browsers exchange: DICOM (DX, for presentation) and PNG.

The patient's name, the descriptions and the manufacturer all say that it is a phantom; nothing is burnt in.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from cxrviewer.errors import ConfigurationError
from cxrviewer.studies.radiograph import View

if TYPE_CHECKING:
    from cxrviewer.studies.phantoms import Phantom

WINDOWS = (("STANDARD", 2048, 4096), ("LUNG", 1500, 2200))
"""Name, centre and width; LINEAR, so that the first shows 0 as black and 4095 as white."""

PHOTOMETRIC = ("MONOCHROME2", "MONOCHROME1")

_VIEWS = {View.PA: ("R-10214", "postero-anterior"), View.AP: ("R-10206", "antero-posterior")}
"""CID 4010 of PS3.16 (SNOMED RT codes, as most archives write them)."""


def phantom_png(phantom: Phantom) -> bytes:
    """The phantom as an 8-bit greyscale PNG: the upper 8 of the 12 bits."""
    stream = io.BytesIO()
    Image.fromarray((phantom.pixels >> 4).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def phantom_dicom(phantom: Phantom, *, photometric: str = "MONOCHROME2") -> bytes:
    """The phantom as a DICOM file (explicit little endian, 12 of 16 bits, zero preamble).

    With MONOCHROME1 the stored values and the windows are mirrored, so that both show the same picture. All
    UIDs follow from the seed and the pixels. Another photometric interpretation raises ConfigurationError.
    """
    if photometric not in PHOTOMETRIC:
        raise ConfigurationError(
            f"A phantom is not written as '{photometric}'.", f"Choose one of: {', '.join(PHOTOMETRIC)}."
        )
    digest = hashlib.sha256(phantom.pixels.tobytes()).hexdigest()
    ds = Dataset()
    _identify(ds, phantom, digest + photometric)
    _describe_exposure(ds, phantom)
    _fill_pixels(ds, phantom, photometric)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def _identify(ds: Dataset, phantom: Phantom, entropy: str) -> None:
    """Patient, study, series, equipment and instance (PS3.3 C.7 and C.12)."""
    seed = phantom.seed
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["phantom instance", entropy])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["phantom study", str(seed)])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["phantom series", str(seed), entropy])
    # A made-up day: a phantom has no date, but type 2 elements that are empty are rare in the wild.
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = "20000101"
    ds.StudyTime = ds.ContentTime = ds.AcquisitionTime = "120000"
    ds.AccessionNumber = ""
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "CXR Viewer (procedural phantom)"
    ds.ManufacturerModelName = "Phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "PHANTOM, no patient"
    ds.SeriesDescription = f"PHANTOM chest {phantom.view.value}"
    ds.PatientName = f"Phantom^Seed {seed}"
    ds.PatientID = f"PHANTOM-{seed}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "F" if phantom.body.female else "M"
    ds.PatientAge = f"{int(phantom.body.age):03d}Y"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Made by a program; there is no patient"
    ds.QualityControlSubject = "YES"
    ds.StudyID = str(seed)
    ds.SeriesNumber = ds.InstanceNumber = 1
    planted = phantom.planted
    ds.ImageComments = "Procedural phantom, not a patient. Planted: " + (
        "nothing." if planted is None else f"{planted.kind}, {planted.side} {planted.zone} zone."
    )


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _describe_exposure(ds: Dataset, phantom: Phantom) -> None:
    """DX anatomy, positioning and detector (PS3.3 C.8.11)."""
    ds.BodyPartExamined = "CHEST"
    ds.ViewPosition = phantom.view.value
    view = _code(_VIEWS[phantom.view][0], "SRT", _VIEWS[phantom.view][1])
    view.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = Sequence([view])
    ds.AnatomicRegionSequence = Sequence([_code("T-D3000", "SRT", "Chest")])
    ds.ImageLaterality = "U"
    # Columns run towards the patient's left, rows towards the feet, in PA and in AP as it is hung.
    ds.PatientOrientation = ["L", "F"]
    ds.PositionerType = "NONE"
    ds.DetectorType = "DIRECT"
    spacing = round(phantom.spacing_mm, 6)
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.AcquisitionContextSequence = Sequence()


def _fill_pixels(ds: Dataset, phantom: Phantom, photometric: str) -> None:
    """Image pixel, modality and VOI LUT modules (PS3.3 C.7.6.3, C.11.1, C.11.2; C.8.11.3 for DX)."""
    mirrored = photometric == "MONOCHROME1"
    stored = 4095 - phantom.pixels if mirrored else phantom.pixels
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = phantom.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship = "LOG"
    # Photons at the detector fall as the values rise (and the other way round when mirrored).
    ds.PixelIntensityRelationshipSign = 1 if mirrored else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "INVERSE" if mirrored else "IDENTITY"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    # LINEAR counts from centre - 0.5, so the mirror of c among 0..4095 is 4096 - c.
    ds.WindowCenter = [4096 - centre if mirrored else centre for _, centre, _ in WINDOWS]
    ds.WindowWidth = [width for _, _, width in WINDOWS]
    ds.WindowCenterWidthExplanation = [name for name, _, _ in WINDOWS]
    ds.VOILUTFunction = "LINEAR"
    ds.PixelData = stored.astype("<u2").tobytes()
