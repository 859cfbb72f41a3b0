"""The picture cache: what is kept, found, refused and removed, whatever else happens meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrviewer.classifiers.architecture import InputSpec
from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.classifiers.preparing import reduce
from cxrviewer.datasets.splits import Part
from cxrviewer.errors import CancelledError, UnreadableError
from cxrviewer.training import picture_cache, picture_filling, picture_stamps
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.fit import fit
from cxrviewer.training.material import DAMAGED, gather
from cxrviewer.training.picture_cache import PictureCache, Shelf, Stack
from cxrviewer.training.picture_filling import Filled, Filling, Wanted, rule_of
from cxrviewer.training.picture_stamps import Stamps, stamp_of
from cxrviewer.training.pictures import inside_lungs, load_picture, read_grey
from cxrviewer.training.readiness import make_ready
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]
EVERYTHING = np.arange


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written count as old."""
    monkeypatch.setattr(picture_stamps, "SETTLED", 0.0)


def cache_in(tmp_path: Path, max_bytes: int = 10**9) -> PictureCache:
    return PictureCache(tmp_path / "cache", max_bytes)


def preparers(*sizes: int, **spec: str) -> dict[int, Preparer]:
    return {size: Preparer(InputSpec(size, **spec)) for size in sizes}  # type: ignore[arg-type]


def written(folder: Path, count: int, seed: int = 1) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rng, paths = np.random.default_rng(seed), []
    for number in range(count):
        paths.append(folder / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (50 + number, 70), np.uint8)).save(paths[-1])
    return paths


def filled(cache: PictureCache, paths: list[Path], *sizes: int, **spec: str) -> Filled:
    wanted = [Wanted(path) for path in paths]
    return Filling(cache, preparers(*(sizes or (32,)), **spec), wanted).fill(lambda *_: None, lambda: None)


def test_every_size_equals_serving_to_half_a_grey(tmp_path: Path) -> None:
    """Each is reduced from the file, so growing pictures are what `reduce` of the original gives, rounded."""
    paths = written(tmp_path / "data", 5)
    found = filled(cache_in(tmp_path), paths, 32, 48)
    for size in (32, 48):
        wanted = np.stack([load_picture(path, size) for path in paths])
        np.testing.assert_array_equal(found.pixels[size][EVERYTHING(5)], wanted)


def test_a_second_start_decodes_and_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, cache = written(tmp_path / "data", 6), cache_in(tmp_path)
    first = filled(cache, paths)
    assert first.decoded == 6
    monkeypatch.setattr(picture_filling, "read_picture", lambda path: pytest.fail(f"read {path.name}"))
    again = filled(cache, paths)
    assert again.decoded == 0
    np.testing.assert_array_equal(again.pixels[32][EVERYTHING(6)], first.pixels[32][EVERYTHING(6)])


def test_a_copy_elsewhere_is_known_by_its_content(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    filled(cache, written(tmp_path / "one", 4))
    assert filled(cache, written(tmp_path / "two", 4)).decoded == 0


def test_a_file_that_changed_is_another_picture(tmp_path: Path) -> None:
    """Same name, same size in bytes, same time of change: the inode's own time gives it away."""
    paths, cache = written(tmp_path / "data", 1), cache_in(tmp_path)
    filled(cache, paths)
    before, content = paths[0].stat(), bytearray(paths[0].read_bytes())
    other = np.random.default_rng(9).integers(0, 256, (50, 70), np.uint8)
    Image.fromarray(other).save(paths[0])
    assert len(paths[0].read_bytes()) == len(content)
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    found = filled(cache, paths)
    assert found.decoded == 1
    np.testing.assert_array_equal(found.pixels[32][EVERYTHING(1)][0], load_picture(paths[0], 32))


def test_a_file_that_is_too_new_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = written(tmp_path, 1)
    assert stamp_of(path) is not None
    monkeypatch.setattr(picture_stamps, "SETTLED", 60.0)
    assert stamp_of(path) is None


def test_a_damaged_list_of_stamps_only_costs_time(tmp_path: Path) -> None:
    paths, cache = written(tmp_path / "data", 3), cache_in(tmp_path)
    filled(cache, paths)
    (cache.folder / "stamps.sqlite3").write_bytes(b"no database" * 500)
    assert filled(cache, paths).decoded == 0
    stamp = stamp_of(paths[0])
    assert stamp is not None and Stamps(cache.folder / "stamps.sqlite3").known([stamp]) == {}
    filled(cache, paths)
    assert len(Stamps(cache.folder / "stamps.sqlite3").known([stamp])) == 1


def test_the_same_picture_twice_lies_there_once(tmp_path: Path) -> None:
    (path,) = written(tmp_path / "data", 1)
    found = filled(cache_in(tmp_path), [path, path, path])
    assert len({int(slot) for slot in found.pixels[32]._slot}) == 1
    assert cache_in(tmp_path).room().bytes < 2 * 32 * 32 + 2000


def test_each_rule_has_its_own_pictures(tmp_path: Path) -> None:
    paths, cache = written(tmp_path / "data", 2), cache_in(tmp_path)
    whole, square = filled(cache, paths), filled(cache, paths, resize="crop")
    assert square.decoded == 2 and cache.room().rules == 2
    assert not np.array_equal(whole.pixels[32][EVERYTHING(2)], square.pixels[32][EVERYTHING(2)])
    assert filled(cache, paths, normalisation="imagenet").decoded == 0  # it comes after the cache


def test_masks_go_where_their_pictures_go(tmp_path: Path) -> None:
    """A mask of half as many pixels, cut by the same central square; a picture without one gets black."""
    grey = np.zeros((60, 120), np.uint8)
    grey[10:50, 40:80] = 255
    Image.fromarray(grey).save(tmp_path / "p.png")
    Image.fromarray(grey[::2, ::2]).save(tmp_path / "m.png")
    wanted = [Wanted(tmp_path / "p.png", tmp_path / "m.png"), Wanted(tmp_path / "p.png")]
    found = Filling(cache_in(tmp_path), preparers(32, resize="crop"), wanted).fill(
        lambda *_: None, lambda: None
    )
    pictures, masks = found.pixels[32][EVERYTHING(2)], found.masks[32][EVERYTHING(2)]
    assert np.abs(pictures[0].astype(int) - masks[0]).mean() < 6
    assert masks[0].max() == 255 and not masks[1].any()
    whole = Filling(cache_in(tmp_path), preparers(32), wanted).fill(lambda *_: None, lambda: None)
    share = reduce(inside_lungs(read_grey(tmp_path / "m.png")), 32)
    np.testing.assert_array_equal(whole.masks[32][EVERYTHING(1)][0], np.rint(share * 255).astype(np.uint8))


def test_damaged_files_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    paths = written(tmp_path / "data", 4)
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    paths[3].unlink()
    found = filled(cache_in(tmp_path), paths)
    assert [one.index for one in found.damaged] == [1, 3]
    assert all("cannot be read" in one.reason for one in found.damaged)
    np.testing.assert_array_equal(found.pixels[32][EVERYTHING(4)][2], load_picture(paths[2], 32))


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (10_000, 6_000)).save(tmp_path / "big.png")
    found = filled(cache_in(tmp_path), [tmp_path / "big.png"])
    assert "at most" in found.damaged[0].reason and found.decoded == 0


def test_a_pack_that_is_cut_short_is_passed_over(tmp_path: Path) -> None:
    paths, cache = written(tmp_path / "data", 3), cache_in(tmp_path)
    filled(cache, paths)
    (pack,) = cache.folder.glob("*/*.pack")
    pack.write_bytes(pack.read_bytes()[:-1])
    assert filled(cache, paths).decoded == 3


def test_a_cancel_is_obeyed_and_what_was_packed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_filling, "PACK_BYTES", 2 * 32 * 32)
    monkeypatch.setattr(picture_filling, "_TELL_EVERY", 1)
    paths, cache, calls = written(tmp_path / "data", 9), cache_in(tmp_path), []

    def look() -> None:
        calls.append(1)
        if len(calls) == 6:
            raise CancelledError("", "")

    with pytest.raises(CancelledError):
        Filling(cache, preparers(32), [Wanted(path) for path in paths]).fill(lambda *_: None, look)
    assert filled(cache, paths).decoded == 5  # of nine, two packs of two were whole


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    cache = cache_in(tmp_path)
    monkeypatch.setattr(picture_cache.os, "fsync", full)
    with pytest.raises(Exception, match="picture cache cannot be written"):
        filled(cache, written(tmp_path / "data", 2))
    assert not list(cache.folder.glob("*/*.pack")) and not list(cache.folder.glob("*/.part*"))


def _fill_slowly(folder: Path, paths: list[Path]) -> None:
    picture_filling.PACK_BYTES = 2 * 32 * 32
    plain = picture_filling.decode_grey

    def slow(data: bytes, name: str) -> np.ndarray:
        time.sleep(0.02)
        return plain(data, name)

    picture_filling.decode_grey = slow  # type: ignore[assignment]
    filled(PictureCache(folder, 10**9), paths)


def test_killed_at_any_moment_the_next_start_is_whole(tmp_path: Path) -> None:
    paths, cache = written(tmp_path / "data", 30), cache_in(tmp_path)
    wanted = np.stack([load_picture(path, 32) for path in paths])
    spawn, decoded = multiprocessing.get_context("fork"), []
    for wait in (0.08, 0.15, 0.25):
        process = spawn.Process(target=_fill_slowly, args=(cache.folder, paths))
        process.start()
        time.sleep(wait)
        if process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        decoded.append(len(list(cache.folder.glob("*/*.pack"))))
    found = filled(cache, paths)
    np.testing.assert_array_equal(found.pixels[32][EVERYTHING(30)], wanted)
    assert decoded == sorted(decoded) and not list(cache.folder.glob("*/.part-*"))


def test_two_runs_at_once_share_one_filling(tmp_path: Path) -> None:
    """The second waits for the first, looks now and then, and decodes nothing."""
    paths, cache, looked = written(tmp_path / "data", 20), cache_in(tmp_path), []
    process = multiprocessing.get_context("fork").Process(target=_fill_slowly, args=(cache.folder, paths))
    process.start()
    while not list(cache.folder.glob("*/*.pack")):
        time.sleep(0.01)
    found = Filling(cache, preparers(32), [Wanted(path) for path in paths]).fill(
        lambda *_: None, lambda: looked.append(1)
    )
    process.join()
    assert process.exitcode == 0 and found.decoded == 0 and looked


def test_clearing_does_not_take_pictures_from_a_run_that_reads(tmp_path: Path) -> None:
    paths, cache = written(tmp_path / "data", 3), cache_in(tmp_path)
    found = filled(cache, paths)
    before = found.pixels[32][EVERYTHING(3)]
    assert cache.clear() > 3 * 32 * 32
    assert cache.room().bytes == 0
    np.testing.assert_array_equal(found.pixels[32][EVERYTHING(3)], before)
    assert filled(cache, paths).decoded == 3


def test_what_is_being_filled_is_not_removed(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    shelf = cache.shelf(rule_of(Preparer(InputSpec(32)), "picture"), 32)
    with shelf.filling(lambda: None):
        assert cache.clear() == 0
        assert shelf.folder.is_dir()
    cache.clear()
    assert not shelf.folder.exists()


def test_the_cap_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    paths = written(tmp_path / "data", 4)
    cache = cache_in(tmp_path, 10**9)
    for age, size in enumerate((32, 40, 48)):
        filled(cache, paths, size)
        folder = max(cache.folder.glob("*/used"), key=lambda path: path.stat().st_mtime_ns).parent
        os.utime(folder / "used", (1000 + age, 1000 + age))
    room = cache.room().bytes
    tight = PictureCache(cache.folder, room)
    filled(tight, paths, 50)
    left = sorted(json.loads(p.read_text("utf-8"))["size"] for p in cache.folder.glob("*/rule.json"))
    assert left == [48, 50]  # 4 x 50 x 50 needs the room of the two oldest


def test_a_stack_reads_across_packs_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_filling, "PACK_BYTES", 3 * 32 * 32)
    paths = written(tmp_path / "data", 10)
    stack = filled(cache_in(tmp_path), paths).pixels[32]
    assert len(stack._maps) == 4
    order = np.array([9, 0, 4, 4, 7])
    np.testing.assert_array_equal(stack[order], np.stack([load_picture(paths[i], 32) for i in order]))
    np.testing.assert_array_equal(stack.take(order)[np.array([1, 0])], stack[np.array([0, 9])])


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """20,000 pictures of 40 KB: 800 MB on disk (sparse), and a few hundred KB of addresses in memory."""
    shelf = Shelf(tmp_path, 200)
    with (tmp_path / "a.pack").open("wb") as file:
        file.write(picture_cache._HEADER.pack(picture_cache.MAGIC, 200, 20_000, 32))
        file.write(b"".join(number.to_bytes(32, "little") for number in range(20_000)))
        file.truncate(picture_cache._start(20_000) + 20_000 * 200 * 200)
    shelf.refresh()
    before = _private_bytes()
    stack = Stack([shelf.find(number.to_bytes(32, "little")) for number in range(20_000)], 200)
    for start in range(0, 20_000, 500):
        assert not stack[np.arange(start, start + 32)].any()
    assert _private_bytes() - before < 30 << 20


def _private_bytes() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def test_a_run_leaves_damaged_pictures_out_and_says_so(
    tiny_config: Build, kermany_folder: Path, tmp_path: Path
) -> None:
    """In every part, and for publishing too, which reads the split again."""
    import shutil

    root = shutil.copytree(kermany_folder, tmp_path / "data")
    config = tiny_config(stages=(Stage(size=32, epochs=1),))
    config = config.model_copy(
        update={"sources": (config.sources[0].model_copy(update={"root": str(root)}),)}
    )
    whole = gather(config)
    lost = [int(whole.chosen(part)[0]) for part in Part]
    for row in lost:
        (root / whole.rows[row].image).write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    run = RunFolder(tmp_path / "run")
    fit(config, run)
    listed = json.loads((run.path / DAMAGED).read_text("utf-8"))
    assert {entry["image"] for entry in listed} == {whole.rows[row].image for row in lost}
    assert "3 of 80 pictures cannot be read and are left out" in (run.path / "log.txt").read_text("utf-8")
    again = gather(config, run.path / "split.csv")
    assert len(again.split) == 80
    assert not set(lost) & {int(row) for part in Part for row in again.chosen(part)}


def test_a_run_with_too_many_damaged_pictures_does_not_start(
    tiny_config: Build, kermany_folder: Path, tmp_path: Path
) -> None:
    import shutil

    root = shutil.copytree(kermany_folder, tmp_path / "data")
    for path in sorted(root.rglob("*.png"))[:11]:
        path.write_bytes(b"\x89PNG\r\n\x1a\nnothing" + path.name.encode())
    config = tiny_config()
    config = config.model_copy(
        update={"sources": (config.sources[0].model_copy(update={"root": str(root)}),)}
    )
    with pytest.raises(UnreadableError, match="11 of 80 pictures cannot be read"):
        make_ready(config, gather(config), tmp_path, lambda _: None, lambda: None)
    assert len(json.loads((tmp_path / DAMAGED).read_text("utf-8"))) == 11


def test_a_member_of_a_larger_file_is_known_by_where_it_lies(tmp_path: Path) -> None:
    """A record of a shard; one that does not say where it lies is read each time."""
    from cxrviewer.datasets.nih_tfrecord import Encoded
    from cxrviewer.datasets.tfrecords import Record

    shard = tmp_path / "000-2.tfrec"
    shard.write_bytes(bytes(100))
    one, again, other = (stamp_of(Encoded("a.jpeg", Record(shard, offset, 10))) for offset in (12, 12, 50))
    assert one is not None and one == again and one != other

    class Nowhere:
        name = "a"

        def read_bytes(self) -> bytes:
            return b""

    assert stamp_of(Nowhere()) is None
