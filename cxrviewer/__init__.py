"""CXR Viewer: open a chest radiograph, get a second opinion, and see how far to believe it."""

__version__ = "0.1.0"
