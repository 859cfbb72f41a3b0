"""CXR Viewer: open a chest radiograph, get a second opinion, and see how far to believe it."""

from cxrviewer.privacy import refuse_telemetry
from cxrviewer.process import share_cores, share_heaps

__version__ = "0.1.0"

refuse_telemetry()
share_cores()
share_heaps()
