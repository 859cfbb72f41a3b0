"""No engine opens a telemetry client: in a fresh interpreter, outside CI, with an empty home folder."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LOOK = """
import sys, threading
import cxrviewer
import openvino
import openvino.tools.ovc as ovc
print(type(ovc.telemetry).__module__)
print(any(name.startswith("openvino_telemetry.") for name in sys.modules))
print(threading.active_count())
"""


def test_openvino_starts_no_telemetry_client(tmp_path: Path) -> None:
    # Otherwise the test would pass because there is nothing to refuse.
    importlib.metadata.distribution("openvino-telemetry")
    # CI switches the client off by itself, so the look is taken as on a reader's machine.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}
    }
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False", "1"]
    assert not (tmp_path / "intel").exists()


def test_refusing_twice_is_harmless() -> None:
    from cxrviewer.privacy import TELEMETRY_PACKAGES, refuse_telemetry

    refuse_telemetry()
    refuse_telemetry()
    assert all(sys.modules[name] is None for name in TELEMETRY_PACKAGES)
