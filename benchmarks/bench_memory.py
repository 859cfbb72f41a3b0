"""Peak memory of the app: worklist, a study answered, then all three explanations, in a real browser.

    PYTHONPATH=. .venv/bin/python benchmarks/bench_memory.py
    PYTHONPATH=. .venv/bin/python benchmarks/bench_memory.py --study film.dcm --findings Effusion Mass

Prints resident memory of the server at each step, its peak, and that of the decoding child beside it. Without a file
a phantom film of 2,048 pixels is dropped. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("gradcam", "integrated-gradients", "lime")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE = 900_000
"""Milliseconds: a busy machine may take long; memory does not depend on it."""


def main() -> None:
    """Start the app with an empty data folder, read a study as a person does, stop it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, help="a file to drop; a phantom film where none is named")
    parser.add_argument("--findings", nargs="+", default=["Effusion", "Mass"])
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = options.study or Path(folder) / "film.dcm"
        if options.study is None:
            study.write_bytes(phantom_dicom(make_phantom(0, size=2048)))
        figures = _measure(Path(folder), study, options.findings)
    text = json.dumps({"benchmark": "memory in MiB", **figures}, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


def _measure(folder: Path, study: Path, findings: list[str]) -> dict[str, int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "viewer_app.py", "--server.port", str(port)]
    # As `make run` starts it.
    environment = dict(os.environ) | {"CXR_DATA_DIR": str(folder / "data")}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=_chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(PATIENCE)
            page.goto(f"http://127.0.0.1:{port}")
            figures = _read(page, server.pid, study, findings)
            browser.close()
        return figures
    finally:
        server.terminate()
        server.wait(30)


def _read(page: Page, server: int, study: Path, findings: list[str]) -> dict[str, int]:
    figures = {}
    drop = page.locator("input[type=file]").first
    drop.wait_for(state="attached")
    figures["worklist"] = _status(server, "VmRSS")
    drop.set_input_files(study)
    page.locator("[data-row=pneumonia]").wait_for()
    figures["answered"] = _status(server, "VmRSS")
    for finding in findings:
        page.locator(f"[data-row={finding}]").click()
        for method in METHODS:
            page.locator(f"[data-pane={method}] img.overlay.loaded").wait_for()
            figures[f"{finding} {method}"] = _status(server, "VmRSS")
        time.sleep(3)
    figures["peak"] = _status(server, "VmHWM")
    figures["peak_decoding_child"] = max((_status(pid, "VmHWM") for pid in _children(server)), default=0)
    return figures


def _status(pid: int, name: str) -> int:
    found: Any = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024


def _children(pid: int) -> list[int]:
    listed = [Path(entry) / "children" for entry in Path(f"/proc/{pid}/task").iterdir()]
    return [int(child) for path in listed for child in path.read_text().split()]


def _chromium() -> str:
    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    return found[0]


def _wait(url: str) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise SystemExit("the app does not answer")


if __name__ == "__main__":
    main()
