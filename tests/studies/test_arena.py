"""Memory shared with the decoding child: the same pixels as through the socket, and nothing that outlives its use."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from support import dicom_files as files

from cxrviewer.studies import limits
from cxrviewer.studies.arena import Arena, Lent
from cxrviewer.studies.isolation import DecodingPool
from cxrviewer.studies.opening import decode

made = Arena.create()
if made is None:
    pytest.skip("this system has no sealed memory files", allow_module_level=True)
made.close()

STUDIES = {
    "whole 16 bit": files.encode(files.dataset(files.ramp(60, 50, 60000))),
    "rescaled": files.encode(files.dataset(files.ramp(60, 50), RescaleSlope="1.5", RescaleIntercept="-7")),
    "padded": files.encode(files.dataset(files.ramp(60, 50), PixelPaddingValue=0)),
    "signed": files.encode(files.dataset((files.ramp(60, 50).astype(np.int32) - 500).astype(np.int16))),
    "PNG": files.png(files.ramp(60, 50, 60000)),
}


@pytest.mark.parametrize("name", STUDIES)
def test_shared_memory_and_socket_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decode(STUDIES[name])
    shared = DecodingPool(size=1)
    by_memory = shared.open(STUDIES[name])
    assert shared._idle[0].arena is not None
    shared.close()
    monkeypatch.setattr(Arena, "create", lambda: None)
    alone = DecodingPool(size=1)
    by_socket = alone.open(STUDIES[name])
    assert alone._idle[0].arena is None
    alone.close()
    for opened in (by_memory, by_socket):
        assert opened.pixels.dtype == np.float32 and not opened.pixels.flags.writeable
        np.testing.assert_array_equal(opened.pixels, expected.pixels)
        np.testing.assert_array_equal(opened.presentation(), expected.presentation())
        assert (opened.padding is None) == (expected.padding is None)
        assert opened.digest == expected.digest


def test_what_has_no_room_goes_through_the_socket() -> None:
    """A rescaled film of 4,200 pixels a side: 71 MB of float32."""
    pixels = np.full((4200, 4200), 3, np.uint16)
    pixels[17, 4000] = 9
    data = files.encode(files.dataset(pixels, RescaleSlope="0.5", RescaleIntercept="0"))
    pool = DecodingPool(size=1)
    opened = pool.open(data)
    assert (opened.pixels[17, 4000], opened.pixels[0, 0]) == (4.5, 1.5)
    assert pool.open(STUDIES["padded"]).shape == (60, 50), "and the child goes on"
    pool.close()


def test_neither_side_can_change_its_size() -> None:
    """A mapping that shrinks ends whoever reads it."""
    arena = Arena.create()
    assert arena is not None
    for size in (0, 2 * limits.ARENA_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(arena.descriptor, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(arena.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    arena.close()
    arena.close()


def test_memory_is_given_back_after_a_large_job_alone() -> None:
    arena = Arena.create()
    assert arena is not None
    arena.put(bytes(limits.MIB))
    arena.tidy()
    assert _taken(arena) == limits.MIB
    arena.put(bytes(limits.ARENA_KEPT_BYTES + 1))
    arena.tidy()
    assert _taken(arena) == 0
    arena.close()


def test_a_file_comes_out_as_it_went_in_and_arrays_lie_behind_one_another() -> None:
    arena = Arena.create()
    assert arena is not None
    lent = Lent(arena.descriptor)
    assert arena.put(b"a file") and lent.take(6) == b"a file"
    arrays = np.arange(6, dtype=np.uint8).reshape(2, 3), np.array([1.5, 2.5], np.float32)
    assert lent.put(arrays)
    read = arena.reader()
    for array in arrays:
        found = np.empty_like(array)
        read(found.reshape(-1).view(np.uint8).data)
        np.testing.assert_array_equal(found, array)
    assert not lent.put([np.zeros(limits.ARENA_BYTES + 1, np.uint8)])
    assert not arena.put(bytes(limits.ARENA_BYTES + 1))
    arena.close()


def test_children_leave_no_shared_memory_behind() -> None:
    before = _descriptors()
    pool = DecodingPool(size=1)
    pool.open(STUDIES["padded"])
    assert _descriptors() > before
    pool.close()
    assert _descriptors() == before


def _descriptors() -> int:
    return sum(
        "cxr-decoding" in str(entry.readlink())
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink()
    )


def _taken(arena: Arena) -> int:
    return os.fstat(arena.descriptor).st_blocks * 512
