"""No engine reports home.

`import openvino` starts a telemetry client (`openvino_telemetry`) that reports the import and every
conversion of a model, without asking, unless a consent file in the home folder says otherwise; no environment
variable refuses it. Where that package cannot be imported, OpenVINO falls back to a client that does nothing.
So the opt-out is to make it unimportable: that holds for the whole process, writes nothing into the home
folder and needs no network. `cxrviewer/__init__.py` calls it, so it comes before any engine, in child
processes as well.

Streamlit's statistics are refused in `.streamlit/config.toml`.
"""

from __future__ import annotations

import sys

TELEMETRY_PACKAGES = ("openvino_telemetry",)


def refuse_telemetry() -> None:
    """Make the telemetry packages unimportable in this process. Safe to call again.

    One that a host program imported earlier is taken out as well; a client already started is the host's own.
    """
    for name in TELEMETRY_PACKAGES:
        # None in sys.modules is Python's documented way to have an import raise ModuleNotFoundError.
        sys.modules[name] = None  # type: ignore[assignment]
