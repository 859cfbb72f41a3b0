"""Freed memory leaves the process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxrviewer.reading.memory import give_back


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's call, read from Linux's /proc")
def test_what_was_freed_goes_back_to_the_system() -> None:
    """Many pieces too small for mappings of their own, and one that keeps the heap's top in place."""
    pieces = [np.ones(8_000) for _ in range(2_000)]  # 122 MiB
    top = np.ones(8_000)
    full = _resident()
    del pieces
    give_back()
    assert full - _resident() > 80
    assert top.all()


def _resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


_THREADS = """
import ctypes, threading
{first}
start = threading.Barrier(8)
def work():
    start.wait()
    kept = [bytes(1000) for _ in range(10_000)]
    start.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heaps")
@pytest.mark.parametrize(("first", "few"), [("import cxrviewer", True), ("", False)])
def test_threads_share_two_heaps(first: str, few: bool) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _THREADS.format(first=first)], capture_output=True, text=True, check=True
    ).stderr
    if "Arena 0" not in told:
        pytest.skip("this C library is not glibc")
    assert (told.count("Arena ") <= 2) is few
