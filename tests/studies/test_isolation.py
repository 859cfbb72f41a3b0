"""A hostile file costs its own answer and nothing else (G1, G2): every misdeed of the child, injected."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support import dicom_files as files

from cxrviewer.errors import CxrError, DecodingTimeoutError, TooLargeError, UnreadableError
from cxrviewer.studies import limits
from cxrviewer.studies.isolation import Caps, DecoderStartError, DecodingPool, default_pool

FAULTY = [sys.executable, str(Path(__file__).parents[1] / "support" / "faulty_worker.py")]
GOOD = files.encode(files.dataset(files.ramp(), WindowCenter=50, WindowWidth=100))


@pytest.fixture
def pool() -> Iterator[DecodingPool]:
    """One child that obeys; four seconds of wall time, one of processor time."""
    made = DecodingPool(size=1, caps=Caps(cpu=1, wall=4), command=FAULTY)
    yield made
    made.close()


def deed(name: str) -> bytes:
    return name.encode().ljust(64, b"\0")


def pid(pool: DecodingPool) -> int:
    return pool._idle[0].process.pid


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("SLEEP", DecodingTimeoutError),
        ("SPIN", DecodingTimeoutError),
        ("DRIBBLE", UnreadableError),
        ("FILL", TooLargeError),
        ("CRASH", UnreadableError),
        ("EXIT", UnreadableError),
        ("NOISE", CxrError),
        ("LONG HEADER", UnreadableError),
        ("NOT JSON", UnreadableError),
        ("DEEP JSON", UnreadableError),
        ("HUGE ARRAY", UnreadableError),
        ("OTHER ARRAY", UnreadableError),
        ("OTHER TYPE", UnreadableError),
        ("BEYOND", UnreadableError),
        ("NO FIELDS", UnreadableError),
        ("NOT A NUMBER", UnreadableError),
        ("SHORT", UnreadableError),
    ],
)
def test_a_misdeed_is_an_error_of_that_file_alone(
    pool: DecodingPool, name: str, error: type[CxrError]
) -> None:
    np.testing.assert_array_equal(pool.open(GOOD).pixels, files.ramp())
    start = time.monotonic()
    with pytest.raises(error):
        pool.open(deed(name))
    assert time.monotonic() - start < 12
    np.testing.assert_array_equal(pool.open(GOOD).pixels, files.ramp())


def test_processor_time_is_counted_by_job_and_not_over_a_life(pool: DecodingPool) -> None:
    """More than the one second of a job, in many jobs of one child."""
    big = files.encode(files.dataset(np.zeros((4000, 4000), np.uint16), WindowCenter=50, WindowWidth=100))
    pool.open(big)
    child = pid(pool)
    while _processor_seconds(child) < 1.6:
        pool.open(big)
    assert pid(pool) == child


def _processor_seconds(child: int) -> float:
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_second_file_costs_no_start(pool: DecodingPool) -> None:
    pool.warm()
    child = pid(pool)
    for _ in range(20):
        pool.open(GOOD)
    assert pid(pool) == child


def test_a_child_is_replaced_after_its_jobs() -> None:
    pool = DecodingPool(size=1, caps=Caps(jobs=3))
    children = set()
    for _ in range(7):
        pool.open(GOOD)
        children |= {idle.process.pid for idle in pool._idle}
    pool.close()
    # Jobs 1-2 leave the first child idle, 4-5 the second, 7 the third.
    assert len(children) == 3


def test_a_child_whose_reader_was_interrupted_is_never_used_again(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.warm()
    child = pool._idle[0]

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(child.channel, "receive_arrays", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.open(GOOD)
    assert child.process.poll() is not None
    np.testing.assert_array_equal(pool.open(GOOD).pixels, files.ramp())


def test_a_child_killed_while_idle_is_replaced(pool: DecodingPool) -> None:
    pool.warm()
    os.kill(pid(pool), 9)
    pool._idle[0].process.wait()
    assert pool.open(GOOD).shape == (32, 40)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's doors are Linux's")
def test_the_network_and_other_programs_are_out_of_reach(pool: DecodingPool) -> None:
    confinement = pool.warm()
    assert confinement.memory
    if not confinement.offline:
        pytest.skip("this kernel allows neither a network namespace nor a filter")
    for name in ("NETWORK", "PROGRAM", "WRITE") if confinement.filter else ("NETWORK",):
        with pytest.raises(UnreadableError, match=r"refused by the kernel: (OSError|PermissionError)"):
            pool.open(deed(name))
        assert pool._idle, "the child lives on"
    assert not Path("/tmp/cxr-child-wrote").exists()
    assert pool.open(GOOD).shape == (32, 40)


def test_two_children_serve_many_threads() -> None:
    pool = DecodingPool(size=2, command=FAULTY, caps=Caps(wall=3))
    pixels = [files.ramp(32, 32, 1000 + i) for i in range(8)]
    data = [files.encode(files.dataset(picture)) for picture in pixels]

    def job(i: int) -> str:
        if i % 13 == 12:
            try:
                pool.open(deed("CRASH"))
            except UnreadableError:
                return "refused"
        np.testing.assert_array_equal(pool.open(data[i % 8]).pixels, pixels[i % 8])
        return "read"

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(job, range(100)))
    assert len(pool._idle) <= 2
    pool.close()
    assert answers.count("refused") == 7


def test_a_hanging_file_does_not_hold_up_the_other_child() -> None:
    pool = DecodingPool(size=2, command=FAULTY, caps=Caps(wall=8))
    errors: list[Exception] = []

    def hang() -> None:
        try:
            pool.open(deed("SLEEP"))
        except DecodingTimeoutError as error:
            errors.append(error)

    thread = threading.Thread(target=hang)
    pool.warm()
    thread.start()
    while pool._idle:  # until the hanging job has taken the warm child
        time.sleep(0.01)
    pool.open(GOOD)
    assert thread.is_alive(), "the good file was read while the other still hung"
    thread.join()
    pool.close()
    assert len(errors) == 1


@pytest.mark.slow
def test_hundreds_of_good_files_through_one_pool_without_a_leak() -> None:
    pool = DecodingPool(size=1)
    data = [
        GOOD,
        files.png(files.ramp(300, 300, 60000)),
        files.encode(files.dataset(files.ramp(200, 200)), files.BY_GDCM[1]),
    ]
    for i in range(30):
        pool.open(data[i % 3])
    before, descriptors = _resident(pid(pool)), descriptors_open()
    for i in range(500):
        assert pool.open(data[i % 3]).metadata.format in ("DICOM", "PNG")
    assert _resident(pid(pool)) - before < 40 * limits.MIB
    assert descriptors_open() <= descriptors
    pool.close()


def descriptors_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident(child: int) -> int:
    return int(Path(f"/proc/{child}/statm").read_text().split()[1]) * resource.getpagesize()


def test_closing_ends_the_children() -> None:
    pool = DecodingPool(size=1)
    pool.warm()
    process = pool._idle[0].process
    pool.close()
    assert process.poll() is not None


def test_a_child_that_cannot_start_is_an_installation_fault() -> None:
    for command in (["/nonexistent/python"], [sys.executable, "-c", "raise SystemExit(1)"]):
        with pytest.raises(DecoderStartError):
            DecodingPool(size=1, command=command).open(GOOD)


def test_the_child_starts_fast_and_without_networks() -> None:
    """Under 0.7 s on a quiet machine; the bound here leaves room for a busy one."""
    pool = DecodingPool(size=1)
    start = time.monotonic()
    pool.warm()
    assert time.monotonic() - start < 15
    maps = Path(f"/proc/{pid(pool)}/maps").read_text()
    assert "torch" not in maps and "streamlit" not in maps
    environment = Path(f"/proc/{pid(pool)}/environ").read_bytes()
    assert b"HOME=" not in environment and b"PYTHONPATH=" in environment
    pool.close()


def test_the_default_pool_is_one() -> None:
    assert default_pool() is default_pool()
