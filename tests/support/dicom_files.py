"""Small DICOM files for tests, written in every way that this machine can."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

BY_PYDICOM = (uid.RLELossless, uid.JPEG2000Lossless)
BY_GDCM = (uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)


def ramp(height: int = 32, width: int = 40, top: int = 4095) -> NDArray[np.uint16]:
    """An asymmetric picture: every flip, turn or inversion of it is another picture. Values 0 to `top`."""
    y, x = np.mgrid[:height, :width]
    values = (y * 61 + x * 17 + (y * x) % 23) % (top + 1)
    values[0, 0], values[-1, -1] = 0, top
    return values.astype(np.uint16)


def dataset(pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """A DX image of `pixels`: (H, W), (frames, H, W) or (H, W, 3) for RGB. `attributes` override; None deletes."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = (
        "1.2.826.0.1.3680043.8.498.2",
        "1.2.826.0.1.3680043.8.498.3",
    )
    made.Modality, made.BodyPartExamined, made.ViewPosition = "DX", "CHEST", "PA"
    made.PatientName, made.PatientID, made.PatientSex = "Phantom^Petra", "P-1", "F"
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 and not colour else 1
    made.Rows, made.Columns = (pixels.shape[0], pixels.shape[1]) if colour else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    if frames > 1:
        made.NumberOfFrames = frames
    bits = 8 * pixels.dtype.itemsize
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    # Before the pixels are set: some attributes (bits, sign) decide how later ones are written.
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    if "BitsStored" in attributes and "HighBit" not in attributes:
        made.HighBit = made.BitsStored - 1
    data = np.ascontiguousarray(pixels).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OW" if bits == 16 else "OB"
    for keyword, value in attributes.items():
        if value is None:
            delattr(made, keyword)
    return made


def encode(made: Dataset, syntax: UID = uid.ExplicitVRLittleEndian) -> bytes:
    """The data set as a file in `syntax`; native pixels are compressed where it asks for that."""
    if syntax in BY_GDCM:
        return _by_gdcm(made, syntax)
    if syntax == uid.ExplicitVRBigEndian and made.BitsAllocated == 16:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
        made["PixelData"].VR = "OW"
    if syntax == uid.JPEG2000 and not made.file_meta.TransferSyntaxUID.is_compressed:
        made.compress(syntax, j2k_cr=[20], generate_instance_uid=False)
    if syntax in BY_PYDICOM:
        made.compress(syntax, generate_instance_uid=False)
    made.file_meta.TransferSyntaxUID = syntax
    return _written(made)


def encapsulated(made: Dataset, syntax: UID, frames: list[bytes]) -> bytes:
    """The data set with ready-made compressed frames."""
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return _written(made)


def jpeg(pixels: NDArray[np.uint8], quality: int = 95, **options: Any) -> bytes:
    """A baseline JPEG by Pillow."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, **options)
    return stream.getvalue()


def png(pixels: NDArray[Any]) -> bytes:
    """A PNG by Pillow; (H, W) uint8 or uint16, (H, W, 3) uint8."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _written(made: Dataset) -> bytes:
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _by_gdcm(made: Dataset, syntax: UID) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "plain"), Path(folder, "packed")
        plain.write_bytes(encode(made))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change(), f"GDCM does not write {syntax.name}"
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.PyGetOutput() if hasattr(change, "PyGetOutput") else change.GetOutput())
        assert writer.Write()
        return packed.read_bytes()
