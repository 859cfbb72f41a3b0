"""The app in its own process with a tiny model, and Chromium before it. Skips by name where a part is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tiny_bundle import save_tiny_bundle

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 240_000
"""Milliseconds: the machine may be busy with something else."""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium, with its driver importable."""
    pytest.importorskip("playwright.sync_api", reason="the browser driver playwright is not installed")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("Chromium is not installed")


@pytest.fixture
def app_url(tmp_path: Path) -> Iterator[str]:
    """A server of this test alone."""
    save_tiny_bundle(tmp_path / "models")
    port, log = _free_port(), (tmp_path / "log.txt").open("wb")
    environment = os.environ | {
        "CXR_DATA_DIR": str(tmp_path / "data"),
        "CXR_MODELS_DIR": str(tmp_path / "models"),
        "CXR_ENGINE": "torch",
    }
    command = [sys.executable, "-m", "streamlit", "run", "viewer_app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the server does not answer")


@pytest.fixture
def tab(chromium: str, tmp_path: Path) -> Iterator[Any]:
    """A tab of a fresh profile. What it asks of other hosts, and scripts' alerts, are collected."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium,
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.outside, tab.alerts = [], []
        tab.on("request", lambda request: _note_outside(tab.outside, request.url))
        tab.on("dialog", lambda dialog: (tab.alerts.append(dialog.message), dialog.dismiss()))
        yield tab
        context.close()


@pytest.fixture
def page(tab: Any, app_url: str) -> Any:
    """The worklist."""
    tab.goto(app_url)
    tab.get_by_text("Drop chest radiographs here").wait_for()
    return tab


def _note_outside(outside: list[str], url: str) -> None:
    if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
        outside.append(url)
