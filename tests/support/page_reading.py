"""What the tests of the pages read from a page, and how they wait for it."""

from __future__ import annotations

import json
import time
from typing import Any

from streamlit.testing.v1 import AppTest

from cxrviewer.archive import InstanceRow
from cxrviewer.studies.phantoms import make_phantom, phantom_dicom
from cxrviewer.ui import resources

VIEWER = "pages/reading/viewer.py"


def components(app: AppTest, name: str) -> list[dict[str, Any]]:
    """The data of every mounted component of that name."""
    found = [element.proto for element in app.get("bidi_component")]
    return [json.loads(proto.json) for proto in found if proto.component_name == f"cxrviewer_{name}"]


def text_of(app: AppTest) -> str:
    """All that the page itself writes as HTML."""
    return "\n".join(str(element.value) for element in app.get("html"))


def take_in(data: bytes | None = None, name: str = "phantom.dcm") -> InstanceRow:
    return resources.reader().take_in(data or phantom_dicom(make_phantom(7, size=256)), name)[1]


def until(app: AppTest, ready: Any, seconds: float = 60.0) -> AppTest:
    """Run again as the browser's clock would, until `ready(app)`."""
    end = time.monotonic() + seconds
    while not ready(app):
        assert time.monotonic() < end, text_of(app)
        time.sleep(0.2)
        app.run()
    return app


def answered(app: AppTest) -> bool:
    return any(data["label"] == "Findings" for data in components(app, "rows"))


def pane_of(app: AppTest, name: str) -> dict[str, Any]:
    """The data of one pane of the maps."""
    return next(pane for pane in components(app, "panes")[1]["panes"] if pane["id"] == name)
