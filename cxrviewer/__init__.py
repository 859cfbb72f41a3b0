"""CXR Viewer: open a chest radiograph, get a second opinion, and see how far to believe it."""

from cxrviewer.cores import share_cores
from cxrviewer.privacy import refuse_telemetry

__version__ = "0.1.0"

refuse_telemetry()
share_cores()
