"""JPEG Extended of 12 bits, which no decoder behind pydicom reads under a permissive licence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from cxrviewer.errors import UnreadableError, UnsupportedError

if TYPE_CHECKING:
    from cxrviewer.studies.pixel_data import PixelFormat

_EXPORT: Final = "Export the image as Explicit VR Little Endian."


def decode_extended(stream: bytes, layout: PixelFormat) -> NDArray[Any]:
    """JPEG Extended of 12 bits (T.81, process 4) through GDCM's own libjpeg of 12 bits.

    pydicom declines the pair; the values agree with libjpeg-turbo's 12-bit decoder to the last bit.
    Returns uint16 (H, W). Raises UnsupportedError for what is not unsigned grey, UnreadableError for damage.
    """
    import gdcm

    if layout.samples != 1 or layout.signed or layout.allocated != 16:
        raise UnsupportedError("JPEG Extended of 12 bits is read for unsigned grey pictures alone.", _EXPORT)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(uid.JPEGExtended12Bit))))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    # GDCM hands bytes over as text with surrogate escapes.
    values = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(values) != layout.frame_bytes:
        raise UnreadableError("The pixels (JPEG Extended) could not be decoded.", _EXPORT)
    return np.frombuffer(values, "<u2").reshape(layout.rows, layout.columns)
