"""DICOM bytes -> one frame as a `Radiograph`.

The order of PS3.3 and PS3.4 N.2: modality LUT (C.11.1), VOI LUT (C.11.2), polarity (C.11.6). The first is applied
here; the other two travel with the pixels as functions of them, see radiograph.py.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from cxrviewer.errors import UnreadableError, UnsupportedError
from cxrviewer.studies import grayscale, header
from cxrviewer.studies.colour import luminance
from cxrviewer.studies.pixel_data import GREY, LOSSY, PixelFormat, StoredFrame, decode_frame, pixel_format
from cxrviewer.studies.radiograph import Radiograph, Voi, Window, WindowFunction
from cxrviewer.studies.spacing import pixel_spacing
from cxrviewer.studies.structure import Anatomy, dissect

_PIXEL_DATA: Final = 0x7FE00010

FOR_PROCESSING_WARNING: Final = (
    "FOR PROCESSING (0008,0068): detector data, not a picture to read. It is shown, and gets no score."
)
BURNED_IN_WARNING: Final = (
    "Burned In Annotation (0028,0301): text in the picture may tell who the patient is."
)
COLOUR_WARNING: Final = "A colour picture: its luminance is shown."

NOT_A_PICTURE: Final[dict[str, str]] = {
    uid.SegmentationStorage: "a segmentation",
    uid.ParametricMapStorage: "a parametric map",
    uid.RTDoseStorage: "a dose distribution",
    uid.RTPlanStorage: "a radiotherapy plan",
    uid.RTStructureSetStorage: "a radiotherapy structure set",
    uid.EncapsulatedPDFStorage: "a PDF document",
    uid.EncapsulatedCDAStorage: "a document",
    uid.BasicTextSRStorage: "a structured report",
    uid.EnhancedSRStorage: "a structured report",
    uid.ComprehensiveSRStorage: "a structured report",
    uid.KeyObjectSelectionDocumentStorage: "a list of key images",
    uid.GrayscaleSoftcopyPresentationStateStorage: "a presentation state",
    uid.RawDataStorage: "raw data",
}
"""SOP classes (PS3.4 B.5) that are named in the refusal in plain words."""

NOT_A_PICTURE_MODALITY: Final = frozenset(
    {"RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR", "PR", "KO", "REG", "DOC"}
)


def read_dicom(data: bytes, frame: int, digest: str) -> Radiograph:
    """Decode frame `frame` (from 1) of a DICOM file. `digest` is sha256 of the file as received.

    Pixels that nothing rescales stay whole numbers, see `opening.decode`.
    Raises UnreadableError, UnsupportedError, TooLargeError, NotFoundError. Exceptions of pydicom itself pass
    through; `opening.decode` turns them into UnreadableError.
    """
    anatomy = dissect(data)
    dataset = read_header(anatomy)
    _refuse_other_objects(dataset, anatomy)
    layout = pixel_format(dataset)
    decoded = decode_frame(dataset, anatomy, layout, frame)
    stored = decoded.values
    groups = grayscale.frame_groups(dataset, frame)
    described = header.metadata(
        dataset, anatomy.transfer_syntax, layout.photometric, layout.stored, anatomy.transfer_syntax in LOSSY
    )
    warnings = [FOR_PROCESSING_WARNING] if described.for_processing else []
    if (header.text(dataset, "BurnedInAnnotation") or "").upper() == "YES":
        warnings.append(BURNED_IN_WARNING)
    padding = None
    presets: tuple[Window, ...] = ()
    voi: Voi | None
    if layout.photometric in GREY:
        padding = grayscale.padding_mask(stored, dataset, layout)
        pixels = grayscale.modality_values(stored, dataset, layout, groups)
        presets = grayscale.windows(groups)
        voi = grayscale.voi_lut(dataset, groups, layout.signed, pixels) or next(iter(presets), None)
    else:
        warnings.append(COLOUR_WARNING)
        pixels, voi = _colour(decoded, layout)
    if pixels.dtype.kind == "f" and not bool(np.isfinite(pixels).all()):
        raise UnreadableError("The rescaled pixels are not finite numbers.", "Export the image again.")
    return Radiograph(
        pixels=np.ascontiguousarray(pixels),
        digest=digest,
        metadata=described,
        voi=voi,
        presets=presets,
        inverted=layout.photometric in GREY and grayscale.is_inverted(layout.photometric, dataset),
        padding=padding,
        spacing=pixel_spacing(dataset, groups),
        frame=frame,
        frames=layout.frames,
        identity=header.identity(dataset),
        tags=header.tags(dataset),
        warnings=tuple(warnings),
    )


def read_header(anatomy: Anatomy) -> Dataset:
    """The data set up to the pixels, which are taken from the file's own bytes."""
    stream = BytesIO(anatomy.data)
    stream.seek(anatomy.start)
    dataset: Dataset = read_dataset(
        stream, anatomy.implicit, anatomy.little, stop_when=lambda tag, _vr, _length: tag >= _PIXEL_DATA
    )
    return dataset


def _refuse_other_objects(dataset: Dataset, anatomy: Anatomy) -> None:
    """UnsupportedError for what is no picture by its class, UnreadableError for a picture without pixels."""
    if "DirectoryRecordSequence" in dataset:
        raise UnsupportedError(
            "The file is a DICOMDIR, a list of pictures.", "Open the folder that it lies in."
        )
    modality = (header.text(dataset, "Modality") or "").upper()
    sop_class = uid.UID(header.text(dataset, "SOPClassUID") or "")
    name = NOT_A_PICTURE.get(sop_class)
    if name is None and modality in NOT_A_PICTURE_MODALITY:
        name = f"of modality {modality}, not a picture"
    if (
        name is None
        and anatomy.pixels is None
        and sop_class.name != sop_class
        and "Image" not in sop_class.name
    ):
        name = f"of the class {sop_class.name}, not a picture"
    if name is not None:
        raise UnsupportedError(f"The DICOM file is {name}.", "Choose a radiograph (CR or DX).")
    if anatomy.pixels is None:
        raise UnreadableError(
            "Pixel Data (7FE0,0010) is missing.", "Choose a DICOM file that holds an image."
        )


def _colour(decoded: StoredFrame, layout: PixelFormat) -> tuple[NDArray[np.float32], Window]:
    """Luminance, and the window that shows it as it is."""
    values = decoded.values
    bits = 8 * values.dtype.itemsize
    if layout.photometric != "PALETTE COLOR":
        bits = min(bits, layout.stored)
    white = (1 << bits) - 1
    ybr = decoded.photometric.startswith("YBR")
    luma = values[..., 0].astype(np.float32) if ybr else luminance(values)
    return luma, Window(white / 2, white, WindowFunction.LINEAR_EXACT, "as stored")
