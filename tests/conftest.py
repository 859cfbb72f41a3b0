"""What all tests share: where the real radiographs are, if they are anywhere.

Its place also puts tests/ on the path, so that every room finds the helpers of tests/support/.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

import cxrviewer  # noqa: F401 - before a test module loads torch: it says how long torch's threads spin

# A checkout is judged by the same examples each time; a person at work meets new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real radiographs: `CXR_TEST_DATA`, or `../shared/data` beside the repository; else a skip."""
    folder = Path(os.environ.get("CXR_TEST_DATA") or _BESIDE)
    if not folder.is_dir():
        pytest.skip("no real radiographs: neither CXR_TEST_DATA nor ../shared/data is a folder")
    return folder
